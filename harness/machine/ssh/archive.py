# SPDX-License-Identifier: GPL-2.0-only
"""The host's end of a copy: tar streams, which nothing in them can lead astray."""

import shutil
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, cast

from harness.core.errors import LabError

# An archive that was cut off at a header's boundary unpacks without a
# complaint, so the last member says that it was the last one.
LAST = "complete"


class _Writer:
    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send

    def write(self, data: bytes) -> int:
        self._send(data)
        return len(data)


def pack(files: dict[str, Path], send: Callable[[bytes], None]) -> None:
    """Write the archive that `transfer.unpack_script` reads. A link that was named is followed."""
    # GNU's format: busybox ignores long names in pax headers.
    with tarfile.open(
        fileobj=cast("IO[bytes]", _Writer(send)), mode="w|", format=tarfile.GNU_FORMAT
    ) as tar:
        root = tarfile.TarInfo("files")
        root.type, root.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(root)
        for name, file in files.items():
            tar.add(file.resolve(), arcname=f"files/{name}", filter=_owned_by_root)
        tar.addfile(tarfile.TarInfo(LAST))


def _owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def unpack_files(archive: Path, targets: Sequence[Path]) -> None:
    """Unpack regular files, each to where it belongs, whatever the guest calls it."""
    with tarfile.open(archive, mode="r:") as tar:
        members = tar.getmembers()
        if len(members) != len(targets):
            raise LabError(f"{len(members)} files came, {len(targets)} were asked for")
        for member, target in zip(members, targets, strict=True):
            _extract(tar, member, target)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    source = tar.extractfile(member)
    if source is None:
        raise LabError(f"neither file, directory nor link: {member.name}")
    with target.open("xb") as file:
        shutil.copyfileobj(source, file)


def unpack(archive: Path, directory: Path) -> None:
    """Unpack what the guest packed into a new directory.

    Not tarfile's own extraction: its filters came with 3.11.4 and refuse the
    absolute links that every root file system is full of. Links are made last,
    so nothing is ever written through one. Raises LabError for a name that
    leads outside, and for anything but files, directories and links.
    """
    directory.mkdir()
    links: list[tuple[Path, str]] = []
    modes: list[tuple[Path, int]] = []
    with tarfile.open(archive, mode="r:") as tar:
        for member in tar:
            name = PurePosixPath(member.name)
            if name.is_absolute() or ".." in name.parts:
                raise LabError(f"the guest packed a name that leads outside: {member.name}")
            path = directory / name
            if member.isdir():
                path.mkdir(exist_ok=True, parents=True)
                modes.append((path, member.mode & 0o777))
            elif member.issym():
                links.append((path, member.linkname))
            elif member.isfile() or member.islnk():
                _extract(tar, member, path)
                path.chmod(member.mode & 0o777)
            else:
                raise LabError(f"neither file, directory nor link: {member.name}")
    for path, target_name in links:
        path.symlink_to(target_name)
    for path, mode in reversed(modes):
        path.chmod(mode | 0o700)  # still to be moved, by an ordinary user perhaps


def merge(source: Path, target: Path) -> None:
    """Move all of source into target, file by file, each by rename(2)."""
    for entry in sorted(source.iterdir()):
        to = target / entry.name
        if not to.is_dir():
            entry.replace(to)
        elif entry.is_dir() and not entry.is_symlink():
            merge(entry, to)
        else:
            raise LabError(f"{to}: is a directory")
