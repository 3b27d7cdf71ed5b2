# SPDX-License-Identifier: GPL-2.0-only
"""Folders that only their owner can enter: for keys, guests' memory, consoles, sockets."""

import contextlib
import os
import stat
from pathlib import Path

from harness.core.errors import LabError

MODE = 0o700
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def folder(path: Path) -> Path:
    """Have this folder for its owner alone, whatever the umask, and however it was made before."""
    path.mkdir(mode=MODE, parents=True, exist_ok=True)
    tighten(path)
    return path


def tighten(path: Path) -> None:
    """Have a folder closed to others that an older version of the lab left open."""
    if path.stat().st_mode & OTHERS:
        path.chmod(MODE)


def claim(path: Path) -> None:
    """Have a folder in a place where anybody could have made it first, as sshd takes ~/.ssh.

    Raises LabError unless it is one of this user's, into which no other can write.
    """
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=MODE)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        wrong = "is no folder"
    elif found.st_uid != os.geteuid():
        wrong = "is another user's"
    elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        wrong = "can be written to by others"
    else:
        return
    raise LabError(
        f"{path} {wrong}, and nothing is built in it",
        hint="XDG_CACHE_HOME=DIR names another place, whose path is of letters and digits",
    )
