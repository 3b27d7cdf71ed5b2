# SPDX-License-Identifier: GPL-2.0-only
"""A step's result: a folder that is complete or absent, and not made twice.

A step is skipped while the fingerprint of all its inputs is the one that its
folder was made from, and the files of the host that it was found to read are those
that they were. It fills a folder beside, which is renamed when it is complete: a
kill at any moment leaves the old result or none, never half a one.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.core import private

STAMP = ".fingerprint"
HOST = ".host"  # the files of the host that were read: path, time, size


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
    if made_from != wanted or not all((directory / name).exists() for name in names):
        return False
    record = directory / HOST
    host = json.loads(record.read_text()) if record.exists() else []
    return all(_identity(path) == was for path, *was in host)


def _identity(path: str | Path) -> list[int]:
    """A file's time, ns, and size; none if it is not there: its content is too long to read."""
    try:
        found = os.stat(path)  # noqa: PTH116 -- of a string in half of the time, for hundreds
    except OSError:
        return []
    return [found.st_mtime_ns, found.st_size]


def _changed(path: Path) -> int:
    """When a file, or its name, was last changed, ns; 0 if it is not there."""
    try:
        return path.stat().st_ctime_ns
    except OSError:
        return 0


def named_in(notes: Iterable[Path], *known: Path) -> set[Path]:
    """What a compiler's notes for make name by whole paths, but for what is below `known`."""
    words = {
        word.rstrip(":") for note in notes for word in note.read_text(errors="replace").split()
    }
    paths = (Path(word) for word in words if word.startswith("/"))
    outside = (path for path in paths if not any(path.is_relative_to(folder) for folder in known))
    return {path for path in outside if path.is_file()}


def stamp(directory: Path, wanted: str, files: Iterable[Path]) -> None:
    """Say what a folder was made from, and which files make it complete."""
    names = sorted(str(path.relative_to(directory)) for path in files)
    (directory / STAMP).write_text("\n".join([wanted, *names]))


def make(directory: Path, wanted: str, fill: Callable[[Path], Collection[Path] | None]) -> bool:
    """Have `fill` make the folder, unless it is current. Returns whether it was made.

    fill: returns the files of the host that were read for it: programs, libraries, headers.
    """
    if is_current(directory, wanted):
        return False
    beside = directory.with_name(f"{directory.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True, mode=private.MODE)  # keys are among them, and images with keys
    begun = beside.stat().st_ctime_ns
    read = sorted(set(fill(beside) or ()))
    # What was replaced meanwhile is the one that was read or not: it counts as another one.
    host = [[str(path), *(_identity(path) if _changed(path) <= begun else [])] for path in read]
    files = list(beside.iterdir())
    if host:
        (beside / HOST).write_text(json.dumps(host))
    stamp(beside, wanted, files)
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
        (directory / STAMP).unlink(missing_ok=True)  # of half of it after a kill
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
