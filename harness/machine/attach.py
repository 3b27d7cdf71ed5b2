# SPDX-License-Identifier: GPL-2.0-only
"""Logs into the VM that `boot` left running, which another process keeps."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from harness.console.log import ConsoleFile
from harness.core.errors import LabError
from harness.core.lock import Busy, locked
from harness.core.progress import say
from harness.machine import vm
from harness.machine.dump import has_ended
from harness.machine.keeper import TALKS, Running, listens, monitor_lock
from harness.machine.qmp import Monitor
from harness.machine.ssh.address import GuestGone
from harness.machine.tap import TapUnavailable

if TYPE_CHECKING:
    from harness.machine.ssh.guest import Guest

LOOK = 0.5  # seconds between two looks whether the kernel has ended


class KernelEnded(LabError):
    """The kernel of a VM has ended, and QEMU keeps its memory."""

    def __init__(self) -> None:
        super().__init__(
            "the kernel of the VM has ended; QEMU still has its memory",
            hint="./lab drgn looks at it, ./lab dump FILE keeps it, ./lab boot has another VM",
        )


@contextmanager
def attached(running: Running, directory: Path) -> Iterator[vm.Machine]:
    """Log into a VM that a keeper holds; leaving it leaves the VM as it is.

    Left by an error, it ends what was started in the guest.
    """
    if str(running.options):
        say(f"machine   {running.options}")
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(socket.socket(fileno=fd))
            for fd in (running.monitor, *running.packets)
        ]
        with running.own_monitor() as monitor:
            if has_ended(monitor):
                raise KernelEnded
        knock = running.address.knock(vm.BOOT_DEADLINE)
        from harness.machine.ssh.guest import Guest  # slow to import; the guest greets meanwhile

        guest = Guest.negotiate(running.address, deadline=vm.BOOT_DEADLINE, knock=knock)
        stack.callback(guest.close)
        guest.log_in()
        stack.enter_context(guest.hung_up())
        monitor = Monitor(connections[0], greeted=True)
        stack.enter_context(_cut_off_at_the_end(monitor, guest))
        yield vm.Machine(
            guest=guest,
            address=running.address,
            monitor=monitor,
            console=ConsoleFile(running.console),
            accelerator=running.accelerator,
            packets=tuple(connections[1:]),
            no_tap=TapUnavailable(running.no_tap) if running.no_tap else None,
            qemu_pid=running.qemu_pid,
            alive=lambda: listens(directory) and Path(f"/proc/{running.qemu_pid}").exists(),
        )


@contextmanager
def _cut_off_at_the_end(monitor: Monitor, guest: "Guest") -> Iterator[None]:
    """Close the connection when the kernel has ended: QEMU goes on, and nobody would answer.

    Raises KernelEnded instead of what that makes of a command.
    """
    left, ended = threading.Event(), threading.Event()

    def watch() -> None:
        while not left.wait(LOOK):
            with contextlib.suppress(Busy), locked(monitor_lock(), TALKS, wait=False):
                if has_ended(monitor):
                    ended.set()
                    guest.close()
                    return

    thread = threading.Thread(target=watch, name="the kernel's end", daemon=True)
    thread.start()
    try:
        yield
    except GuestGone:
        if ended.is_set():
            raise KernelEnded from None
        raise
    finally:
        left.set()
        thread.join()
