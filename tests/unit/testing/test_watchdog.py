# SPDX-License-Identifier: GPL-2.0-only
"""The watchdog of a running test: what interrupts it, where, and what does not."""

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.console.allowlist import Allowed, AllowList
from harness.console.log import ConsoleFile
from harness.testing.watchdog import Interrupted, Watchdog, Why

REPORT = b"""[    1.000000][   T1] ------------[ cut here ]------------
[    1.000001][   T1] WARNING: CPU: 0 PID: 1 at net/core/xdp.c:1 planted+0x0/0x10
[    1.000002][   T1] ---[ end trace 0000000000000000 ]---
"""
CUT_OFF = b"[    1.000000][   T1] BUG: scheduling while atomic: ip/1/0x00000002\n"
PATIENCE = 20.0  # seconds that a broken watchdog costs, and no test else
LONG = 600.0


class Guest:
    """A console that the test writes, and a machine that runs until the test says otherwise."""

    def __init__(self, path: Path, allow: AllowList) -> None:
        self.path = path
        self.alive = True
        self.watchdog = Watchdog(ConsoleFile(path), lambda: self.alive, allow)

    def prints(self, data: bytes) -> None:
        """On its console, at once."""
        with self.path.open("ab") as file:
            file.write(data)


@pytest.fixture
def guest(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Guest]:
    """Its console is empty."""
    guest = Guest(tmp_path / "console", getattr(request, "param", AllowList()))
    yield guest
    guest.watchdog.disarm()
    guest.watchdog.close()


def loop() -> None:
    """As a test that is busy, and expects errors."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(Exception):
            sum(range(1000))


def wait() -> None:
    """As a test that waits for a thread, paramiko's for example."""
    threading.Event().wait(PATIENCE)


@pytest.mark.parametrize("busy", [loop, wait])
@pytest.mark.parametrize("printed", [REPORT, CUT_OFF])
def test_a_report_interrupts_a_test_wherever_it_is(
    guest: Guest, busy: Callable[[], None], printed: bytes
) -> None:
    guest.watchdog.arm(LONG)
    guest.prints(printed)
    with pytest.raises(Interrupted):
        busy()
    assert guest.watchdog.disarm() is Why.COMPLAINT
    (splat,), console = guest.watchdog.take()
    assert splat.text.splitlines()[0] in printed.decode().splitlines()[0]
    assert console == printed.decode()
    assert guest.watchdog.take() == ([], "")


def test_the_machines_end_interrupts_a_test(guest: Guest) -> None:
    guest.watchdog.arm(LONG)
    guest.alive = False
    with pytest.raises(Interrupted):
        wait()
    assert guest.watchdog.disarm() is Why.GONE


def test_a_deadline_interrupts_a_test(guest: Guest) -> None:
    guest.watchdog.arm(0.05)
    with pytest.raises(Interrupted):
        loop()
    assert guest.watchdog.disarm() is Why.DEADLINE


def test_a_test_that_swallows_it_is_interrupted_again(guest: Guest) -> None:
    guest.watchdog.arm(0.05)
    with contextlib.suppress(BaseException):
        wait()
    with pytest.raises(Interrupted):
        wait()


def test_nothing_is_interrupted_but_a_test(guest: Guest) -> None:
    guest.prints(REPORT + b"lab: the end\n")
    assert guest.watchdog.await_text(b"lab: the end\n", PATIENCE)
    assert guest.watchdog.disarm() is None
    guest.watchdog.arm(LONG)
    with pytest.raises(Interrupted):
        wait()
    guest.watchdog.disarm()
    guest.alive = False
    assert guest.watchdog.disarm() is Why.COMPLAINT
    guest.watchdog.await_end(PATIENCE)


KNOWN = AllowList([Allowed(re.compile("planted"), "a test", "https://example.org/1")])


@pytest.mark.parametrize("guest", [KNOWN], indirect=True)
def test_what_is_allowed_does_not_interrupt_and_is_told(guest: Guest) -> None:
    guest.watchdog.arm(LONG)
    guest.prints(REPORT + b"lab: the end\n")
    assert guest.watchdog.await_text(b"lab: the end\n", PATIENCE)
    assert guest.watchdog.disarm() is None
    assert [splat.kind for splat in guest.watchdog.take()[0]] == ["WARNING"]


def test_a_text_is_there_when_the_reports_before_it_are_whole(guest: Guest) -> None:
    guest.prints(CUT_OFF + b"[    1.000001][   T2] lab: the end\n")
    assert guest.watchdog.await_text(b"lab: the end\n", PATIENCE)
    assert [splat.kind for splat in guest.watchdog.take()[0]] == ["scheduling while atomic"]
    assert not guest.watchdog.await_text(b"lab: the end\n", 0.0)
