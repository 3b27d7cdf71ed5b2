# SPDX-License-Identifier: GPL-2.0-only
"""What comes of work in another thread arrives where it is waited for."""

import threading

import pytest

from harness.core.future import Coming


def test_what_is_returned_arrives() -> None:
    go = threading.Event()
    coming = Coming(lambda: go.wait(10) and threading.current_thread())
    go.set()
    assert coming.result() is not threading.current_thread()
    assert coming.result() is coming.result()


def test_what_is_raised_arrives() -> None:
    def fail() -> None:
        raise SystemExit(3)

    coming = Coming(fail)
    coming.wait()
    with pytest.raises(SystemExit):
        coming.result()
