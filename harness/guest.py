# SPDX-License-Identifier: GPL-2.0-only
"""A running guest, by SSH: commands, streams, a terminal, copies.

The only module that speaks SSH. The far end is dropbear 2022.83, often on an
emulated CPU: the algorithms are the cheapest that both sides know, and each
round trip saved is worth having.
"""

import contextlib
import io
import logging
import os
import socket
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import paramiko

from harness import terminal, transfer
from harness.channel import GuestCommandFailed, GuestGone, GuestTimeout, Sink, converse
from harness.errors import EXIT_INTERRUPTED, LabError

USER = "root"
POLL = 0.02  # seconds between two tries to connect

# paramiko logs tracebacks of its own thread; what they say is in our errors.
_LOG = "harness.guest.paramiko"
logging.getLogger(_LOG).addHandler(logging.NullHandler())
logging.getLogger(_LOG).propagate = False

__all__ = ["Address", "Completed", "Guest", "GuestCommandFailed", "GuestGone", "GuestTimeout"]


@dataclass(frozen=True)
class Address:
    """How a guest is reached.

    key: a private ed25519 key in OpenSSH's format.
    host_key: the guest's public key, 'ssh-ed25519 AAAA...'; another one is refused.
    """

    host: str
    port: int
    key: Path
    host_key: str

    def to_json(self) -> dict[str, str | int]:
        """As values that json can write."""
        return {
            "host": self.host,
            "port": self.port,
            "key": str(self.key),
            "host_key": self.host_key,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, str | int]) -> "Address":
        """The reverse of to_json."""
        return cls(
            host=str(values["host"]),
            port=int(values["port"]),
            key=Path(str(values["key"])),
            host_key=str(values["host_key"]),
        )


@dataclass(frozen=True)
class Completed:
    """A command that ended. status: 128+N if signal N ended it."""

    status: int
    stdout: bytes
    stderr: bytes


class Guest:
    """One connection, a channel for each command; several threads may use it."""

    def __init__(self, transport: paramiko.Transport, connection: socket.socket) -> None:
        self._transport = transport
        self._connection = connection

    @classmethod
    def connect(
        cls, address: Address, *, deadline: float, alive: Callable[[], None] = lambda: None
    ) -> "Guest":
        """Wait for the guest's sshd and log in.

        deadline: seconds, for all of it.
        alive: called between the tries; raises if there is nothing left to wait for.
        Raises GuestGone at the deadline, and LabError for a key that does not fit.
        """
        end = time.monotonic() + deadline
        try:
            key = paramiko.Ed25519Key.from_private_key_file(str(address.key))
            pinned = b64decode(address.host_key.split()[1])
        except (paramiko.SSHException, OSError, ValueError, IndexError) as error:
            raise LabError(f"no usable key for the guest in {address.key}: {error}") from None
        connection = _await_banner(address, deadline, alive)
        transport = paramiko.Transport(connection)
        guest = cls(transport, connection)
        try:
            guest._log_in(key, pinned, end)
        except paramiko.AuthenticationException:
            guest.close()
            raise LabError(f"the guest refuses the key {address.key}") from None
        except (paramiko.SSHException, EOFError, OSError) as error:
            guest.close()
            alive()
            raise GuestGone(f"the guest's sshd answered, then failed: {error!r}") from None
        except BaseException:
            guest.close()
            raise
        return guest

    def _log_in(self, key: paramiko.PKey, pinned: bytes, end: float) -> None:
        transport = self._transport
        transport.set_log_channel(_LOG)
        options = transport.get_security_options()
        options.kex = ("curve25519-sha256@libssh.org",)
        options.key_types = ("ssh-ed25519",)
        options.ciphers = ("aes128-ctr",)
        options.digests = ("hmac-sha1", "hmac-sha2-256")
        left = max(0.1, end - time.monotonic())
        transport.handshake_timeout = transport.auth_timeout = left
        transport.start_client(timeout=left)
        if transport.get_remote_server_key().asbytes() != pinned:
            raise LabError(
                "the guest shows another host key than the one it was given",
                hint="another VM has taken its port: ./lab down boot",
            )
        transport.auth_publickey(USER, key)

    def run(self, command: str, *, stdin: bytes = b"", timeout: float = 30.0) -> Completed:
        """Run a shell command and wait for its end. timeout: seconds.

        Raises GuestTimeout, and GuestGone if the guest vanished meanwhile.
        """
        stdout, stderr = io.BytesIO(), io.BytesIO()
        status = converse(
            self._transport,
            command,
            lambda send: send(stdin),
            stdout.write,
            stderr.write,
            timeout=timeout,
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
        sinks = _flushing(stdout), _flushing(stderr)
        try:
            fd = stdin.fileno() if stdin and not stdin.closed else None
        except OSError:  # io.UnsupportedOperation: it lies in memory
            data = stdin.read() if stdin else b""
            return converse(self._transport, command, lambda send: send(data), *sinks)
        if fd is None:
            return converse(self._transport, command, lambda send: None, *sinks)
        with terminal.Source(fd) as source:
            return converse(self._transport, command, source.feed, *sinks, done=source.stop)

    def interact(self) -> int:
        """A login shell on this process's terminal, until it ends or Ctrl-] is pressed.

        Without a terminal on stdin: a shell that reads its commands from there.
        """
        output = sys.stdout.buffer
        if sys.stdin is None or not sys.stdin.isatty():
            stdin = sys.stdin.buffer if sys.stdin else None
            return self.stream("exec /bin/sh -s", stdin, output, sys.stderr.buffer)
        fd = sys.stdin.fileno()
        channels: list[paramiko.Channel] = []

        def prepare(channel: paramiko.Channel) -> None:
            channel.get_pty(os.environ.get("TERM", "vt100"), *terminal.size(fd))
            channels.append(channel)

        def resized() -> None:
            channels[0].resize_pty(*terminal.size(fd))

        with (
            terminal.Source(fd, leave=terminal.LEAVE, resized=resized) as source,
            terminal.raw(fd, resized=source.resize),
        ):
            try:
                return converse(
                    self._transport,
                    "exec /bin/sh -l",
                    source.feed,
                    _flushing(output),
                    _flushing(output),
                    prepare=prepare,
                    done=source.stop,
                )
            except terminal.Left:
                return EXIT_INTERRUPTED

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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _flushing(file: BinaryIO) -> Sink:
    def sink(data: bytes) -> None:
        file.write(data)
        file.flush()

    return sink


def _await_banner(address: Address, deadline: float, alive: Callable[[], None]) -> socket.socket:
    """A connection on which an sshd has said 'SSH-', which is still to be read.

    QEMU's user networking accepts before anybody listens in the guest, then
    closes, or says nothing while the guest has no network: so a try is short.
    It may take longer the longer all of it takes, for a guest on a starved host.
    """
    started = time.monotonic()
    why = "not tried"
    while True:
        alive()
        waited = time.monotonic() - started
        patience = min(0.2 + waited / 20, 2.0, deadline - waited)
        if patience <= 0:
            raise GuestGone(
                f"no sshd at {address.host} port {address.port} after {deadline:g} s: {why}",
                hint="the guest's console tells how far it came",
            )
        try:
            connection = socket.create_connection((address.host, address.port), patience)
        except OSError as error:
            why = error.strerror or str(error)
        else:
            try:
                if connection.recv(4, socket.MSG_PEEK) == b"SSH-":
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    return connection
                why = "closed without a word"
            except OSError:
                why = "silent"
            connection.close()
        time.sleep(POLL)
