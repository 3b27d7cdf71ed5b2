# SPDX-License-Identifier: GPL-2.0-only
"""A step's result: a folder that is complete or absent, and not made twice.

A step is skipped while the fingerprint of all its inputs is the one that its
folder was made from. It fills a folder beside, which is renamed when it is
complete: a kill at any moment leaves the old result or none, never half a one.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import private

STAMP = ".fingerprint"


def fingerprint(*inputs: str | bytes | Path) -> str:
    """SHA-256 over the inputs, in order: strings, bytes, the content of files.

    A folder counts with the names and contents of all files below it.
    """
    digest = hashlib.sha256()
    for item in inputs:
        for part in _parts(item):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
    return digest.hexdigest()


def _parts(item: str | bytes | Path) -> Iterable[bytes]:
    if isinstance(item, bytes):
        yield item
    elif isinstance(item, str):
        yield item.encode()
    elif item.is_dir():
        for path in sorted(item.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield os.fsencode(path.relative_to(item))
                yield path.read_bytes()
    else:
        yield os.fsencode(item.name)
        yield item.read_bytes()


def is_current(directory: Path, wanted: str) -> bool:
    """Whether the folder was made from inputs of this fingerprint, and has what it then had."""
    try:
        made_from, *names = (directory / STAMP).read_text().splitlines()
    except (OSError, ValueError):
        return False
    return made_from == wanted and all((directory / name).exists() for name in names)


def stamp(directory: Path, wanted: str, files: Iterable[Path]) -> None:
    """Say what a folder was made from, and which files make it complete."""
    names = sorted(str(path.relative_to(directory)) for path in files)
    (directory / STAMP).write_text("\n".join([wanted, *names]))


def make(directory: Path, wanted: str, fill: Callable[[Path], None]) -> bool:
    """Have `fill` make the folder, unless it is current. Returns whether it was made."""
    if is_current(directory, wanted):
        return False
    beside = directory.with_name(f"{directory.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True, mode=private.MODE)  # keys are among them, and images with keys
    fill(beside)
    stamp(beside, wanted, beside.iterdir())
    if directory.exists():
        # Not the name of another one that is still in use.
        move(directory, directory.with_name(f"{directory.name}.old.{directory.stat().st_ino}"))
    beside.rename(directory)
    _remove_unused(directory)
    return True


def move(directory: Path, old: Path) -> None:
    """Rename a folder that is to be removed; remove it where that is refused.

    As overlayfs does if it is of a container image's layer (EXDEV, rename(2)).
    """
    try:
        directory.rename(old)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.rmtree(directory)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor of a file or folder, which `make` does not empty meanwhile when it replaces it.

    The caller holds the build lock until the context is entered.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield descriptor
    finally:
        os.close(descriptor)


def _remove_unused(directory: Path) -> None:
    """Remove what was replaced by this folder, now or before, and nobody has opened."""
    for old in directory.parent.glob(f"{directory.name}.old*"):
        descriptor = os.open(old, os.O_RDONLY | os.O_CLOEXEC)
        # NFS locks nothing exclusively that is not open for writing: there it stays.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old, ignore_errors=True)
        os.close(descriptor)
