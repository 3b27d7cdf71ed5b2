# SPDX-License-Identifier: GPL-2.0-only
"""A step's result: a folder that is complete or absent, and not made twice.

A step is skipped while the fingerprint of all its inputs is the one that its
folder was made from. It fills a folder beside, which is renamed when it is
complete: a kill at any moment leaves the old result or none, never half a one.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

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
    beside.mkdir(parents=True)
    fill(beside)
    stamp(beside, wanted, beside.iterdir())
    if directory.exists():
        old = directory.with_name(f"{directory.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        directory.rename(old)
        beside.rename(directory)
        shutil.rmtree(old, ignore_errors=True)
    else:
        beside.rename(directory)
    return True
