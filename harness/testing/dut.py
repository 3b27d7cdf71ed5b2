# SPDX-License-Identifier: GPL-2.0-only
"""The device under test: a machine as after boot for each test, and what becomes of it after.

What the kernel said is read, the guest is reset, and one that answers no more is examined and
thrown away.
"""

import itertools
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.artefacts.symbols import Symbols
from harness.console.allowlist import AllowList
from harness.console.scanner import Splat
from harness.core.errors import LabError
from harness.datapath.bpf import KEPT_ROOT, Bpf
from harness.machine import hang, qemu
from harness.machine.dump import dump
from harness.machine.session import Machines
from harness.machine.ssh.address import GuestGone
from harness.machine.vm import Machine
from harness.testing.names import as_file_name
from harness.testing.watchdog import Watchdog, Why

NICS = tuple(qemu.NICS)
MANAGEMENT = "eth0"  # has RSS, and reports no hash
RESET_SCRIPT = Path(__file__).with_name("reset.sh").read_bytes()
RESET_SECONDS = 20.0
MARKER_SECONDS = 10.0
LAST_WORDS_SECONDS = 5.0  # for what a guest still prints whose sshd is gone
MARKER_NAME_LENGTH = 200  # a line in the kernel's log is short


@dataclass(frozen=True)
class Ending:
    """What came out at a test's end.

    complaint: why the test has failed, whatever it says itself; '' for nothing.
    gone: the machine is no good for another test.
    allowed: what the kernel printed that was let pass, and by which reason.
    console: what it showed meanwhile.
    """

    complaint: str
    gone: bool
    allowed: tuple[str, ...]
    console: str


@dataclass(frozen=True)
class Equipment:
    """What tests need beside a machine.

    objects: the host's folder of compiled BPF programs.
    symbols: of the kernel under test.
    allow: reports of the kernel that don't fail a test.
    """

    objects: Path
    symbols: Symbols
    allow: AllowList


class Dut:
    """A device under test: a machine, and what is known of it from one test to the next."""

    def __init__(
        self, machine: Machine, equipment: Equipment, *, kept: bool, dumps: Path | None = None
    ) -> None:
        self.machine = machine
        self._dumps = dumps
        self.bpf = Bpf(machine.guest, equipment.objects)
        self.watchdog = Watchdog(machine.console, machine.alive, equipment.allow)
        self._equipment = equipment
        self._kept = kept
        self._count = itertools.count(1)
        self._clean = not kept

    def begin(self) -> None:
        """Have the guest as after boot. Raises LabError if it doesn't answer."""
        if not self._clean:
            # What an earlier session kept loaded may be compiled from other sources.
            self.machine.guest.sh(f"rm -rf {KEPT_ROOT}/*")
            self._reset("lab: begin")
        self._clean = False

    def end(self, name: str, why: Why | None, *, keep: bool = False) -> Ending:
        """Reset the guest, and gather what happened since the last end, also in that reset.

        In one round trip: what is torn down is the test's own, and so is a kernel that
        complains of it. why: what the test was interrupted for. keep: leave the guest as it is.
        """
        command = self.machine.guest.last_command
        lost = "it did not end in its time" if why is Why.DEADLINE else ""
        if not lost and not self.machine.alive():
            lost = "its kernel has ended"
            self.watchdog.await_end(LAST_WORDS_SECONDS)
        if not (lost or keep):
            lost = self._reset_after(name)
        splats, console = self.watchdog.take()
        allowed, complaints = self._sorted(splats)
        if complaints:
            complaints = [self._equipment.symbols.decode("\n".join(complaints))]
        if lost:
            complaints += [lost, f"its last command in the guest: {command}"]
            if self._dumps:
                complaints.append(self._dumped(self._dumps / f"{as_file_name(name)}.kdump"))
            if self.machine.alive():
                complaints.append(self._examine(nmi=not (keep or self._kept)))
        gone = bool(lost) and not keep
        return Ending("\n".join(complaints), gone, tuple(allowed), console)

    def close(self) -> None:
        """Leave the machine to others."""
        self.watchdog.close()

    def _sorted(self, splats: Sequence[Splat]) -> tuple[list[str], list[str]]:
        """The allowed ones, and the complaints."""
        allowed, complaints = [], []
        for splat in splats:
            entry = self._equipment.allow.find(splat)
            if entry:
                allowed.append(
                    f"{splat.kind}, allowed: {entry.reason} ({entry.link})\n{splat.text}"
                )
            else:
                complaints.append(f"the kernel complained while this test ran: {splat.kind}")
                complaints.append(splat.text)
        return allowed, complaints

    def _reset_after(self, name: str) -> str:
        """Reset the guest after a test; what is wrong if it is not to be had any more, else ''."""
        marker = f"lab: end {next(self._count)} of {name[:MARKER_NAME_LENGTH]}"
        try:
            self._reset(marker)
        except LabError as error:
            if isinstance(error, GuestGone):
                self.watchdog.await_end(LAST_WORDS_SECONDS)
            return f"the guest does not answer any more: {error.message}"
        if not self.watchdog.await_text(marker.encode(), MARKER_SECONDS):
            return f"the console did not show the end marker in {MARKER_SECONDS:g} s"
        self._clean = True
        return ""

    def _reset(self, marker: str) -> None:
        command = f"set -- {shlex.join((' '.join(NICS), marker))}; . /proc/self/fd/0"
        self.machine.guest.sh(command, stdin=RESET_SCRIPT, timeout=RESET_SECONDS)

    def _dumped(self, file: Path) -> str:
        try:
            dump(self.machine.monitor, file)
        except LabError as error:
            return f"its memory could not be kept: {error.message}"
        return f"its memory: ./lab drgn {file}"

    def _examine(self, *, nmi: bool) -> str:
        found = hang.examine(self.machine, self._equipment.symbols, nmi=nmi)
        self.watchdog.take()  # the panic that the NMI was
        return found


class Duts:
    """The device under test: another one when the machine is another one.

    fresh: each test starts on a machine that none has used, not only each module.
    keep: the guest of a test that fails stays as that left it.
    dumps: the folder that gets the memory of guests that answer no more.
    """

    def __init__(self, machines: Machines, equipment: Equipment, *, fresh: bool = False) -> None:
        self.fresh = fresh
        self.keep = False
        self.dumps: Path | None = None
        self._machines = machines
        self._equipment = equipment
        self._dut: Dut | None = None
        self._served: set[str] = set()

    def for_test(self, name: str) -> Dut:
        """That of the test with this node ID. Raises LabError if no machine starts.

        The first test of a module has a machine that none has used.
        """
        owner = name if self.fresh else name.partition("::")[0]
        if self._dut and owner not in self._served:
            self.leave()
        self._served.add(owner)
        machine = self._machines.current()
        if self._dut is None or self._dut.machine is not machine:
            kept, dumps = self._machines.kept, self.dumps
            self._dut = Dut(machine, self._equipment, kept=kept, dumps=dumps)
        return self._dut

    @property
    def machine(self) -> Machine | None:
        """The machine of the last test."""
        return self._dut.machine if self._dut else None

    def leave(self) -> bool:
        """Give a machine up; whether there will be another one."""
        if self._machines.kept:
            return False
        if self._dut:
            self._dut.close()
            self._dut = None
        self._machines.discard()
        return True

    def at(self, machines: Machines, *, fresh: bool = False) -> "Duts":
        """Devices under test at other machines, equipped alike."""
        return Duts(machines, self._equipment, fresh=fresh)
