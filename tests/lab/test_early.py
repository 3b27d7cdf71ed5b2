# SPDX-License-Identifier: GPL-2.0-only
"""A machine that was started before it was known to be the right one is used, or is gone."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.machine.plan import last
from harness.machine.prestart import Early
from harness.machine.session import starter
from harness.testing.fixtures import Testbed

pytestmark = pytest.mark.unchanged


class Started:
    """An early machine that was started, and its process."""

    def __init__(self, early: Early) -> None:
        before = _qemus()
        early.start()
        end = time.monotonic() + 10
        while not (new := _qemus() - before):  # started, and not QEMU's program yet
            assert time.monotonic() < end
            time.sleep(0.001)
        (self.process,) = new
        self.early = early


@pytest.fixture
def started(testbed: Testbed) -> Iterator[Started]:
    with starter(testbed.artefacts.plan)():
        pass  # one is saved now, if none was
    with Early(testbed.artefacts.selection) as early:
        yield Started(early)


def _qemus() -> set[Path]:
    """QEMUs that this process started."""
    return {
        process
        for process in Path("/proc").glob("[0-9]*")
        if _read(process / "status").startswith("Name:\tqemu")
        and f"\nPPid:\t{os.getpid()}\n" in _read(process / "status")
    }


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended
        return ""


def test_the_last_build_is_remembered(testbed: Testbed) -> None:
    assert testbed.artefacts.plan.is_same_machine(last(testbed.artefacts.selection))


def test_one_that_fits_is_the_first_machine(testbed: Testbed, started: Started) -> None:
    start = starter(testbed.artefacts.plan, early=started.early)
    with start() as machine:
        assert machine.qemu_pid == int(started.process.name)
        assert machine.restored
        assert machine.guest.sh("echo here") == "here\n"
    assert started.process not in _qemus()
    with start() as another:
        assert another.guest.sh("echo here") == "here\n"


def test_one_that_does_not_fit_is_thrown_away(testbed: Testbed, started: Started) -> None:
    state = replace(testbed.artefacts.state, made_from="another kernel")
    changed = replace(testbed.artefacts.plan, state=state)
    with starter(changed, early=started.early)() as machine:
        assert started.process not in _qemus()
        assert machine.guest.sh("echo here") == "here\n"


def test_one_that_nobody_takes_is_thrown_away(testbed: Testbed) -> None:
    with Early(testbed.artefacts.selection) as early:
        process = Started(early).process
    assert process not in _qemus()
