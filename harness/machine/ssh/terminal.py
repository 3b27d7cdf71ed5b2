# SPDX-License-Identifier: GPL-2.0-only
"""The near end of a shell in the guest: standard input as it comes, and raw terminals."""

import contextlib
import os
import select
import signal
import termios
import tty
from collections.abc import Callable, Iterator
from types import FrameType

CHUNK = 32768  # bytes; what paramiko puts into one packet

LEAVE = b"\x1d"  # Ctrl-], as in telnet and virsh: the way out of a guest that hangs


class Left(Exception):
    """The person pressed LEAVE."""


class Source:
    """Reads a descriptor as data comes, until it ends or until somebody says stop.

    A read() cannot be told to give up, and a command that has ended must not
    wait for a key to be pressed; so poll(2) watches a pipe as well. What was
    buffered above the descriptor is not seen.
    """

    def __init__(
        self, fd: int, *, leave: bytes | None = None, resized: Callable[[], None] = lambda: None
    ) -> None:
        self._fd = fd
        self._leave = leave
        self._resized = resized
        self._wake, self._waker = os.pipe()

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._waker)
        os.close(self._wake)

    def stop(self) -> None:
        """End feed(), from any thread."""
        os.write(self._waker, b"q")

    def resize(self) -> None:
        """Have feed() call `resized`: a signal handler must not take paramiko's locks itself."""
        os.write(self._waker, b"w")

    def feed(self, send: Callable[[bytes], None]) -> None:
        """Hand what comes to send. An error of the descriptor counts as its end.

        Raises Left when `leave` was read.
        """
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if self._wake in ready:
                if b"q" in os.read(self._wake, 64):
                    return
                self._resized()
            if self._fd in ready:
                try:
                    data = os.read(self._fd, CHUNK)
                except OSError:
                    return
                if not data:
                    return
                if self._leave and self._leave in data:
                    raise Left
                send(data)


def size(fd: int) -> tuple[int, int]:
    """Columns and lines of a terminal; 80 by 24 if it does not say."""
    try:
        columns, lines = os.get_terminal_size(fd)
    except OSError:
        return 80, 24
    return columns or 80, lines or 24


@contextlib.contextmanager
def raw(fd: int, *, resized: Callable[[], None]) -> Iterator[None]:
    """Put a terminal into raw mode; put it back whatever happens, also at SIGTERM and SIGHUP.

    resized: called at SIGWINCH. Only for the main thread, as signal(2) is.
    """
    before = termios.tcgetattr(fd)
    handlers = {
        signal.SIGWINCH: lambda number, frame: resized(),
        signal.SIGTERM: _end,
        signal.SIGHUP: _end,
    }
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        tty.setraw(fd, termios.TCSADRAIN)  # what was typed ahead is kept
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
