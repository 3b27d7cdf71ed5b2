# SPDX-License-Identifier: GPL-2.0-only
"""A VM that `boot` leaves running, and whose keeper is stopped: it is found, and ended."""

import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.machine import keeper, keeper_process
from harness.machine.keeper import Running, Silent, Stopped
from harness.testing.fixtures import Bench

pytestmark = [pytest.mark.slow, pytest.mark.unchanged]


@pytest.fixture
def running(bench: Bench, tmp_path: Path) -> Iterator[Running]:
    yield keeper_process.start(tmp_path, bench.artefacts.plan)
    keeper.stop(tmp_path)


def test_it_is_logged_into(running: Running, tmp_path: Path) -> None:
    with keeper.attached(running, tmp_path) as machine:
        assert machine.guest.sh("uname") == "Linux\n"
        assert machine.alive()


def test_stopped_it_is_there_and_ends_with_its_qemu(running: Running, tmp_path: Path) -> None:
    running.close()
    qemu = os.pidfd_open(running.qemu_pid)
    os.kill(running.pid, signal.SIGSTOP)
    with pytest.raises(Silent):
        keeper.ask(tmp_path)
    assert keeper.stop(tmp_path) is Stopped.ENDED
    assert select.select([qemu], [], [], 10)[0]
    os.close(qemu)
    assert keeper.ask(tmp_path) is None
