# SPDX-License-Identifier: GPL-2.0-only
"""A pytest plugin that `./lab test` brings along: the machine, and a clean guest for each test.

A test that takes `guest`, or anything made from it, starts in a guest as
after boot, and fails if the kernel complained on the console while it ran. A
guest that answers no more costs one test: the next one gets a new machine.
"""

import itertools
import os
import random
import shlex
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.bpf import Bpf
from harness.errors import EXIT_BAD_CALL, LabError
from harness.evidence import CONSOLE, JOURNAL
from harness.journal import Journal
from harness.topology import Nic

if TYPE_CHECKING:
    from harness.build import Artefacts
    from harness.console import Splat
    from harness.guest import Guest
    from harness.machines import Machines
    from harness.vm import Machine

pytest_plugins = ("harness.evidence",)

NICS = ("eth1", "eth2")  # qemu.NICS, as the guest calls them
RESET_SCRIPT = Path(__file__).with_name("reset.sh").read_bytes()
RESET_SECONDS = 30.0
MARKER_SECONDS = 10.0
LAST_WORDS_SECONDS = 2.0  # for what a guest still prints that answers no more
MARKER_NAME_LENGTH = 200  # a line in the kernel's log is short


@dataclass(frozen=True)
class Bench:
    """What guest tests run on: machines, and the artefacts that these are made of."""

    machines: "Machines"
    artefacts: "Artefacts"

    @property
    def objects(self) -> Path:
        """The host's folder of compiled BPF programs."""
        return self.artefacts.programs.objects


BENCH = pytest.StashKey[Bench]()


class ConsoleWatch:
    """What a machine's console says, from one marker to the next. said: the last such piece."""

    def __init__(self, machine: "Machine") -> None:
        self._console = machine.console
        self._guest = machine.guest
        self._unread = b""
        self._count = itertools.count(1)
        self._clean = False
        self.said = ""

    def begin(self) -> None:
        """Have the guest as after boot. Raises LabError if it doesn't answer."""
        if not self._clean:
            self._reset("lab: begin")
        self._clean = False

    def end(self, name: str) -> "tuple[list[Splat], str]":
        """Reset the guest; splats since the last end, those of the reset included.

        In one round trip: what is torn down is the test's own, and so is a kernel that
        complains of it. The second value says what is wrong if the console did not
        come to this end, else is "".
        """
        marker = f"lab: end {next(self._count)} of {name[:MARKER_NAME_LENGTH]}"
        try:
            self._reset(marker)
            self._clean = True
        except LabError as error:
            read, _ = self._read(None, LAST_WORDS_SECONDS)
            self.said = read.decode(errors="replace")
            return _splats(read), f"the guest does not answer any more: {error.message}"
        read, came = self._read(marker.encode(), MARKER_SECONDS)
        self.said = read.decode(errors="replace")
        if came:
            return _splats(read), ""
        return _splats(read), f"the console did not show the end marker in {MARKER_SECONDS:g} s"

    def _reset(self, marker: str) -> None:
        command = f"/bin/sh -s -- {shlex.join((' '.join(NICS), marker))}"
        self._guest.sh(command, stdin=RESET_SCRIPT, timeout=RESET_SECONDS)

    def _read(self, marker: bytes | None, seconds: float) -> tuple[bytes, bool]:
        """The console to the end of the line with the marker, or all that came in time."""
        read, self._unread = self._unread, b""
        end = time.monotonic() + seconds
        while True:
            new = self._console.read_new()
            read += new
            at = read.find(marker) if marker else -1
            newline = read.find(b"\n", at) if at >= 0 else -1
            if newline >= 0:
                self._unread = read[newline + 1 :]
                return read[: newline + 1], True
            if time.monotonic() > end:
                return read, False
            if not new:
                time.sleep(0.005)


def _splats(read: bytes) -> "list[Splat]":
    """The reports in a piece of the console, one that is cut off at its end included."""
    from harness.console import Witness

    witness = Witness()
    return witness.feed(read) + witness.finish()


@dataclass(frozen=True)
class Seat:
    """A machine, and what is known of it from one test to the next."""

    machine: "Machine"
    watch: ConsoleWatch
    bpf: Bpf


