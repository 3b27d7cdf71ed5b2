# SPDX-License-Identifier: GPL-2.0-only
"""One command at a time changes what is built in a checkout.

The lock is a flock(2) on a descriptor that programs inherit (`run` passes it
on), so that after a kill of the lab its orphaned compilers still hold it and
the next call waits for them instead of building beside them.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import run
from harness.errors import LabError
from harness.progress import say

DEADLINE = 3600.0  # seconds; a whole build of another command's, generously


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the folder's lock; waits for another command, and says so."""
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _acquire(descriptor)
        with run.inherited(descriptor):
            yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int) -> None:
    waiting = False
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not waiting:
                say("waiting for another command that builds in this checkout")
                waiting = True
            time.sleep(0.1)
    raise LabError(f"another command held the build lock for {DEADLINE:.0f} s", hint="end it")
