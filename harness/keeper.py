# SPDX-License-Identifier: GPL-2.0-only
"""The keeper: one small detached process that owns a VM which `boot` leaves running.

It holds QEMU, the tap and the packet socket; QEMU dies with it, and the tap's
namespace with its descriptors, so that killing the keeper leaves nothing. On
its Unix socket it tells who asks how to reach the VM, and hands out QEMU's monitor
and the packet sockets (SCM_RIGHTS). That the socket answers is what 'a VM is running' means:
there is no state on disk that could be stale.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness import environment, qemu, run, vm
from harness.address import Address
from harness.console import ConsoleFile
from harness.errors import LabError
from harness.monitor import Monitor
from harness.plan import Plan
from harness.tap import TapUnavailable

ANSWER_LIMIT = 1 << 16
CONSOLE = "console.log"
STOP_DEADLINE = 5.0  # seconds
REPORT_MARGIN = 30.0  # seconds that a keeper may take beyond the boot's own deadline


@dataclass(frozen=True)
class Running:
    """A VM that a keeper holds, as it tells of it.

    fingerprint: of the artefacts that it runs.
    monitor, packets: descriptors of QEMU's monitor and of the NICs' packet sockets, now this
        process's own; no packets without taps.
    """

    pid: int
    qemu_pid: int
    fingerprint: str
    address: Address
    console: Path
    accelerator: qemu.Accelerator
    no_tap: str
    restored: bool
    remark: str
    monitor: int
    packets: tuple[int, ...]

    def close(self) -> None:
        """Give the descriptors up."""
        for descriptor in (self.monitor, *self.packets):
            os.close(descriptor)


def socket_path(directory: Path) -> str:
    """The keeper's socket in a folder, in a form that fits 107 bytes whatever the folder.

    The caller's descriptor of the folder stays open for as long as the process.
    """
    descriptor = os.open(directory, os.O_PATH | os.O_CLOEXEC)
    return f"/proc/self/fd/{descriptor}/keeper.sock"


def listens(directory: Path) -> bool:
    """Whether something may run in this folder; `ask` knows."""
    return (directory / "keeper.sock").exists()


def ask(directory: Path) -> Running | None:
    """What runs in this folder, or None."""
    if not listens(directory):
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(STOP_DEADLINE)
        try:
            connection.connect(socket_path(directory))
            connection.sendall(b"?")
            answer, fds, _, _ = socket.recv_fds(connection, ANSWER_LIMIT, 1 + len(qemu.NICS))
        except OSError:
            return None
    if not answer:
        return None
    told = json.loads(answer)
    return Running(
        pid=told["pid"],
        qemu_pid=told["qemu_pid"],
        fingerprint=told["fingerprint"],
        address=Address.from_json(told["address"]),
        console=Path(told["console"]),
        accelerator=qemu.Accelerator(**told["accelerator"]),
        no_tap=told["no_tap"],
        restored=told["restored"],
        remark=told["remark"],
        monitor=fds[0],
        packets=tuple(fds[1:]),
    )


def start(directory: Path, plan: Plan) -> Running:
    """Start a keeper with a VM, restored or booted, and return when one can log in.

    Until then the keeper dies with this process. Raises the keeper's error.
    """
    directory.mkdir(parents=True, exist_ok=True)
    order = {"directory": str(directory), "plan": plan.to_json()}
    keeper = run.start(
        [sys.executable, "-m", "harness.keeper"],
        environment.LAB,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(directory / "keeper.log").open("wb"),
        start_new_session=True,
    )
    try:
        told = json.loads(_exchange(keeper, json.dumps(order).encode()) or b"{}")
    except BaseException:
        keeper.kill()
        keeper.wait()
        raise
    if "error" in told:
        keeper.wait()
        raise LabError(
            told["error"], hint=told["hint"], log=Path(told["log"] or directory / CONSOLE)
        )
    running = ask(directory)
    if running is None:
        keeper.kill()
        raise LabError("the keeper of the VM ended", log=directory / "keeper.log")
    return running


def _exchange(keeper: "subprocess.Popen[bytes]", order: bytes) -> bytes:
    """Give the order and read all that the keeper reports; it lives on behind its closed pipe."""
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    with contextlib.suppress(BrokenPipeError), keeper.stdin:
        keeper.stdin.write(order)
    words = b""
    end = time.monotonic() + vm.BOOT_DEADLINE + REPORT_MARGIN
    while select.select([keeper.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
        part = os.read(keeper.stdout.fileno(), ANSWER_LIMIT)
        if not part:
            return words
        words += part
    raise LabError("the keeper of the VM does not report")


def stop(directory: Path) -> bool:
    """Stop what runs in this folder. Returns whether anything did."""
    running = ask(directory)
    if running is None:
        return False
    running.close()
    descriptor = os.pidfd_open(running.pid)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        if not _ended(descriptor, STOP_DEADLINE):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            _ended(descriptor, STOP_DEADLINE)
    finally:
        os.close(descriptor)
    return True


@contextmanager
def attached(running: Running, directory: Path) -> Iterator[vm.Machine]:
    """Log into a VM that a keeper holds; leaving it leaves the VM as it is."""
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(socket.socket(fileno=fd))
            for fd in (running.monitor, *running.packets)
        ]
        knock = running.address.knock(vm.BOOT_DEADLINE)
        from harness.guest import Guest  # slow to import; the guest greets meanwhile

        guest = Guest.negotiate(running.address, deadline=vm.BOOT_DEADLINE, knock=knock)
        stack.callback(guest.close)
        guest.log_in()
        yield vm.Machine(
            guest=guest,
            address=running.address,
            monitor=Monitor(connections[0], greeted=True),
            console=ConsoleFile(running.console),
            accelerator=running.accelerator,
            packets=tuple(connections[1:]),
            no_tap=TapUnavailable(running.no_tap) if running.no_tap else None,
            qemu_pid=running.qemu_pid,
            alive=lambda: listens(directory) and Path(f"/proc/{running.qemu_pid}").exists(),
        )


def _ended(pidfd: int, deadline: float) -> bool:
    readable, _, _ = select.select([pidfd], [], [], deadline)
    return bool(readable)


@contextmanager
def _listening(directory: Path) -> Iterator[socket.socket]:
    path = directory / "keeper.sock"
    path.unlink(missing_ok=True)  # of a keeper that was killed
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        os.umask(0o177)
        server.bind(socket_path(directory))
        server.listen()
        try:
            yield server
        finally:
            path.unlink(missing_ok=True)


def _serve(server: socket.socket, machine: vm.Machine, answer: dict[str, object]) -> None:
    """Answer until QEMU ends."""
    ended = os.pidfd_open(machine.qemu_pid)
    while True:
        readable, _, _ = select.select([server.fileno(), ended], [], [])
        if ended in readable:
            return
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            connection.settimeout(STOP_DEADLINE)
            connection.recv(1)
            handed = [machine.monitor.fileno(), *(each.fileno() for each in machine.packets)]
            socket.send_fds(connection, [json.dumps(answer).encode()], handed)


def _whole(reason: TapUnavailable | None) -> str:
    return f"{reason.message}; {reason.hint}" if reason else ""


def _outlive_parent() -> None:
    """From here on the end of the process that started this one means nothing (prctl(2))."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, 0)


