# SPDX-License-Identifier: GPL-2.0-only
"""Guest.stream() and Guest.interact(): what passes as it comes."""

import fcntl
import io
import os
import pty
import signal
import struct
import sys
import termios
import threading
import time
from pathlib import Path

import pytest

from harness.machine.ssh.channel import _Worker
from harness.machine.ssh.guest import Guest
from harness.machine.ssh.terminal import Left
from tests.unit.machine.ssh.sshd import BIG, TIMEOUT, Server


def test_stream_does_not_wait_for_input_after_the_end(guest: Guest) -> None:
    reader, writer = os.pipe()
    stdout, stderr = io.BytesIO(), io.BytesIO()
    with os.fdopen(reader, "rb") as stdin, os.fdopen(writer, "wb"):
        assert guest.stream("echo out; echo err >&2; exit 7", stdin, stdout, stderr) == 7
    assert (stdout.getvalue(), stderr.getvalue()) == (b"out\n", b"err\n")
    assert [each for each in threading.enumerate() if isinstance(each, _Worker)] == []


def test_stream_passes_bytes_and_their_end_from_a_pipe(guest: Guest) -> None:
    reader, writer = os.pipe()

    def write() -> None:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(BIG)

    thread = threading.Thread(target=write)
    thread.start()
    stdout = io.BytesIO()
    with os.fdopen(reader, "rb") as stdin:
        assert guest.stream("cat; echo end", stdin, stdout, io.BytesIO()) == 0
    thread.join()
    assert stdout.getvalue() == BIG + b"end\n"


@pytest.mark.parametrize("kind", ["null", "none", "closed", "memory"])
def test_stream_takes_any_input(guest: Guest, kind: str) -> None:
    stdout = io.BytesIO()
    with Path(os.devnull).open("rb") as null:
        closed = io.BytesIO()
        closed.close()
        stdin = {"null": null, "none": None, "closed": closed, "memory": io.BytesIO(b"x")}[kind]
        assert guest.stream("cat", stdin, stdout, io.BytesIO()) == 0
    assert stdout.getvalue() == (b"x" if kind == "memory" else b"")


def test_stream_shows_output_before_the_end(guest: Guest) -> None:
    """The command waits for an input that is only given once its output was seen."""
    reader, writer = os.pipe()

    class Answering(io.BytesIO):
        def flush(self) -> None:
            if self.getvalue() == b"ready\n":
                os.write(writer, b"go\n")

    stdout = Answering()
    # Else a failure of this test would be one that never ends.
    late = threading.Timer(TIMEOUT, os.write, (writer, b"too late\n"))
    late.start()
    with os.fdopen(reader, "rb") as stdin, os.fdopen(writer, "wb"):
        command = 'echo ready; read answer; echo "$answer"'
        assert guest.stream(command, stdin, stdout, io.BytesIO()) == 0
        late.cancel()
    assert stdout.getvalue() == b"ready\ngo\n"


def test_stream_raises_a_broken_pipe_and_ends(guest: Guest) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError), os.fdopen(writer, "wb", buffering=0) as stdout:
        guest.stream("yes", None, stdout, io.BytesIO())
    assert guest.sh("echo still here") == "still here\n"


def test_interact_follows_the_terminal_and_puts_it_back(
    guest: Guest, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller, terminal = pty.openpty()
    stdout = io.TextIOWrapper(io.BytesIO())
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
    before = termios.tcgetattr(terminal)

    def person() -> None:
        os.write(controller, b"echo typed\n")
        end = time.monotonic() + TIMEOUT
        while b"typed" not in stdout.buffer.getvalue() and time.monotonic() < end:
            time.sleep(0.005)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 122, 0, 0))
        os.kill(os.getpid(), signal.SIGWINCH)
        server.resized.wait(TIMEOUT)
        os.write(controller, b"exit 6\n")

    with os.fdopen(terminal, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setenv("TERM", "lab-\udcff")
        thread = threading.Thread(target=person)
        thread.start()
        status = guest.interact()
        thread.join()
        assert termios.tcgetattr(terminal) == before
    os.close(controller)
    assert status == 6
    assert server.terminals == [("lab-\udcff", 111, 33), ("resized", 122, 44)]
    assert signal.getsignal(signal.SIGWINCH) == signal.SIG_DFL


def test_interact_is_left_by_its_key(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    controller, terminal = pty.openpty()
    os.write(controller, b"\x1d")  # typed ahead
    with os.fdopen(terminal, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
        with pytest.raises(Left):
            guest.interact()
    os.close(controller)