class Seats:
    """The seat that tests take: another one when the machine is another one."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._seat: Seat | None = None

    def current(self) -> Seat:
        """The seat at the current machine. Raises LabError if no machine starts."""
        machine = self._bench.machines.current()
        if self._seat is None or self._seat.machine is not machine:
            bpf = Bpf(machine.guest, self._bench.objects)
            self._seat = Seat(machine, ConsoleWatch(machine), bpf)
        return self._seat

    def leave(self) -> bool:
        """Give a machine up whose guest is gone; whether there will be another one."""
        if self._bench.machines.kept:
            return False
        self._bench.machines.discard()
        return True


SEATS = pytest.StashKey[Seats]()
SEAT = pytest.StashKey[Seat]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Make a splat the failure of the test that it appeared in, not an error after it."""
    try:
        result = yield
    except BaseException as error:
        if isinstance(error, LabError) and error.hint:
            error.add_note(f"hint: {error.hint}")
        complaint = _complaint(item)
        if complaint:
            error.add_note(complaint)
        raise
    complaint = _complaint(item)
    if complaint:
        pytest.fail(complaint, pytrace=False)
    return result


def _complaint(item: pytest.Item) -> str:
    """What the kernel said against the test, or ""."""
    seat = item.stash.get(SEAT, None)
    if seat is None:
        return ""
    splats, silence = seat.watch.end(item.nodeid)
    item.stash[CONSOLE] = seat.watch.said
    lines = [silence] if silence else []
    if silence and not item.config.stash[SEATS].leave():
        item.session.shouldfail = "the guest is gone: the tests that are left did not run"
    for splat in splats:
        lines += [f"the kernel complained while this test ran: {splat.kind}", splat.text]
    return "\n".join(lines)


@pytest.fixture(scope="session")
def bench(request: pytest.FixtureRequest) -> Bench:
    """What the session's tests run on."""
    given = request.config.stash.get(BENCH, None)
    if given is None:
        pytest.exit("guest tests need a machine: ./lab test -- FILE", EXIT_BAD_CALL)
    return given


@pytest.fixture(scope="session")
def _seats(request: pytest.FixtureRequest, bench: Bench) -> Seats:
    return request.config.stash.setdefault(SEATS, Seats(bench))


@pytest.fixture
def _seat(request: pytest.FixtureRequest, _seats: Seats) -> Seat:
    try:
        seat = _seats.current()
    except LabError as error:
        request.session.shouldfail = f"no machine for the tests that are left: {error.message}"
        raise
    seat.watch.begin()
    request.node.stash[SEAT] = seat
    return seat


@pytest.fixture
def machine(_seat: Seat) -> "Machine":
    """The machine under test, its guest as after boot."""
    return _seat.machine


@pytest.fixture
def guest(machine: "Machine") -> "Guest":
    """The guest, as after boot."""
    return machine.guest


@pytest.fixture
def bpf(request: pytest.FixtureRequest, _seat: Seat) -> Bpf:
    """BPF in the guest, nothing loaded yet."""
    _seat.bpf.journal = request.node.stash[JOURNAL] = Journal()
    return _seat.bpf


EACH_NIC = pytest.mark.parametrize("nic", NICS, indirect=True)


@pytest.fixture
def nic(request: pytest.FixtureRequest, machine: "Machine") -> Nic:
    """The NIC under test: eth1, or both in turn for a test with EACH_NIC.

    A machine without a tap fails the test: it is never skipped.
    """
    return _nic(machine, NICS.index(getattr(request, "param", NICS[0])))


@pytest.fixture
def small_nic(machine: "Machine") -> Nic:
    """A second NIC, whose receive buffers are small ones; the rest as `nic`."""
    return _nic(machine, 1)


def _nic(machine: "Machine", number: int) -> Nic:
    if not machine.packets:
        why = machine.no_tap.render() if machine.no_tap else "the machine came without a tap"
        pytest.fail(f"no frame can reach {NICS[number]}\n{why}", pytrace=False)
    return Nic(NICS[number], machine.packets[number])


@pytest.fixture
def seed() -> int:
    """A seed for what is random in a test, printed if it fails; LAB_SEED repeats one."""
    seed = int(os.environ.get("LAB_SEED") or random.SystemRandom().getrandbits(32))
    print(f"seed {seed}; to repeat: LAB_SEED={seed}")
    return seed
