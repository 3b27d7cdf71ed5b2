# SPDX-License-Identifier: GPL-2.0-only
"""One command in the guest, on a channel of an SSH connection: its three streams and its end."""

import os
import shlex
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import paramiko
from paramiko.common import MSG_CHANNEL_REQUEST

from harness.core.errors import LabError
from harness.machine.ssh.address import GuestGone

CHUNK = 32768  # bytes; the most that paramiko puts into one packet
START_TIMEOUT = 30.0  # seconds for a command to start that then may run for ever
MAX_COMMAND = 9000  # bytes; dropbear's MAX_CMD_LEN (sysoptions.h): it refuses more
STDERR_TAIL = 20  # lines of a failed command's stderr in the error

Send = Callable[[bytes], None]
Feed = Callable[[Send], None]
Sink = Callable[[bytes], object]


class GuestTimeout(LabError):
    """A command in the guest did not end in time. The connection may still be good."""


class GuestCommandFailed(LabError):
    """A command in the guest ended with another status than 0."""

    def __init__(self, command: str, status: int, stderr: bytes) -> None:
        text = stderr.decode(errors="replace")
        tail = "".join(f"\n    {line}" for line in text.splitlines()[-STDERR_TAIL:])
        super().__init__(f"exit status {status} in the guest: {_shown(command)}{tail}")
        self.command = command
        self.exit_status = status
        self.stderr = text


class _Ended(Exception):
    """Nobody reads this channel any more."""


class Transport(paramiko.Transport):
    """paramiko's, but it hears that a signal ended a command: exit-signal, RFC 4254 6.10.

    paramiko 5.1 drops that message, and the command would have no status.
    """

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection)
        handlers = paramiko.Transport._channel_handler_table  # type: ignore[attr-defined]
        self._channel_handler_table = {**handlers, MSG_CHANNEL_REQUEST: _on_request}


def _on_request(channel: Any, message: paramiko.Message) -> None:
    at = message.packet.tell()
    if message.get_text() != "exit-signal":
        message.packet.seek(at)
        channel._handle_request(message)
        return
    message.get_boolean()
    number = getattr(signal, f"SIG{message.get_text()}", 0)
    channel.exit_status = 128 + number
    channel.status_event.set()


@dataclass(frozen=True)
class Wrapped:
    """A command as it is sent.

    script: what stands on its stdin before its own input.
    """

    line: bytes
    script: bytes = b""


def wrap(command: str, prefix: str = "") -> Wrapped:
    """What is sent for a command: its shell stays, to report a program's signal as 128+N.

    dropbear 2022.83 has words for some signals only, and says nothing of the others. With
    `eval` what is wrong with the command's syntax ends with the command.
    A command that the sshd would not take comes on stdin, of which dd(1) takes it, and not a
    byte more. Its braces are one command: if the end is lost on the way, none of it is run.
    """
    text = os.fsencode(f"eval {shlex.quote(command)}; exit $?")
    before = os.fsencode(prefix)
    if len(before + text) <= MAX_COMMAND:
        return Wrapped(before + text)
    script = b"{ %b\n}" % text
    taken = b'eval "$(dd bs=%d count=1 iflag=fullblock 2>/dev/null)"' % len(script)
    return Wrapped(before + taken, script)


def converse(
    transport: paramiko.Transport,
    command: str,
    feed: Feed,
    stdout: Sink,
    stderr: Sink,
    *,
    timeout: float | None = None,
    prepare: Callable[[paramiko.Channel], None] = lambda channel: None,
    done: Callable[[], None] = lambda: None,
    prefix: str = "",
) -> int:
    """Run a command and return its exit status, 128+N for signal N.

    feed: runs in a thread, writes the command's stdin by the function that it is given;
        its return is the end of the input.
    stdout, stderr: called with what comes, as it comes, in two threads.
    timeout: seconds to the command's end; None for a command that may run for ever.
    prepare: called with the channel before the command starts.
    done: called at the end, to wake a feed that waits for something.
    prefix: shell words that run before the command and apart from it.
    Raises what feed and the sinks raise; GuestTimeout; GuestGone.
    """
    wrapped = wrap(command, prefix)
    limit = START_TIMEOUT if timeout is None else timeout
    expired = threading.Event()
    try:
        channel = transport.open_session(timeout=limit)
    except paramiko.ChannelException:
        raise _lost(transport, command, None) from None
    except (paramiko.SSHException, EOFError, OSError):
        raise _lost(transport, command, limit) from None

    def expire() -> None:
        expired.set()
        channel.close()  # wakes all who wait for it, exec_command included

    workers: list[_Worker] = []
    timer = threading.Timer(limit, expire)
    timer.daemon = True
    timer.start()
    try:
        try:
            prepare(channel)
            channel.exec_command(wrapped.line)
        except (paramiko.SSHException, EOFError, OSError):
            raise _lost(transport, command, limit if expired.is_set() else None) from None
        if timeout is None:
            timer.cancel()
        errors = _Worker(channel, lambda: _drain(channel.recv_stderr, stderr))
        workers += [errors, _Worker(channel, lambda: _write(channel, wrapped.script, feed))]
        for worker in workers:
            worker.start()
        _drain(channel.recv, stdout)
        errors.join()
        status = channel.recv_exit_status()
    finally:
        timer.cancel()
        # Here and now: a channel left to the garbage collector races the next one.
        channel.close()
        done()
        for worker in workers:
            worker.join(1.0)
    for worker in workers:
        if worker.failure:
            raise worker.failure
    if status >= 0:
        return status
    raise _lost(transport, command, limit if expired.is_set() else None)


class _Worker(threading.Thread):
    """A thread that keeps its failure, and ends the conversation with it."""

    def __init__(self, channel: paramiko.Channel, work: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self.failure: BaseException | None = None
        self._channel = channel
        self._work = work

    def run(self) -> None:
        try:
            self._work()
        except _Ended:
            pass
        except BaseException as error:
            self.failure = error
            self._channel.close()


def _drain(receive: Callable[[int], bytes], sink: Sink) -> None:
    while data := receive(CHUNK):
        sink(data)


def _write(channel: paramiko.Channel, first: bytes, feed: Feed) -> None:
    def send(data: bytes) -> None:
        try:
            channel.sendall(data)
        except (paramiko.SSHException, EOFError, OSError):
            raise _Ended from None

    send(first)
    feed(send)
    try:
        channel.shutdown_write()
    except (paramiko.SSHException, EOFError, OSError):
        raise _Ended from None


def _lost(transport: paramiko.Transport, command: str, expired: float | None) -> LabError:
    """Why a command has no status. expired: its time in seconds, if that is over."""
    if not transport.is_active():
        return GuestGone(
            f"the connection to the guest is gone: {_shown(command)}",
            hint="the guest's console tells why",
        )
    if expired is not None:
        return GuestTimeout(f"not done after {expired:g} s in the guest: {_shown(command)}")
    return GuestGone(f"the guest's sshd closed the channel of: {_shown(command)}")


def _shown(command: str) -> str:
    first, _, rest = command.partition("\n")
    return f"{first[:200]} ..." if rest or len(first) > 200 else first
