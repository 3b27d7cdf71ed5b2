# SPDX-License-Identifier: GPL-2.0-only
"""A keeper from its start to its end; harness/machine/keeper.py is what others ask of it."""

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
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from harness.core import environment, private, run
from harness.core.errors import LabError
from harness.machine import keeper, vm
from harness.machine.plan import Plan
from harness.machine.tap import TapUnavailable

QUESTION_DEADLINE = 1.0  # seconds; who connects asks at once
REPORT_MARGIN = 30.0  # seconds that a keeper may take beyond the boot's own deadline
REPORT_LIMIT = 1 << 16
LOOK = 1.0  # seconds between two looks whether the socket can still be found


def start(directory: Path, plan: Plan) -> keeper.Running:
    """Start a keeper with a VM, restored or booted, and return when one can log in.

    Until then the keeper dies with this process. Raises the keeper's error.
    """
    private.folder(directory)
    log = directory / "keeper.log"
    process = run.start(
        [sys.executable, "-m", "harness.machine.keeper_process"],
        environment.LAB,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log.open("wb"),
        start_new_session=True,
    )
    order = {"directory": str(directory), "plan": plan.to_json()}
    try:
        words = _exchange(process, json.dumps(order).encode())
    except BaseException:
        process.kill()
        process.wait()
        raise
    if not words:
        process.wait()
        raise LabError("the keeper of the VM was ended while that booted", log=log)
    if told := json.loads(words):
        process.wait()
        console = directory / keeper.CONSOLE
        raise LabError(told["error"], hint=told["hint"], log=Path(told["log"] or console))
    running = keeper.ask(directory)
    if running is None:
        raise LabError("the keeper of the VM ended", log=log)
    return running


def _exchange(process: "subprocess.Popen[bytes]", order: bytes) -> bytes:
    """Give the order and read all that the keeper reports; it lives on behind its closed pipe."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.write(order)
    words = b""
    end = time.monotonic() + vm.BOOT_DEADLINE + REPORT_MARGIN
    while select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
        part = os.read(process.stdout.fileno(), REPORT_LIMIT)
        if not part:
            return words
        words += part
    raise LabError("the keeper of the VM does not report")


def _keep(order: dict[str, Any]) -> None:
    directory = Path(order["directory"])
    plan = Plan.from_json(order["plan"])
    spec = replace(plan.spec, console=directory / keeper.CONSOLE)
    # From here on whoever asks waits until the VM is up, and `down` ends this.
    with (
        listening(directory) as server,
        vm.boot(spec, plan.access, plan.state if spec.options.can_be_saved else None) as machine,
    ):
        machine.guest.sh(":")  # sets its clock
        machine.guest.close()
        answer = {
            "pid": os.getpid(),
            "qemu_pid": machine.qemu_pid,
            "fingerprint": plan.state.made_from,
            "address": machine.address.to_json(),
            "console": str(spec.console),
            "accelerator": asdict(spec.accelerator),
            "options": spec.options.to_json(),
            "no_tap": _whole(machine.no_tap),
            "restored": machine.restored,
            "remark": machine.remark,
        }
        _outlive_parent()
        _report({})
        handed = [machine.monitor.fileno(), *(each.fileno() for each in machine.packets)]
        serve(server, directory, machine.qemu_pid, answer, handed)


@contextmanager
def listening(directory: Path) -> Iterator[socket.socket]:
    """The keeper's socket in a folder. Raises LabError if there is a keeper already."""
    if keeper.is_there(directory):
        raise LabError("there is a VM already", hint="./lab down")
    path = directory / keeper.SOCKET
    path.unlink(missing_ok=True)  # of a keeper that was killed
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        before = os.umask(0o177)
        try:
            server.bind(keeper.socket_path(directory))
        finally:
            os.umask(before)
        server.listen(socket.SOMAXCONN)
        try:
            yield server
        finally:
            path.unlink(missing_ok=True)


def serve(
    server: socket.socket,
    directory: Path,
    qemu_pid: int,
    answer: dict[str, object],
    handed: list[int],
) -> None:
    """Answer until QEMU ends, or the socket is no more where others look for it."""
    ended = os.pidfd_open(qemu_pid)
    path = keeper.socket_path(directory)
    own = _inode(path)
    while True:
        readable, _, _ = select.select([server.fileno(), ended], [], [], LOOK)
        if ended in readable:
            return
        if readable:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.settimeout(QUESTION_DEADLINE)
                connection.recv(1)
                socket.send_fds(connection, [json.dumps(answer).encode()], handed)
        elif own is None or _inode(path) != own:
            return


def _inode(path: str) -> int | None:
    try:
        return Path(path).stat().st_ino
    except OSError:
        return None


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
