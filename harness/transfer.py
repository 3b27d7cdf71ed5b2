# SPDX-License-Identifier: GPL-2.0-only
"""Copies into and out of the guest, as tar streams: dropbear has no sftp.

What arrives is complete or absent. Both ends unpack beside the target, on the
same file system, and rename.
"""

import io
import shlex
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, TypeVar, cast

import paramiko

from harness.channel import GuestCommandFailed, converse
from harness.errors import BadCall, LabError

_File = TypeVar("_File", Path, str)

COPY_TIMEOUT = 600.0  # seconds for one copy

# An archive that was cut off at a header's boundary unpacks without a
# complaint, so the last member says that it was the last one.
_LAST = "complete"

# $part lies in the target, for rename(2) needs one file system.
_UNPACK = """\
dir=%s
part=$dir/.lab-put.$$
merge() {
    for file in "$1"/* "$1"/.[!.]* "$1"/..?*; do
        [ -e "$file" ] || [ -L "$file" ] || continue
        to=$2/${file##*/}
        if [ -d "$file" ] && [ ! -L "$file" ] && [ -d "$to" ]; then
            merge "$file" "$to"
        elif [ -d "$to" ]; then
            echo "$to: is a directory" >&2
            exit 1
        else
            mv -f "$file" "$to" || exit 1
        fi
    done
}
mkdir -p "$dir" && mkdir "$part" || exit 1
trap 'rm -rf "$part"' EXIT
trap 'exit 1' HUP INT TERM
tar -xpf - -C "$part" || exit 1
[ -e "$part/complete" ] || { echo 'the archive was cut off' >&2; exit 1; }
merge "$part/files" "$dir"
"""

_DESCRIBE = """\
for file in %s; do
    if [ -d "$file" ]; then echo directory
    elif [ -e "$file" ]; then stat -L -c %%a "$file"
    else echo missing
    fi
done
"""


def put(transport: paramiko.Transport, files: Sequence[Path], directory: str) -> None:
    """Copy files and directories into a directory of the guest, made if missing.

    Modes are kept, the owner is root; a file that is there is replaced, a
    directory is added to. Raises BadCall, with nothing sent, for a file that is
    not here; GuestCommandFailed if the guest could not take it.
    """
    names = local_names(files)
    stderr = io.BytesIO()
    try:
        status = converse(
            transport,
            unpack_script(directory),
            lambda send: pack(names, send),
            stderr.write,
            stderr.write,
            timeout=COPY_TIMEOUT,
        )
    except OSError as error:  # a file here that cannot be read, or shrank meanwhile
        raise LabError(f"nothing was copied: {error}") from None
    if status != 0:
        raise GuestCommandFailed(f"put ... {directory}", status, stderr.getvalue())


def get(transport: paramiko.Transport, files: Sequence[str], directory: Path) -> None:
    """Copy files and directories of the guest into a directory here, made if missing.

    Modes are kept; a file that is there is replaced, a directory is added to.
    Raises BadCall, with nothing copied, for a file that is not there or a
    directory that is a file; GuestCommandFailed if one could not be read.
    """
    names = guest_names(files)
    if directory.exists() and not directory.is_dir():
        raise BadCall(f"{directory} is not a folder", hint="./lab get FILE... DIR")
    described = io.BytesIO()
    _fetch(transport, describe_script(files), described, what="stat")
    kinds = described.getvalue().decode().split()
    missing = [file for file, kind in zip(files, kinds, strict=True) if kind == "missing"]
    if missing:
        raise BadCall(f"no such file in the guest: {', '.join(missing)}")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".lab-get.", dir=directory) as staging:
            ready = Path(staging) / "ready"
            ready.mkdir()
            archive = Path(staging) / "archive"
            for (name, file), kind in zip(names.items(), kinds, strict=True):
                arrived = archive if kind == "directory" else ready / name
                with arrived.open("wb") as sink:
                    _fetch(transport, content_script(file, kind), sink, what=f"get {file}")
                if kind == "directory":
                    with archive.open("rb") as source:
                        unpack(source, ready / name)
                else:
                    arrived.chmod(int(kind, 8) & 0o777)
            merge(ready, directory)
    except OSError as error:
        raise LabError(f"not copied to {directory}: {error}") from None


