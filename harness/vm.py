# SPDX-License-Identifier: GPL-2.0-only
"""A running virtual machine: restored or booted, logged into, and gone when it is left."""

import contextlib
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from harness import qemu
from harness.address import Address, GuestGone
from harness.console import ConsoleFile, Witness
from harness.errors import LabError
from harness.monitor import Monitor, MonitorError
from harness.run import dying_with_parent
from harness.snapshot import State
from harness.tap import Tap, TapUnavailable, open_taps

if TYPE_CHECKING:
    from harness.guest import Guest

BOOT_DEADLINE = 60.0  # seconds to UP, and from there to an SSH session; 2 under TCG when idle
RESTORE_DEADLINE = 20.0  # seconds to an SSH session with a restored machine; 0.3 under TCG
UP = b"lab: userspace is up"  # images/rcS.j2, when sshd listens
POLL = 0.005  # seconds between two looks at the console
CONSOLE_TAIL = 30  # lines
FORWARDED = re.compile(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)")


@dataclass(frozen=True)
class Access:
    """How the lab's guests are logged into."""

    key: Path
    host_key: str


class Process:
    """QEMU, and what the host sees of it: its console and whether it still runs."""

    def __init__(self, popen: "subprocess.Popen[bytes]", console: Path) -> None:
        self._popen = popen
        self._stderr = console.with_suffix(".qemu")
        self.console = console

    @property
    def pid(self) -> int:
        """QEMU's process ID."""
        return self._popen.pid

    def running(self) -> bool:
        """Whether QEMU has not ended."""
        return self._popen.poll() is None

    def wait(self) -> None:
        """Until QEMU ends."""
        self._popen.wait()

    def last_words(self) -> str:
        """The last line that QEMU itself said."""
        return (self._said().splitlines() or [""])[-1]

    def failure(self, what: str, hint: str = "") -> LabError:
        """An error with the console's tail, or with QEMU's own words if the guest said nothing."""
        tail = ConsoleFile(self.console).tail(CONSOLE_TAIL)
        if not tail.strip():
            tail = self._said()
            what += "; the console is empty"
        shown = "\n".join(f"    {line}" for line in tail.splitlines())
        return LabError(f"{what}\n{shown}".rstrip(), hint=hint, log=self.console)

    def _said(self) -> str:
        return self._stderr.read_text(errors="replace") if self._stderr.exists() else ""


@contextmanager
def process(spec: qemu.Spec) -> Iterator[Process]:
    """Start QEMU for the length of the context. It dies with this process, also by SIGKILL."""
    spec.console.parent.mkdir(parents=True, exist_ok=True)
    spec.console.write_bytes(b"")
    with spec.console.with_suffix(".qemu").open("wb") as words:
        popen = subprocess.Popen(
            dying_with_parent(qemu.argv(spec)),
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
            pass_fds=spec.descriptors,
            process_group=0,  # Ctrl-C at the terminal is for the lab, which then stops QEMU
        )
    try:
        yield Process(popen, spec.console)
    finally:
        popen.kill()
        popen.wait()


