# SPDX-License-Identifier: GPL-2.0-only
"""A running guest, by SSH: commands, streams, a terminal, copies.

The only module that speaks SSH. The far end is dropbear 2022.83, often on an
emulated CPU: the algorithms are the cheapest that both sides know, and each
round trip saved is worth having.
"""

import contextlib
import functools
import io
import logging
import os
import socket
import sys
import threading
import time
from base64 import b64decode
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import paramiko

from harness.core.errors import LabError
from harness.machine.ssh import hangup, terminal, transfer
from harness.machine.ssh.address import USER, Address, GuestGone
from harness.machine.ssh.channel import GuestCommandFailed, GuestTimeout, Sink, Transport, converse

# paramiko logs tracebacks of its own thread; what they say is in our errors.
_LOG = "kernel-patch-lab.paramiko"
logging.getLogger(_LOG).addHandler(logging.NullHandler())
logging.getLogger(_LOG).propagate = False

__all__ = ["Address", "Completed", "Guest", "GuestCommandFailed", "GuestGone", "GuestTimeout"]


@dataclass(frozen=True)
class Completed:
    """A command that ended.

    status: 128+N if signal N ended it.
    """

    status: int
    stdout: bytes
    stderr: bytes


class Guest:
    """One connection, a channel for each command; several threads may use it.

    last_command: that `run` was given.
    """

    def __init__(
        self,
        address: Address,
        transport: paramiko.Transport,
        connection: socket.socket,
        deadline: float,
    ) -> None:
        self._address = address
        self._transport = transport
        self._connection = connection
        self._deadline = time.monotonic() + deadline
        self._negotiated = threading.Event()
        self._clock_is_wrong = False
        self.last_command = ""

    @classmethod
    def negotiate(
        cls,
        address: Address,
        *,
        deadline: float,
        knock: socket.socket,
        clock_is_wrong: bool = False,
    ) -> "Guest":
        """Begin to log in where an sshd listens; `log_in` is to follow.

        Meanwhile the guest computes its keys, which is half of what a login takes it.
        deadline: seconds, from here to the end of `log_in`. knock: from Address.knock().
        clock_is_wrong: the first command sets the guest's clock by the host's, to the second.
        """
        transport = Transport(knock)
        guest = cls(address, transport, knock, deadline)
        guest._clock_is_wrong = clock_is_wrong
        transport.set_log_channel(_LOG)
        options = transport.get_security_options()
        options.kex = ("curve25519-sha256@libssh.org",)
        options.key_types = ("ssh-ed25519",)
        options.ciphers = ("aes128-ctr",)
        options.digests = ("hmac-sha1", "hmac-sha2-256")
        transport.banner_timeout = deadline
        transport.handshake_timeout = transport.auth_timeout = deadline
        transport.start_client(event=guest._negotiated)
        return guest

    def log_in(self) -> None:
        """Raises GuestGone, also at the deadline, and LabError for a key that does not fit."""
        try:
            self._log_in()
        except paramiko.AuthenticationException:
            self.close()
            raise LabError(f"the guest refuses the key {self._address.key}") from None
        except (paramiko.SSHException, EOFError, OSError) as error:
            self.close()
            raise GuestGone(f"no SSH session with the guest: {error!r}") from None
        except BaseException:
            self.close()
            raise

    def _log_in(self) -> None:
        file = self._address.key
        try:
            key = paramiko.Ed25519Key.from_private_key_file(str(file))
            pinned = b64decode(self._address.host_key.split()[1])
        except (paramiko.SSHException, OSError, ValueError, IndexError) as error:
            raise LabError(f"no usable key for the guest in {file}: {error}") from None
        transport = self._transport
        left = max(0.1, self._deadline - time.monotonic())
        if not self._negotiated.wait(left) or not transport.is_active():
            raise transport.get_exception() or paramiko.SSHException("no answer in time")
        if transport.get_remote_server_key().asbytes() != pinned:
            raise LabError(
                "the guest shows another host key than the one it was given",
                hint="another VM has taken its port: ./lab down boot",
            )
        transport.auth_publickey(USER, key)

    def _prefix(self) -> str:
        """What goes before the next command, in its round trip."""
        if not self._clock_is_wrong:
            return ""
        self._clock_is_wrong = False
        return f"date -us @{time.time():.0f} >/dev/null; "

    def run(self, command: str, *, stdin: bytes = b"", timeout: float = 30.0) -> Completed:
        """Run a shell command and wait for its end. timeout: seconds.

        Raises GuestTimeout, and GuestGone if the guest vanished meanwhile.
        """
        self.last_command = command
        stdout, stderr = io.BytesIO(), io.BytesIO()
        status = converse(
            self._transport,
            command,
            lambda send: send(stdin),
            stdout.write,
            stderr.write,
            timeout=timeout,
            prefix=self._prefix(),
        )
        return Completed(status, stdout.getvalue(), stderr.getvalue())

    def sh(self, command: str, *, stdin: bytes = b"", timeout: float = 30.0) -> str:
        """Run a shell command that must succeed; what it printed on stdout.

        timeout: seconds. Raises GuestCommandFailed, and what `run` raises.
        """
        done = self.run(command, stdin=stdin, timeout=timeout)
        if done.status != 0:
            raise GuestCommandFailed(command, done.status, done.stderr)
        return done.stdout.decode(errors="replace")

    def stream(
        self, command: str, stdin: BinaryIO | None, stdout: BinaryIO, stderr: BinaryIO
    ) -> int:
        """Run a command with its streams passed through as they come; its exit status.

        stdin: a descriptor's file, or one in memory; None or a closed one is an
        empty one. An error in writing stdout or stderr (EPIPE) is raised as it is.
        """
        run = functools.partial(converse, self._transport, command, prefix=self._prefix())
        sinks = _flushing(stdout), _flushing(stderr)
        try:
            fd = stdin.fileno() if stdin and not stdin.closed else None
        except OSError:  # io.UnsupportedOperation: it lies in memory
            data = stdin.read() if stdin else b""
            return run(lambda send: send(data), *sinks)
        if fd is None:
            return run(lambda send: None, *sinks)
        with terminal.Source(fd) as source:
            return run(source.feed, *sinks, done=source.stop)

    def interact(self) -> int:
        """A login shell on this process's terminal, until it ends; its exit status.

        Raises terminal.Left when Ctrl-] is pressed. Without a terminal on stdin: a shell
        that reads its commands from there.
        """
        output = sys.stdout.buffer
        if sys.stdin is None or not sys.stdin.isatty():
            stdin = sys.stdin.buffer if sys.stdin else None
            return self.stream("exec /bin/sh -s", stdin, output, sys.stderr.buffer)
        fd = sys.stdin.fileno()
        channels: list[paramiko.Channel] = []

        def prepare(channel: paramiko.Channel) -> None:
            term = os.fsencode(os.environ.get("TERM") or "vt100")
            channel.get_pty(term, *terminal.size(fd))
            channels.append(channel)

        def resized() -> None:
            channels[0].resize_pty(*terminal.size(fd))

        with (
            terminal.Source(fd, leave=terminal.LEAVE, resized=resized) as source,
            terminal.raw(fd, resized=source.resize),
        ):
            return converse(
                self._transport,
                "exec /bin/sh -l",
                source.feed,
                _flushing(output),
                _flushing(output),
                prepare=prepare,
                done=source.stop,
                prefix=self._prefix(),
            )

    def hung_up(self) -> AbstractContextManager[None]:
        """What this connection's commands leave running ends with it, see `hangup.hung_up`."""
        return hangup.hung_up(self._transport)

    def put(self, files: Sequence[Path], directory: str) -> None:
        """Copy files and directories into a directory of the guest, see `transfer.put`."""
        transfer.put(self._transport, files, directory)

    def get(self, files: Sequence[str], directory: Path) -> None:
        """Copy files and directories of the guest into one here, see `transfer.get`."""
        transfer.get(self._transport, files, directory)

    def close(self) -> None:
        """End the connection; what still runs in the guest loses its streams."""
        # Else paramiko's thread notices only at its next time-out, 0.1 s later.
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._transport.close()

    def __enter__(self) -> "Guest":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _flushing(file: BinaryIO) -> Sink:
    def sink(data: bytes) -> None:
        file.write(data)
        file.flush()

    return sink
