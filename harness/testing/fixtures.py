# SPDX-License-Identifier: GPL-2.0-only
"""A pytest plugin that `./lab test` brings along: the machine, and a clean guest for each test.

A test that takes `guest`, or anything made from it, starts in a guest as
after boot, and fails if the kernel complained on the console while it ran. A
guest that answers no more costs one test: the next one gets a new machine.
"""

import os
import random
import traceback
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.core.errors import EXIT_BAD_CALL, LabError
from harness.datapath import packets
from harness.datapath.bpf import Bpf
from harness.datapath.devices import Nic
from harness.datapath.recorder import Recorder
from harness.datapath.topology import To
from harness.testing.dut import NICS, Dut, Duts
from harness.testing.evidence import CONSOLE, RECORDER
from harness.testing.watchdog import Interrupted

if TYPE_CHECKING:
    from harness.machine.build import Artefacts
    from harness.machine.ssh.guest import Guest
    from harness.machine.vm import Machine

pytest_plugins = ("harness.testing.evidence",)

DEADLINE = 60.0  # seconds for a test; the marker `deadline` gives more


@dataclass(frozen=True)
class Testbed:
    """What guest tests run on: machines, and the artefacts that these are made of."""

    __test__ = False  # pytest takes what is called Test... for a class of tests

    duts: Duts
    artefacts: "Artefacts"


TESTBED = pytest.StashKey[Testbed]()
DUT = pytest.StashKey[Dut]()


def pytest_collection_finish() -> None:
    """Have scapy imported while the first test waits for its guest: not before, both are work."""
    packets.prepare()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test, watched: what the kernel says meanwhile is its failure, not one after it."""
    dut = item.stash.get(DUT, None)
    if dut is None:
        return (yield)
    result: object = None
    failure: BaseException | None = None
    try:
        dut.watchdog.arm(_seconds(item))
        try:
            result = yield
        finally:
            why = dut.watchdog.disarm()
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise
    except BaseException as error:
        failure, why = error, dut.watchdog.disarm()  # once more: it may come at the last moment
    duts = item.config.stash[TESTBED].duts
    findings = dut.end(item.nodeid, why, keep=duts.keep and failure is not None)
    item.stash[CONSOLE] = findings.console
    if findings.gone and not duts.leave():
        item.session.shouldfail = "the guest is gone: the tests that are left did not run"
    for text in findings.allowed:
        item.add_report_section("call", "console", text)
    if findings.complaint:
        pytest.fail("\n".join([findings.complaint, *_of_itself(item, failure)]), pytrace=False)
    if failure is None:
        return result
    if isinstance(failure, LabError) and failure.hint:
        failure.add_note(f"hint: {failure.hint}")
    raise failure


def _seconds(item: pytest.Item) -> float:
    marker = item.get_closest_marker("deadline")
    return float(marker.args[0]) if marker else DEADLINE


def _of_itself(item: pytest.Item, failure: BaseException | None) -> list[str]:
    """What there is to say of a test besides: where it was interrupted, or how it failed."""
    if failure is None:
        return []
    if not isinstance(failure, Interrupted):
        shown = item.repr_failure(pytest.ExceptionInfo.from_exception(failure))
        return ["--- the test itself failed:", str(shown)]
    frames = traceback.extract_tb(failure.__traceback__)
    own = [frame for frame in frames if Path(frame.filename) == item.path]
    return (
        [f"--- the test was at {item.location[0]}:{own[-1].lineno}: {own[-1].line}"] if own else []
    )


@pytest.fixture(scope="session")
def testbed(request: pytest.FixtureRequest) -> Testbed:
    """What the session's tests run on."""
    given = request.config.stash.get(TESTBED, None)
    if given is None:
        pytest.exit("guest tests need a machine: ./lab test -- FILE", EXIT_BAD_CALL)
    return given


@pytest.fixture
def _dut(request: pytest.FixtureRequest, testbed: Testbed) -> Dut:
    try:
        dut = testbed.duts.for_test(request.node.nodeid)
    except LabError as error:
        request.session.shouldfail = f"no machine for the tests that are left: {error.message}"
        raise
    try:
        dut.begin()
    except LabError:
        testbed.duts.leave()
        raise
    request.node.stash[DUT] = dut
    return dut


@pytest.fixture
def machine(_dut: Dut) -> "Machine":
    """The machine under test, its guest as after boot."""
    return _dut.machine


@pytest.fixture
def guest(machine: "Machine") -> "Guest":
    """The guest, as after boot."""
    return machine.guest


@pytest.fixture
def bpf(request: pytest.FixtureRequest, _dut: Dut) -> Bpf:
    """BPF in the guest, nothing loaded yet."""
    _dut.bpf.recorder = request.node.stash[RECORDER] = Recorder()
    return _dut.bpf


# What a test asks on one way it asks on the others too, but not in the quick suite, unless
# the others have code of their own for it.
SLOW = pytest.mark.slow
EACH_NIC = pytest.mark.parametrize(
    "nic", [NICS[0], pytest.param(NICS[1], marks=SLOW)], indirect=True
)
EACH_FAR_SIDE = pytest.mark.parametrize("to", To, ids=[to.name.lower() for to in To])
FAR_SIDES = pytest.mark.parametrize(
    "to", [pytest.param(to, marks=() if to is To.VETH else SLOW, id=to.name.lower()) for to in To]
)


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
