# SPDX-License-Identifier: GPL-2.0-only
"""A VM that `boot` leaves running: its keeper stopped, it is found; killed, all of it is gone."""

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.machine import keeper, keeper_process
from harness.machine.attach import KernelEnded, attached
from harness.machine.dump import dump, has_ended
from harness.machine.keeper import Running, Silent, Stopped
from harness.machine.options import Options
from harness.machine.ssh.address import GuestGone
from harness.testing.fixtures import Testbed

pytestmark = [pytest.mark.slow, pytest.mark.unchanged]


@pytest.fixture
def running(testbed: Testbed, tmp_path: Path) -> Iterator[Running]:
    yield keeper_process.start(tmp_path, testbed.artefacts.plan)
    keeper.stop(tmp_path)


def test_it_is_logged_into(running: Running, tmp_path: Path) -> None:
    with attached(running, tmp_path) as machine:
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


def test_killed_it_takes_all_of_the_vm_with_it(running: Running, tmp_path: Path) -> None:
    """QEMU, which holds the tap; the forwarded port; and none is running for who asks."""
    running.close()
    with contextlib.closing(running.address.knock(10)) as connection:
        assert connection.recv(4) == b"SSH-"
    ends = [os.pidfd_open(pid) for pid in (running.qemu_pid, running.pid)]
    os.kill(running.pid, signal.SIGKILL)
    for end in ends:
        assert select.select([end], [], [], 10)[0]
        os.close(end)
    with pytest.raises(GuestGone):
        running.address.knock(10)
    assert keeper.ask(tmp_path) is None
    assert keeper.stop(tmp_path) is Stopped.NONE


def test_a_kernel_that_panicked_leaves_its_memory(
    testbed: Testbed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """QEMU has it until the keeper is stopped; who wants the guest is told."""
    plan = testbed.artefacts.with_options(Options(stays=True, cpus=1)).plan
    running = keeper_process.start(tmp_path, plan)
    try:
        with pytest.raises(KernelEnded), attached(running, tmp_path) as machine:
            machine.guest.run("echo c >/proc/sysrq-trigger")
        said = capsys.readouterr()
        assert "machine   --cpus 1" in said.out + said.err  # where xdist has stdout
        again = keeper.ask(tmp_path)
        assert again
        with again.own_monitor() as monitor:
            assert has_ended(monitor)
            dump(monitor, tmp_path / "memory")
        assert (tmp_path / "memory").stat().st_size > 1 << 20
        with pytest.raises(KernelEnded), attached(again, tmp_path):
            pass
    finally:
        keeper.stop(tmp_path)