@dataclass(frozen=True)
class Machine:
    """A VM that is logged into.

    packets: the AF_PACKET sockets of the taps behind qemu.NICS, in their order; none
    without taps, and no_tap then is the reason.
    restored: it started from a saved state. remark: why it did not, or is not
    saved for the next time; "" if all is as it should be.
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


@contextmanager
def boot(spec: qemu.Spec, access: Access, state: State | None = None) -> Iterator[Machine]:
    """A machine from its saved state; where there is none it is booted, and saved for next time.

    spec: comes without descriptors; they are made here. state: None for a machine
    that is always booted and never saved. Raises LabError with the console's tail when
    QEMU ends, the guest panics, or there is no SSH session in BOOT_DEADLINE.
    """
    with contextlib.ExitStack() as stack:
        taps, no_tap = _taps(stack)
        spec = replace(spec, tap_fds=tuple(tap.fd for tap in taps))
        machine, remark = None, ""
        if state:
            try:
                machine = stack.enter_context(_restored(spec, access, state))
            except LabError as error:
                remark = f"the saved state is not used: {error.message.splitlines()[0]}"
                state.remove()
        if machine is None:
            machine = stack.enter_context(_booted(spec, access, state))
        yield replace(
            machine,
            packets=tuple(tap.packets for tap in taps),
            no_tap=no_tap,
            remark=machine.remark or remark,
        )


def _taps(stack: contextlib.ExitStack) -> tuple[list[Tap], TapUnavailable | None]:
    try:
        taps = open_taps(len(qemu.NICS))
    except TapUnavailable as reason:
        return [], reason
    for tap in taps:
        stack.callback(tap.close)
    return taps, None


@contextmanager
def _restored(spec: qemu.Spec, access: Access, state: State) -> Iterator[Machine | None]:
    """A machine from its saved state, None if there is none. LabError for one that is no good."""
    saved = state.open(spec)
    if saved is None:
        yield None
        return
    with contextlib.ExitStack() as stack:
        with saved:
            vm, connection = _launched(
                stack, replace(spec, ram=qemu.Ram(saved.ram.fileno(), saved=True))
            )
            saved.verify()  # while QEMU starts
            try:
                monitor = Monitor(connection)
                saved.load(monitor)
            except MonitorError as error:
                raise LabError(vm.last_words() or error.message) from None
        yield _logged_in(stack, vm, monitor, spec, access, restored=True)


@contextmanager
def _booted(spec: qemu.Spec, access: Access, state: State | None) -> Iterator[Machine]:
    """A machine from its kernel and initramfs on, saved on the way if there is a place for it."""
    with contextlib.ExitStack() as stack:
        ram = contextlib.nullcontext() if state is None else _memory(spec.memory_mib)
        with ram as file:
            backed = replace(spec, ram=qemu.Ram(file.fileno()) if file else None)
            vm, connection = _launched(stack, backed)
            monitor = _monitor(vm, connection)
            complaints = _await_up(vm)
            remark = ""
            if complaints:  # which a restored machine's console would not show
                remark = f"not saved, for the kernel complained while it booted: {complaints[0]}"
            elif state and file:
                remark = _save(state, spec, monitor, file.fileno())
        machine = _logged_in(stack, vm, monitor, spec, access, restored=False)
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


def _await_up(vm: Process) -> list[str]:
    """Until the guest's sshd listens; the kinds of what the kernel complained of meanwhile.

    Raises LabError when waiting on makes no sense.
    """
    console, witness = ConsoleFile(vm.console), Witness()
    seen = b""
    complaints: list[str] = []
    end = time.monotonic() + BOOT_DEADLINE
    while UP not in seen:
        ended = not vm.running()
        new = console.read_new()
        seen = seen[-len(UP) :] + new
        splats = witness.feed(new) + (witness.finish() if ended else [])
        complaints += [splat.kind for splat in splats]
        if "panic" in complaints:
            raise vm.failure("the kernel panicked while it booted")
        if ended:
            raise vm.failure("QEMU ended before sshd answered")
        if time.monotonic() > end:
            raise vm.failure(f"the guest's sshd is not up {BOOT_DEADLINE:.0f} s after the start")
        time.sleep(POLL)
    return complaints


def _logged_in(
    stack: contextlib.ExitStack,
    vm: Process,
    monitor: Monitor,
    spec: qemu.Spec,
    access: Access,
    *,
    restored: bool,
) -> Machine:
    deadline = RESTORE_DEADLINE if restored else BOOT_DEADLINE
    address = Address("127.0.0.1", _forwarded_port(vm, monitor), access.key, access.host_key)
    try:
        knock = address.knock(deadline)
        # Brings paramiko; the guest's sshd begins to answer meanwhile.
        from harness.guest import Guest

        guest = Guest.connect(address, deadline=deadline, knock=knock, clock_is_wrong=restored)
    except GuestGone as gone:
        raise vm.failure(gone.message) from None
    stack.callback(guest.close)
    console = ConsoleFile(vm.console)
    return Machine(
        guest, address, monitor, console, spec.accelerator, (), None, vm.pid, vm.running, restored
    )


def _forwarded_port(vm: Process, monitor: Monitor) -> int:
    """The host port that QEMU's hostfwd got, as QEMU itself tells it."""
    found = FORWARDED.search(monitor.human("info usernet"))
    if not found:
        raise vm.failure("QEMU forwards no port for SSH")
    return int(found[1])
