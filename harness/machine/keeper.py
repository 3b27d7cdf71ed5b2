# SPDX-License-Identifier: GPL-2.0-only
"""The keeper: one small detached process that owns a VM which `boot` leaves running.

It holds QEMU, the tap and the packet socket; QEMU dies with it, and the tap's
namespace with its descriptors, so that killing the keeper leaves nothing. On
its Unix socket it tells who asks how to reach the VM, and hands out QEMU's monitor
and the packet sockets (SCM_RIGHTS). That the socket takes a connection is what 'a VM is
running' means: there is no state on disk that could be stale, and a keeper that is stopped,
busy, still booting or of another version of the lab is not taken for dead.

This is what others ask of it; what it does is in harness/machine/keeper_process.py.
"""

import enum
import json
import os
import select
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from harness.core.errors import LabError
from harness.core.lock import locked
from harness.core.workspace import machine_dir
from harness.machine import qemu
from harness.machine.options import Options
from harness.machine.qmp import Monitor
from harness.machine.ssh.address import Address

SOCKET = "keeper.sock"
CONSOLE = "console.log"
TESTED = "tests in the VM that boot left running"  # under its folder's lock
TALKS = "talks with QEMU"  # under that of monitor_lock()
ANSWER_LIMIT = 1 << 16
ANSWER_DEADLINE = 5.0  # seconds
STOP_DEADLINE = 5.0
UCRED = struct.Struct("3i")  # pid, uid, gid: SO_PEERCRED, unix(7)


class Silent(LabError):
    """There is a keeper, and it does not say what it keeps."""


class OtherVersion(LabError):
    """There is a keeper, and what it says is not what this version of the lab understands."""


class Stopped(enum.Enum):
    """What became of the VM, as `down` says it."""

    NONE = "no VM was running"
    ENDED = "the VM is stopped"
    KILLED = "the VM is stopped; its keeper did not end by itself and was killed"


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
    options: Options
    no_tap: str
    restored: bool
    remark: str
    monitor: int
    packets: tuple[int, ...]

    @contextmanager
    def own_monitor(self) -> Iterator[Monitor]:
        """The monitor, by a descriptor of the context's own, and for this process alone.

        All have the same connection: each would take answers that are another's.
        """
        with (
            locked(monitor_lock(), TALKS),
            socket.socket(fileno=socket.dup(self.monitor)) as connection,
        ):
            yield Monitor(connection, greeted=True)

    def close(self) -> None:
        """Give the descriptors up."""
        for descriptor in (self.monitor, *self.packets):
            os.close(descriptor)


def monitor_lock() -> Path:
    """The folder whose lock is for the monitor: all that use a VM have one connection to it."""
    return machine_dir() / "monitor"


def socket_path(directory: Path) -> str:
    """The keeper's socket in a folder, in a form that fits 107 bytes whatever the folder.

    The caller's descriptor of the folder stays open for as long as the process.
    """
    descriptor = os.open(directory, os.O_PATH | os.O_CLOEXEC)
    return f"/proc/self/fd/{descriptor}/{SOCKET}"


def listens(directory: Path) -> bool:
    """Whether something may run in this folder; `is_there` knows."""
    try:
        return (directory / SOCKET).exists()
    except PermissionError:  # in another user's folder
        return True


def is_there(directory: Path) -> bool:
    """Whether this folder has a keeper. Raises LabError if it is out of this user's reach."""
    connection = _connected(directory)
    if connection:
        connection.close()
    return connection is not None


def ask(directory: Path) -> Running | None:
    """What runs in this folder, or None. Raises Silent, OtherVersion."""
    connection = _connected(directory)
    if connection is None:
        return None
    with connection:
        try:
            connection.sendall(b"?")
            answer, fds, _, _ = socket.recv_fds(connection, ANSWER_LIMIT, 1 + len(qemu.NICS))
        except TimeoutError:
            raise Silent(
                f"the keeper of the VM, process {_peer(connection)}, does not answer",
                hint="wait if it boots the VM; ./lab down ends it, whatever it is at",
            ) from None
        except OSError:
            answer, fds = b"", []
        if not answer and _gone(_peer(connection)):
            return None
    try:
        return _understood(answer, fds)
    except (ValueError, KeyError, TypeError, IndexError):
        for descriptor in fds:
            os.close(descriptor)
        raise OtherVersion(
            "the VM that runs was started by another version of the lab",
            hint="./lab boot replaces it, ./lab down stops it",
        ) from None


def _understood(answer: bytes, fds: list[int]) -> Running:
    told = json.loads(answer)
    return Running(
        pid=int(told["pid"]),
        qemu_pid=int(told["qemu_pid"]),
        fingerprint=told["fingerprint"],
        address=Address.from_json(told["address"]),
        console=Path(told["console"]),
        accelerator=qemu.Accelerator(**told["accelerator"]),
        options=Options.from_json(told["options"]),
        no_tap=told["no_tap"],
        restored=told["restored"],
        remark=told["remark"],
        monitor=fds[0],
        packets=tuple(fds[1:]),
    )


def _connected(directory: Path) -> socket.socket | None:
    """A connection to the keeper, whatever that is at; None if there is none."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(ANSWER_DEADLINE)
    try:
        connection.connect(socket_path(directory))
    except OSError as error:
        connection.close()
        if isinstance(error, (ConnectionRefusedError, FileNotFoundError, NotADirectoryError)):
            return None
        _refuse(directory / SOCKET, error)
    return connection


def _refuse(path: Path, error: OSError) -> NoReturn:
    """Say why a socket at which somebody listens takes no connection of ours."""
    if isinstance(error, PermissionError):
        raise LabError("the VM that runs is another user's", hint=f"ls -l {path}") from None
    if isinstance(error, BlockingIOError):
        raise LabError(
            "the keeper of the VM does not answer, and too many commands wait for it",
            hint=f"kill the process that has this socket: ss -xlp | grep {path.name}",
        ) from None
    raise error


def _peer(connection: socket.socket) -> int:
    """The process at the other end; 0 if it is of another PID namespace."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size)
    pid: int = UCRED.unpack(credentials)[0]
    return pid


def _gone(pid: int) -> bool:
    """Whether a process that said nothing more is one that ends."""
    if not pid:
        return False
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return _ended(descriptor, STOP_DEADLINE)
    finally:
        os.close(descriptor)


def stop(directory: Path) -> Stopped:
    """Stop what runs in this folder, whatever its keeper is at, or understands."""
    connection = _connected(directory)
    if connection is None:
        return Stopped.NONE
    with connection:
        pid = _peer(connection)
        if not pid:
            raise LabError("the VM was started in another container", hint="./lab down there")
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return Stopped.ENDED
    try:
        # The second signal is for one that is stopped, and would not get the first.
        for number in (signal.SIGTERM, signal.SIGCONT):
            signal.pidfd_send_signal(descriptor, number)
        if _ended(descriptor, STOP_DEADLINE):
            return Stopped.ENDED
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        if _ended(descriptor, STOP_DEADLINE):
            return Stopped.KILLED
    except ProcessLookupError:
        return Stopped.ENDED
    finally:
        os.close(descriptor)
    raise LabError(f"the keeper of the VM, process {pid}, does not end, also by SIGKILL")


def _ended(pidfd: int, deadline: float) -> bool:
    readable, _, _ = select.select([pidfd], [], [], deadline)
    return bool(readable)