def _fetch(transport: paramiko.Transport, script: str, sink: IO[bytes], *, what: str) -> None:
    stderr = io.BytesIO()
    status = converse(
        transport, script, lambda send: None, sink.write, stderr.write, timeout=COPY_TIMEOUT
    )
    if status != 0:
        raise GuestCommandFailed(what, status, stderr.getvalue())


def local_names(files: Sequence[Path]) -> dict[str, Path]:
    """What each local file is to be called in the guest.

    Raises BadCall for a file that is not there, and for two of one name.
    """
    missing = [str(file) for file in files if not file.exists()]
    if missing:
        raise BadCall(f"no such file: {', '.join(missing)}")
    return _unique(
        [(file.name if file.name != ".." else "") or file.resolve().name for file in files], files
    )


def guest_names(files: Sequence[str]) -> dict[str, str]:
    """What each file of the guest is to be called here. Raises BadCall for two of one name."""
    return _unique([PurePosixPath(file).name for file in files], files)


def _unique(names: Sequence[str], files: Sequence[_File]) -> dict[str, _File]:
    for name, file in zip(names, files, strict=True):
        if name in ("", ".."):
            raise BadCall(f"not a name to copy to: {file}")
        if names.count(name) > 1:
            raise BadCall(f"two files would become one: {name}")
    return dict(zip(names, files, strict=True))


def unpack_script(directory: str) -> str:
    """Shell for the guest: reads what `pack` wrote, into directory, which is made if missing."""
    return _UNPACK % shlex.quote(_plain(directory))


def describe_script(files: Sequence[str]) -> str:
    """Shell for the guest: for each file a line, 'directory', 'missing', or the octal mode."""
    return _DESCRIBE % " ".join(shlex.quote(_plain(file)) for file in files)


def content_script(file: str, kind: str) -> str:
    """Shell for the guest: a directory as a tar stream, anything else as its bytes.

    Bytes, because files of /proc and /sys hold more, or less, than their size says.
    """
    if kind == "directory":
        return f"cd {shlex.quote(_plain(file))} && exec tar -cf - ."
    return f"exec cat {shlex.quote(_plain(file))}"


def _plain(name: str) -> str:
    """A file name that no program takes for an option."""
    return f"./{name}" if name.startswith("-") else name


class _Writer:
    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send

    def write(self, data: bytes) -> int:
        self._send(data)
        return len(data)


def pack(files: dict[str, Path], send: Callable[[bytes], None]) -> None:
    """Write the archive that `unpack_script` reads. A link that was named is followed."""
    # GNU's format: busybox ignores long names in pax headers.
    with tarfile.open(
        fileobj=cast("IO[bytes]", _Writer(send)), mode="w|", format=tarfile.GNU_FORMAT
    ) as tar:
        root = tarfile.TarInfo("files")
        root.type, root.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(root)
        for name, file in files.items():
            tar.add(file.resolve(), arcname=f"files/{name}", filter=_owned_by_root)
        tar.addfile(tarfile.TarInfo(_LAST))


def _owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def unpack(archive: IO[bytes], directory: Path) -> None:
    """Unpack what the guest packed into a new directory.

    Not tarfile's own extraction: its filters came with 3.11.4 and refuse the
    absolute links that every root file system is full of. Links are made last,
    so nothing is ever written through one. Raises LabError for a name that
    leads outside, and for anything but files, directories and links.
    """
    directory.mkdir()
    links: list[tuple[Path, str]] = []
    modes: list[tuple[Path, int]] = []
    with tarfile.open(fileobj=archive, mode="r:") as tar:
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
                source = tar.extractfile(member)
                assert source is not None
                with path.open("xb") as target:
                    shutil.copyfileobj(source, target)
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
