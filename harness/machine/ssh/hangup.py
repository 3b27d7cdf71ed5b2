# SPDX-License-Identifier: GPL-2.0-only
"""Ends what a connection's commands started in the guest, if the connection breaks.

dropbear ends nothing when a client goes, not even one that was killed: a command that neither reads
nor writes runs on for ever. So a shell in the guest watches the connection. That it gets a
line says that all is well: a daemon that was started on purpose lives on.
"""

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST

from harness.machine.ssh.address import GuestGone
from harness.machine.ssh.channel import START_TIMEOUT, wrap

SCRIPT = Path(__file__).with_name("hangup.sh").read_text()
# Without the variable by which the connection's processes are known, here and in reset.sh.
COMMAND = (
    f"exec env -u SSH_CONNECTION sh -c {shlex.quote(SCRIPT)} hangup"
    ' "$SSH_CONNECTION" >/dev/null 2>&1'
)
GOODBYE_DEADLINE = 5.0  # seconds

_LOST = (paramiko.SSHException, EOFError, OSError)


@contextlib.contextmanager
def hung_up(transport: paramiko.Transport) -> Iterator[None]:
    """Where this is left by an error, or by the end of this process, so end the guest's processes.

    They get SIGHUP, and SIGKILL a second later. Raises GuestGone.
    """
    try:
        channel = transport.open_session(timeout=START_TIMEOUT)
        _execute(channel, wrap(COMMAND).line)
    except _LOST:
        raise GuestGone("the connection to the guest is gone") from None
    try:
        yield
        with contextlib.suppress(*_LOST):
            channel.sendall(b"\n")
            # Its status: dropbear hands on nothing that it has when the connection ends.
            channel.status_event.wait(GOODBYE_DEADLINE)
    finally:
        channel.close()


def _execute(channel: Any, line: bytes) -> None:
    """As exec_command, but no answer is waited for: requests are served in order."""
    message = paramiko.Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("exec")
    message.add_boolean(False)
    message.add_string(line)
    channel.transport._send_user_message(message)
