# SPDX-License-Identifier: GPL-2.0-only
"""A running virtual machine: restored or booted, logged into, and gone when it is left."""

import contextlib
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from harness.console.log import ConsoleFile
from harness.core.errors import LabError
from harness.machine import qemu
from harness.machine.qemu_process import Process, process
from harness.machine.qmp import Monitor, MonitorError
from harness.machine.snapshot import State
from harness.machine.ssh.address import Address, GuestGone
from harness.machine.tap import Tap, TapUnavailable, close_taps, open_taps

if TYPE_CHECKING:
    from harness.machine.ssh.guest import Guest

BOOT_DEADLINE = 60.0  # seconds to UP, and from there to an SSH session; 2 under TCG when idle
RESTORE_DEADLINE = 20.0  # seconds to an SSH session with a restored machine; 0.3 under TCG
UP = b"lab: userspace is up"  # images/rcS.j2, when sshd listens
POLL = 0.005  # seconds between two looks at the console
FORWARDED = re.compile(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)")


@dataclass(frozen=True)
class Access:
    """How the lab's guests are logged into."""

    key: Path
    host_key: str


@dataclass(frozen=True)
class Machine:
    """A VM that is logged into.

    packets: the AF_PACKET sockets of the taps behind qemu.NICS, in their order; none without taps,
        and no_tap then is the reason.
    restored: it started from a saved state.
    remark: why it did not, or is not saved for the next time; "" if all is as it should be.
    """

    guest: "Guest"
    address: Address
    monitor: Monitor
    console: ConsoleFile
    accelerator: qemu.Accelerator
    packets: tuple[socket.socket, ...]
    no_tap: TapUnavailable | None
    qemu_pid: int
    alive: Callable[[], bool]
    restored: bool = False
    remark: str = ""


LogIn = Callable[[qemu.Spec], Machine]
Ready = Callable[[], Machine]


@contextmanager
def boot(spec: qemu.Spec, access: Access, state: State | None = None) -> Iterator[Machine]:
    """A machine that is logged into: `start`, and what that gives."""
    with start(spec, access, state) as log_in:
        yield log_in(spec)


@contextmanager
def start(spec: qemu.Spec, access: Access, state: State | None = None) -> Iterator[LogIn]:
    """Start a machine from its saved state; call what this gives, once, to be logged into it.

    This does not wait for it. Where there is no state that call boots one, and saves it
    for next time: of the kernel and initramfs that the call names, for meanwhile those of
    the start may have been replaced.
    spec: comes without descriptors; they are made here. state: None for a machine
    that is always booted and never saved. The call raises LabError with the console's tail
    when QEMU ends, the guest panics, or there is no SSH session in BOOT_DEADLINE.
    """
    with contextlib.ExitStack() as stack:
        taps, no_tap = _taps(stack)
        spec = replace(spec, tap_fds=tuple(tap.fd for tap in taps))
        restoring = stack.enter_context(contextlib.ExitStack())
        restored, unusable = None, None
        try:
            restored = _restored(restoring, spec, access, state) if state else None
        except LabError as error:
            unusable = error

        def log_in(booted: qemu.Spec) -> Machine:
            machine, remark = None, ""
            try:
                if unusable:
                    raise unusable
                machine = restored() if restored else None
            except LabError as error:
                remark = f"the saved state is not used: {error.message.splitlines()[0]}"
                restoring.close()  # its QEMU has the taps
                assert state is not None
                state.remove()
            if machine is None:
                now = replace(spec, kernel=booted.kernel, initramfs=booted.initramfs)
                machine = stack.enter_context(_booted(now, access, state))
            return replace(
                machine,
                packets=tuple(tap.packets for tap in taps),
                no_tap=no_tap,
                remark=machine.remark or remark,
            )

        yield log_in


def _taps(stack: contextlib.ExitStack) -> tuple[list[Tap], TapUnavailable | None]:
    try:
        taps = open_taps(len(qemu.NICS))
    except TapUnavailable as reason:
        return [], reason
    stack.callback(close_taps, taps)
    return taps, None


def _import_guest() -> None:
    """Have it imported while QEMU starts: it brings paramiko, which takes as long."""
    import harness.machine.ssh.guest  # noqa: F401


def _restored(
    stack: contextlib.ExitStack, spec: qemu.Spec, access: Access, state: State
) -> Ready | None:
    """What logs into a machine from its saved state, None if there is none.

    Meanwhile it comes up. Raises LabError for a state that is no good; so does the call.
    """
    saved = state.open(spec)
    if saved is None:
        return None
    stack.enter_context(saved)
    ram = qemu.Ram(saved.ram.fileno(), saved=True)
    # Here and not in the other thread, with whose end QEMU would end (PR_SET_PDEATHSIG, prctl(2)).
    vm, connection = _launched(stack, replace(spec, ram=ram))
    inner = stack.enter_context(contextlib.ExitStack())

    def come_up() -> Ready:
        try:
            monitor = Monitor(connection)
            saved.load(monitor)
            return _knocked(inner, vm, monitor, spec, access, restored=True)
        except MonitorError as error:
            raise LabError(vm.last_words() or error.message) from None
        finally:
            saved.verify()  # while the guest answers, or as the better reason why it does not

    thread = stack.enter_context(ThreadPoolExecutor(1))
    coming = thread.submit(come_up)
    stack.callback(vm.kill)  # whatever that thread waits for comes to an end
    _import_guest()
    return lambda: coming.result()()


