# SPDX-License-Identifier: GPL-2.0-only
"""SSH without a VM: a server in this process that treats commands as dropbear does."""

import contextlib
import io
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from typing import IO, Any

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, MSG_CHANNEL_REQUEST, OPEN_SUCCEEDED

from harness.machine.ssh.channel import MAX_COMMAND
from harness.machine.ssh.guest import Address, Guest

BIG = bytes(range(256)) * 8192  # 2 MiB, more than any window between the two ends
# What dropbear has words for, signames[] in svr-chansession.c: those of RFC 4254.
TOLD = (1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 13, 14, 15)
TIMEOUT = 10.0  # seconds; a limit, never waited for when all is well


class Server(paramiko.ServerInterface):
    """Runs what it is asked to, and like dropbear tells of some signals that they ended it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host_key = new_key()
        self.transports: list[paramiko.Transport] = []
        self.processes: list[subprocess.Popen[bytes]] = []
        self.terminals: list[tuple[str, int, int]] = []
        self.resized = threading.Event()
        self.pending: threading.Thread | None = None
        self.authorized = new_key()
        self._serving = threading.Thread(target=self._serve, daemon=True)
        self._serving.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.set_log_channel("kernel-patch-lab.paramiko")
            transport.add_server_key(self.host_key)
            handlers: dict[int, Any] = transport._channel_handler_table  # type: ignore[attr-defined]
            transport._channel_handler_table = {  # type: ignore[attr-defined]
                **handlers,
                MSG_CHANNEL_REQUEST: self._handle_request,
            }
            self.transports.append(transport)
            transport.start_server(event=threading.Event(), server=self)

    def close(self) -> None:
        # Woken up and gone before the descriptor is: its number is the next server's.
        self.listener.shutdown(socket.SHUT_RDWR)
        self._serving.join(TIMEOUT)
        self.listener.close()
        self.vanish()
        for process in self.processes:
            process.kill()
            process.wait()

    def vanish(self) -> None:
        for transport in self.transports:
            transport.close()

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        good = username == "root" and key.asbytes() == self.authorized.asbytes()
        return AUTH_SUCCESSFUL if good else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_pty_request(self, channel: Any, term: Any, *size: Any) -> bool:
        self.terminals.append((os.fsdecode(term), *size[:2]))
        return True

    def check_channel_window_change_request(self, channel: Any, *size: Any) -> bool:
        self.terminals.append(("resized", *size[:2]))
        self.resized.set()
        return True

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        if b"refuse me" in command or len(command) > MAX_COMMAND:
            return False
        peer: Any = channel.getpeername()
        process = subprocess.Popen(
            # As below init: what is ignored here, below nohup(1) say, no shell could trap.
            ["/usr/bin/env", "--default-signal", "/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**self.environment, "SSH_CONNECTION": f"{peer[0]} {peer[1]} to {os.getpid()}"},
        )
        self.processes.append(process)
        self.pending = threading.Thread(target=self._attend, args=(channel, process), daemon=True)
        return True

    def _handle_request(self, channel: paramiko.Channel, message: Any) -> None:
        """A command may end before paramiko has said that it was started; dropbear is in order."""
        self.pending = None
        channel._handle_request(message)  # type: ignore[attr-defined]
        if self.pending:
            self.pending.start()

    def _attend(self, channel: paramiko.Channel, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin and process.stdout and process.stderr

        def copy(read: Callable[[int], bytes], write: Callable[[bytes], object]) -> None:
            try:
                while data := read(32768):
                    write(data)
            except (OSError, ValueError):
                pass

        def feed(stdin: IO[bytes]) -> None:
            def write(data: bytes) -> None:
                stdin.write(data)
                stdin.flush()

            copy(channel.recv, write)
            with contextlib.suppress(OSError):
                stdin.close()

        outputs = [
            threading.Thread(target=copy, args=(process.stdout.read1, channel.sendall)),  # type: ignore[attr-defined]
            threading.Thread(target=copy, args=(process.stderr.read1, channel.sendall_stderr)),  # type: ignore[attr-defined]
        ]
        threading.Thread(target=feed, args=(process.stdin,), daemon=True).start()
        for output in outputs:
            output.daemon = True
            output.start()
        status = process.wait()
        for output in outputs:
            output.join()
        with contextlib.suppress(EOFError, OSError):  # the client may be gone
            if status >= 0:
                channel.send_exit_status(status)
            elif -status in TOLD:
                message = _exit_signal(channel, signal.Signals(-status))
                transport: Any = channel.transport
                transport._send_user_message(message)
            channel.close()


def _exit_signal(channel: Any, number: signal.Signals) -> paramiko.Message:
    message = paramiko.Message()
    message.add_byte(bytes([MSG_CHANNEL_REQUEST]))
    message.add_int(channel.remote_chanid)
    message.add_string("exit-signal")
    message.add_boolean(False)
    message.add_string(number.name.removeprefix("SIG"))
    message.add_boolean(False)
    message.add_string("")
    message.add_string("")
    return message


def new_key() -> paramiko.Ed25519Key:
    return paramiko.Ed25519Key.from_private_key(io.StringIO(new_private_key()))


def new_private_key() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def logged_in(
    address: Address, deadline: float = TIMEOUT, *, clock_is_wrong: bool = False
) -> Guest:
    knock = address.knock(deadline)
    guest = Guest.negotiate(address, deadline=deadline, knock=knock, clock_is_wrong=clock_is_wrong)
    guest.log_in()
    return guest