def _report(words: dict[str, str]) -> None:
    """Tell the process that waits in `start`, whose pipe ends with this."""
    os.write(1, json.dumps(words).encode())
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _keep(order: dict[str, Any]) -> None:
    directory = Path(order["directory"])
    plan = Plan.from_json(order["plan"])
    spec = replace(plan.spec, console=directory / CONSOLE)
    with vm.boot(spec, plan.access, plan.state) as machine, _listening(directory) as server:
        machine.guest.sh(":")  # sets its clock
        machine.guest.close()
        answer = {
            "pid": os.getpid(),
            "qemu_pid": machine.qemu_pid,
            "fingerprint": plan.state.made_from,
            "address": machine.address.to_json(),
            "console": str(spec.console),
            "accelerator": asdict(spec.accelerator),
            "no_tap": _whole(machine.no_tap),
            "restored": machine.restored,
            "remark": machine.remark,
        }
        _outlive_parent()
        _report({})
        _serve(server, machine, answer)


def main() -> int:
    """Take the order on stdin, boot, report on stdout, keep the VM until it or this ends."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        _keep(json.load(sys.stdin))
    except LabError as error:
        _report({"error": error.message, "hint": error.hint, "log": str(error.log or "")})
        return error.status
    return 0


if __name__ == "__main__":
    sys.exit(main())