@contextmanager
def _booted(spec: qemu.Spec, access: Access, state: State | None) -> Iterator[Machine]:
    """A machine from its kernel and initramfs on, saved on the way if there is a place for it."""
    with contextlib.ExitStack() as stack:
        ram = contextlib.nullcontext() if state is None else _memory(spec.options.memory)
        with ram as file:
            backed = replace(spec, ram=qemu.Ram(file.fileno()) if file else None)
            vm, connection = _launched(stack, backed)
            _import_guest()
            monitor = _monitor(vm, connection)
            complaints = _await_up(vm, monitor)
            remark = ""
            if complaints:  # which a restored machine's console would not show
                remark = f"not saved, for the kernel complained while it booted: {complaints[0]}"
            elif state and file:
                remark = _save(state, spec, monitor, file.fileno())
        machine = _knocked(stack, vm, monitor, spec, access, restored=False)()
        yield replace(machine, remark=remark)


def _memory(mib: int) -> BinaryIO:
    """A file without a name, in memory; it has holes where the guest has not written."""
    file = os.fdopen(os.memfd_create("guest"), "wb")
    file.truncate(mib << 20)
    return file


def _save(state: State, spec: qemu.Spec, monitor: Monitor, ram: int) -> str:
    """Save the machine's state. Returns why it was not, or ""."""
    try:
        state.save(spec, monitor, ram)
    except LabError as error:
        return f"its state is not saved: {error.message}"
    except OSError as error:
        return f"its state is not saved: {error}"
    return ""


def _launched(stack: contextlib.ExitStack, spec: qemu.Spec) -> tuple[Process, socket.socket]:
    """A QEMU that has just been started, and the connection to its monitor."""
    ours, theirs = socket.socketpair()
    stack.callback(ours.close)
    with theirs:
        vm = stack.enter_context(process(replace(spec, monitor_fd=theirs.fileno())))
    return vm, ours


def _monitor(vm: Process, connection: socket.socket) -> Monitor:
    try:
        return Monitor(connection)
    except MonitorError as error:
        raise vm.failure(f"QEMU did not start: {error.message}") from None


def _await_up(vm: Process, monitor: Monitor) -> list[str]:
    """Until the guest's sshd listens; the kinds of what the kernel complained of meanwhile.

    Raises LabError when waiting on makes no sense.
    """
    from harness.console.scanner import Scanner  # 8 ms, which a saved machine starts without

    console, scanner = ConsoleFile(vm.console), Scanner()
    seen = b""
    complaints: list[str] = []
    end = time.monotonic() + BOOT_DEADLINE
    while UP not in seen:
        ended = not vm.running() or monitor.happened("SHUTDOWN")
        new = console.read_new()
        seen = seen[-len(UP) :] + new
        splats = scanner.feed(new) + (scanner.finish() if ended else [])
        complaints += [splat.kind for splat in splats]
        if "panic" in complaints:
            raise vm.failure("the kernel panicked while it booted")
        if ended:
            raise vm.failure("QEMU ended before sshd answered")
        if time.monotonic() > end:
            raise vm.failure(f"the guest's sshd is not up {BOOT_DEADLINE:.0f} s after the start")
        time.sleep(POLL)
    return complaints


def _knocked(
    stack: contextlib.ExitStack,
    vm: Process,
    monitor: Monitor,
    spec: qemu.Spec,
    access: Access,
    *,
    restored: bool,
) -> Ready:
    """What logs into a machine whose sshd listens; the guest begins to answer at once."""
    deadline = RESTORE_DEADLINE if restored else BOOT_DEADLINE
    address = Address("127.0.0.1", _forwarded_port(vm, monitor), access.key, access.host_key)
    try:
        knock = address.knock(deadline)
        from harness.machine.ssh.guest import Guest

        guest = Guest.negotiate(address, deadline=deadline, knock=knock, clock_is_wrong=restored)
    except GuestGone as gone:
        raise vm.failure(gone.message) from None

    stack.callback(guest.close)

    def log_in() -> Machine:
        try:
            guest.log_in()
        except GuestGone as gone:
            raise vm.failure(gone.message) from None
        console = ConsoleFile(vm.console)

        def alive() -> bool:
            stopped = spec.options.stays and monitor.happened("SHUTDOWN")
            return vm.running() and not stopped

        return Machine(
            guest, address, monitor, console, spec.accelerator, (), None, vm.pid, alive, restored
        )

    return log_in


def _forwarded_port(vm: Process, monitor: Monitor) -> int:
    """The host port that QEMU's hostfwd got, as QEMU itself tells it."""
    found = FORWARDED.search(monitor.human("info usernet"))
    if not found:
        raise vm.failure("QEMU forwards no port for SSH")
    return int(found[1])
