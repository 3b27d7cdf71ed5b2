# SPDX-License-Identifier: GPL-2.0-only
"""A running virtual machine: started, watched until sshd answers, and gone when it is left."""

import contextlib
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness import qemu
from harness.channel import GuestGone
from harness.console import ConsoleFile, Witness
from harness.errors import LabError
from harness.guest import Address, Guest
from harness.monitor import Monitor, MonitorError
from harness.run import dying_with_parent
from harness.tap import Tap, TapUnavailable, open_taps

BOOT_DEADLINE = 60.0  # seconds to an SSH session; 2 under TCG on an idle machine
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

    def failure(self, what: str, hint: str = "") -> LabError:
        """An error with the console's tail, or with QEMU's own words if the guest said nothing."""
        tail = ConsoleFile(self.console).tail(CONSOLE_TAIL)
        if not tail.strip():
            tail = self._stderr.read_text(errors="replace") if self._stderr.exists() else ""
            what += "; the console is empty"
        shown = "\n".join(f"    {line}" for line in tail.splitlines())
        return LabError(f"{what}\n{shown}".rstrip(), hint=hint, log=self.console)


@contextmanager
def process(spec: qemu.Spec, pass_fds: tuple[int, ...]) -> Iterator[Process]:
    """Start QEMU for the length of the context. It dies with this process, also by SIGKILL."""
    spec.console.parent.mkdir(parents=True, exist_ok=True)
    spec.console.write_bytes(b"")
    with spec.console.with_suffix(".qemu").open("wb") as words:
        popen = subprocess.Popen(
            dying_with_parent(qemu.argv(spec)),
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
            pass_fds=pass_fds,
            process_group=0,  # Ctrl-C at the terminal is for the lab, which then stops QEMU
        )
    try:
        yield Process(popen, spec.console)
    finally:
        popen.kill()
        popen.wait()


@dataclass(frozen=True)
class Machine:
    """A VM whose sshd answers.

    packets: the AF_PACKET sockets of the taps behind qemu.NICS, in their order; none
    without taps, and no_tap then is the reason.
    """

    guest: Guest
    address: Address
    monitor: Monitor
    console: ConsoleFile
    accelerator: qemu.Accelerator
    packets: tuple[socket.socket, ...]
    no_tap: TapUnavailable | None
    qemu_pid: int
    alive: Callable[[], bool]


@contextmanager
def boot(spec: qemu.Spec, access: Access) -> Iterator[Machine]:
    """Boot a machine and log in. `spec` comes without descriptors; they are made here.

    Raises LabError with the console's tail when QEMU ends, the guest panics,
    or sshd does not answer in BOOT_DEADLINE.
    """
    with contextlib.ExitStack() as stack:
        taps, no_tap = _taps(stack)
        ours, theirs = socket.socketpair()
        stack.callback(ours.close)
        with theirs:
            tap_fds = tuple(tap.fd for tap in taps)
            spec = replace(spec, monitor_fd=theirs.fileno(), tap_fds=tap_fds)
            vm = stack.enter_context(process(spec, (theirs.fileno(), *tap_fds)))
        monitor = _monitor(vm, ours)
        address = Address("127.0.0.1", _forwarded_port(vm, monitor), access.key, access.host_key)
        try:
            guest = Guest.connect(address, deadline=BOOT_DEADLINE, alive=_boot_watch(vm))
        except GuestGone:
            raise vm.failure(f"no SSH session {BOOT_DEADLINE:.0f} s after the start") from None
        stack.callback(guest.close)
        yield Machine(
            guest, address, monitor, ConsoleFile(vm.console), spec.accelerator,
            tuple(tap.packets for tap in taps), no_tap, vm.pid, vm.running,
        )  # fmt: skip


def _taps(stack: contextlib.ExitStack) -> tuple[list[Tap], TapUnavailable | None]:
    try:
        taps = open_taps(len(qemu.NICS))
    except TapUnavailable as reason:
        return [], reason
    for tap in taps:
        stack.callback(tap.close)
    return taps, None


def _monitor(vm: Process, connection: socket.socket) -> Monitor:
    try:
        return Monitor(connection)
    except MonitorError as error:
        raise vm.failure(f"QEMU did not start: {error.message}") from None


def _forwarded_port(vm: Process, monitor: Monitor) -> int:
    """The host port that QEMU's hostfwd got, as QEMU itself tells it."""
    found = FORWARDED.search(monitor.human("info usernet"))
    if not found:
        raise vm.failure("QEMU forwards no port for SSH")
    return int(found[1])


def _boot_watch(vm: Process) -> Callable[[], None]:
    """A check for use while the guest boots: raises when waiting on makes no sense."""
    console, witness = ConsoleFile(vm.console), Witness()

    def check() -> None:
        ended = not vm.running()
        splats = witness.feed(console.read_new())
        if ended:
            splats += witness.finish()
        panic = next((splat for splat in splats if splat.kind == "panic"), None)
        if panic:
            raise vm.failure("the kernel panicked while it booted")
        if ended:
            raise vm.failure("QEMU ended before sshd answered")

    return check
