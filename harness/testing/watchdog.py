# SPDX-License-Identifier: GPL-2.0-only
"""Watches a machine's console while its guest is tested, and interrupts a test that can't pass.

A thread reads the console as it comes. A report of the kernel, a deadline, or the end of
QEMU interrupt the body of a test wherever it is, in a wait for the guest or in a
loop of its own: a signal makes the main thread raise Interrupted there.
"""

import enum
import signal
import threading
import time
from collections.abc import Callable

from harness.console.allowlist import AllowList
from harness.console.log import ConsoleFile
from harness.console.scanner import Scanner, Splat

READ_EVERY = 0.03  # seconds
SILENCE = 0.3  # seconds; then a report whose end has not come is taken as it is
LONGEST = 1.2  # seconds that the end of a report is waited for, whatever else is printed
AGAIN = 1.0  # seconds after which an interrupted test is interrupted again
KEPT_BYTES = 1 << 18
SIGNAL = signal.SIGUSR1


class Why(enum.Enum):
    """What a test was interrupted for."""

    COMPLAINT = "the kernel complained"
    DEADLINE = "it did not end in time"
    GONE = "the machine ended"


class Interrupted(BaseException):
    """The test that runs can't pass any more. No Exception: tests expect and catch those."""


class Watchdog:
    """The one reader of a machine's console.

    alive: whether the machine runs. allow: what may come without interrupting a test.
    """

    def __init__(self, console: ConsoleFile, alive: Callable[[], bool], allow: AllowList) -> None:
        self._console = console
        self._alive = alive
        self._allow = allow
        self._scanner = Scanner()
        self._splats: list[Splat] = []
        self._recent = b""
        self._ended = False
        self._read_at = self._whole_at = time.monotonic()
        self._again_at = 0.0
        self._deadline: float | None = None  # of time.monotonic(); None while nothing is guarded
        self._why: Why | None = None
        self._changed = threading.Condition()
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="console watchdog", daemon=True).start()

    def arm(self, seconds: float) -> None:
        """From now on interrupt the main thread, which calls this, if the test can't pass.

        seconds: the test's time.
        """
        signal.signal(SIGNAL, _interrupt)
        with self._changed:
            self._deadline = time.monotonic() + seconds
            self._again_at, self._why = 0.0, None
        _armed.append(self)

    def disarm(self) -> Why | None:
        """Interrupt nothing any more; what the test was interrupted for. Does no harm twice."""
        _armed.clear()
        with self._changed:
            self._deadline = None
            return self._why

    def await_text(self, text: bytes, seconds: float) -> bool:
        """Wait until the console shows the text, and the reports before it are whole."""
        with self._changed:
            return self._changed.wait_for(
                lambda: text in self._recent and not self._scanner.pending, seconds
            )

    def await_end(self, seconds: float) -> None:
        """Wait for the machine's end, and for all that it printed before."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended and not self._scanner.pending, seconds)

    def take(self) -> tuple[list[Splat], str]:
        """The reports since the last call, allowed ones and cut off ones included; the console."""
        with self._changed:
            taken, self._splats = self._splats + self._scanner.settle(), []
            said, self._recent = self._recent.decode(errors="replace"), b""
        return taken, said

    def close(self) -> None:
        """Read no more."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(READ_EVERY):
            with self._changed:
                now = time.monotonic()
                ended = not self._alive()
                self._read(now)
                self._ended = ended
                self._interrupt_if_due(now)
                self._changed.notify_all()

    def _read(self, now: float) -> None:
        new = self._console.read_new()
        if new:
            self._read_at = now
            self._recent = (self._recent + new)[-KEPT_BYTES:]
            self._splats += self._scanner.feed(new)
        if not self._scanner.pending:
            self._whole_at = now
        elif now - self._read_at > SILENCE or now - self._whole_at > LONGEST:
            self._splats += self._scanner.settle()

    def _interrupt_if_due(self, now: float) -> None:
        if self._deadline is None or now < self._again_at:
            return
        if any(not self._allow.find(splat) for splat in self._splats):
            self._why = Why.COMPLAINT
        elif self._ended:
            self._why = Why.GONE
        elif now > self._deadline:
            self._why = Why.DEADLINE
        else:
            return
        self._again_at = now + AGAIN
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, SIGNAL)


# The watchdog whose test runs, if one does.
_armed: list[Watchdog] = []


def _interrupt(*_: object) -> None:
    if _armed:
        raise Interrupted
