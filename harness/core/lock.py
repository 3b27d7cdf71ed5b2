# SPDX-License-Identifier: GPL-2.0-only
"""Locks between commands: two that would harm each other run one after the other.

What is built in a checkout is changed under the build lock, a folder of results is filled
and a VM tested in under their own. The lock is a flock(2) on a descriptor that programs
inherit (`run` passes it on), so that after a kill of the lab its orphaned compilers still
hold it and the next call waits for them instead of building beside them.

Who uses what is built without changing it has a shared lock, for which `clean` waits.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.core import run
from harness.core.errors import LabError
from harness.core.progress import say

DEADLINE = 3600.0  # seconds; a whole build of another command's, generously
BUILDS = "builds in this checkout"
LOCK, USED = "lock", "used"


class Busy(LabError):
    """Another command has it."""


@contextmanager
def locked(directory: Path, does: str = BUILDS, *, wait: bool = True) -> Iterator[None]:
    """Hold the folder's lock; waits for another command, and says so, or raises Busy.

    does: what the command that has it does, for who reads that. The folder is made if need be.
    """
    with _opened(directory, LOCK) as descriptor:
        _acquire(descriptor, fcntl.LOCK_EX, does, wait)
        with run.inherited(descriptor):
            yield


@contextmanager
def used(directory: Path) -> Iterator[None]:
    """Have what is in the folder left there by `unused`. The caller holds the folder's lock."""
    with _opened(directory, USED) as descriptor:
        _acquire(descriptor, fcntl.LOCK_SH, "removes what is built", wait=True)
        yield


@contextmanager
def unused(directory: Path) -> Iterator[None]:
    """Wait until nobody uses what is in the folder. The caller holds the folder's lock."""
    with _opened(directory, USED) as descriptor:
        _acquire(descriptor, fcntl.LOCK_EX, "uses what is built", wait=True)
        yield


@contextmanager
def _opened(directory: Path, name: str) -> Iterator[int]:
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, kind: int, does: str, wait: bool) -> None:
    waiting = False
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not wait:
                raise Busy(f"another command {does}") from None
            if not waiting:
                say(f"waiting for another command that {does}")
                waiting = True
            time.sleep(0.1)
    raise Busy(f"another command {does}, for {DEADLINE:.0f} s by now", hint="end it")
