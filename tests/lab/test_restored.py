# SPDX-License-Identifier: GPL-2.0-only
"""A machine from a saved state is as one that was booted, and another one each time."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.core.run import run
from harness.machine import snapshot, vm
from harness.machine.session import starter
from harness.machine.snapshot import State
from harness.testing.fixtures import Testbed

pytestmark = pytest.mark.unchanged

DAY = 86400  # seconds


@pytest.fixture
def state(testbed: Testbed, tmp_path: Path) -> Iterator[State]:
    """A state of this test's own, made from what the session's machines are made of."""
    with starter(testbed.artefacts.plan)():
        pass  # one is saved now, if none was
    own = State(tmp_path / "state", testbed.artefacts.state.made_from)
    run(
        ["cp", "-r", "--sparse=always", testbed.artefacts.state.directory, own.directory],
        deadline=60,
    )
    yield own
    own.remove()


@pytest.fixture
def machines(testbed: Testbed, state: State, tmp_path: Path) -> Iterator["Boots"]:
    with ExitStack() as stack:
        yield Boots(testbed, state, tmp_path, stack)


class Boots:
    """What boots machines with that state, which live as long as the test."""

    def __init__(self, testbed: Testbed, state: State, directory: Path, stack: ExitStack) -> None:
        self._artefacts = testbed.artefacts
        self._state = state
        self._directory = directory
        self._stack = stack

    def boot(self, name: str = "console.log") -> vm.Machine:
        spec = self._artefacts.spec(self._directory / name)
        return self._stack.enter_context(vm.boot(spec, self._artefacts.access, self._state))


def test_its_clock_is_the_hosts(machines: Boots, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a host a day later, for the state may be seconds old."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + DAY)
    machine = machines.boot()
    assert machine.restored
    before = time.time()
    date = int(machine.guest.sh("date +%s"))
    assert before - 1 <= date <= time.time() + 1


def test_its_random_numbers_are_its_own(machines: Boots) -> None:
    random = set()
    for name in ("first.log", "second.log"):
        machine = machines.boot(name)
        assert machine.restored and not machine.remark
        uuid, *log = machine.guest.sh("cat /proc/sys/kernel/random/uuid; dmesg").splitlines()
        random.add(uuid)
        assert any("crng reseeded due to virtual machine fork" in line for line in log)
    assert len(random) == 2


def test_what_one_machine_does_is_not_in_the_next(machines: Boots) -> None:
    machine = machines.boot()
    machine.guest.sh("touch /tmp/left; ip link add left type dummy; sync")
    another = machines.boot("another.log")
    assert another.restored
    assert another.guest.run("[ ! -e /tmp/left ] && [ ! -e /sys/class/net/left ]").status == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", [snapshot.RAM, snapshot.DEVICES])
@pytest.mark.parametrize("harm", ["cut", "altered"])
def test_a_state_that_is_no_good_is_replaced(
    machines: Boots, state: State, name: str, harm: str
) -> None:
    path = state.directory / name
    with path.open("r+b") as file:
        if harm == "cut":
            file.truncate(path.stat().st_size - 200)
        else:
            (byte,) = os.pread(file.fileno(), 1, 200_000)
            os.pwrite(file.fileno(), bytes([byte ^ 1]), 200_000)
    machine = machines.boot()
    assert not machine.restored
    expected = f"the saved state is not used: its file {name!r} is not as it was saved"
    assert machine.remark == expected
    assert machines.boot("next.log").restored
