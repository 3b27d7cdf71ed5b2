# SPDX-License-Identifier: GPL-2.0-only
"""Copies into and out of the guest, as tar streams: dropbear has no sftp.

What arrives is complete or absent. Both ends unpack beside the target, on the
same file system, and rename.
"""

import io
import shlex
import stat
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

import paramiko

from harness.core.errors import BadCall, LabError
from harness.machine.ssh.archive import merge, pack, unpack, unpack_files
from harness.machine.ssh.channel import GuestCommandFailed, Send, converse

_File = TypeVar("_File", Path, str)

COPY_TIMEOUT = 600.0  # seconds for one copy

# $part lies in the target, for rename(2) needs one file system. All is named from there: a
# long name takes its time at each look.
_UNPACK = """\
dir=%s
part=.lab-put.$$
merge() {
    local from="$1" into="$2" file to
    set --
    for file in "$from"/* "$from"/.[!.]* "$from"/..?*; do
        [ -e "$file" ] || [ -L "$file" ] || continue
        to=$into/${file##*/}
        if [ -d "$file" ] && [ ! -L "$file" ] && [ -d "$to" ]; then
            merge "$file" "$to"
        elif [ -d "$to" ]; then
            echo "$dir/${to#./}: is a directory" >&2
            exit 1
        else
            set -- "$@" "$file"
            [ $# -lt 100 ] || { mv -f "$@" "$into/" && set --; } || exit 1
        fi
    done
    [ $# -eq 0 ] || mv -f "$@" "$into/" || exit 1
}
mkdir -p "$dir" && cd "$dir" && mkdir "$part" || exit 1
trap 'rm -rf "$part"' EXIT
trap 'exit 1' HUP INT TERM
tar -xpf - -C "$part" || exit 1
[ -e "$part/complete" ] || { echo 'the archive was cut off' >&2; exit 1; }
merge "$part/files" .
"""

_DESCRIBE = """\
set -- %s
for file; do
    if [ -e "$file" ]; then echo there; else echo missing; fi
done
stat -L -c %%f "$@" && stat -f -c %%b "$@"
"""


@dataclass(frozen=True)
class _Kind:
    """What a file of the guest is.

    mode: st_mode.
    sized: it holds as many bytes as its size says. Files of /proc and /sys hold more, or less;
        their file systems have no blocks.
    """

    mode: int
    sized: bool


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
    named = guest_names(files)
    if directory.exists() and not directory.is_dir():
        raise BadCall(f"{directory} is not a folder", hint="./lab get FILE... DIR")
    kinds = dict(zip(named, _kinds(transport, files), strict=True))
    folders = [name for name, kind in kinds.items() if stat.S_ISDIR(kind.mode)]
    plain = [name for name, kind in kinds.items() if stat.S_ISREG(kind.mode) and kind.sized]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".lab-get.", dir=directory) as staging:
            ready = Path(staging) / "ready"
            ready.mkdir()
            archive = Path(staging) / "archive"
            if plain:
                _fetch(transport, archive_script([named[name] for name in plain]), archive)
                unpack_files(archive, [ready / name for name in plain])
            for name in folders:
                _fetch(transport, folder_script(named[name]), archive)
                unpack(archive, ready / name)
            for name in kinds.keys() - {*folders, *plain}:
                _fetch(transport, content_script(named[name]), ready / name)
            for name in kinds.keys() - {*folders}:
                (ready / name).chmod(kinds[name].mode & 0o777)
            merge(ready, directory)
    except OSError as error:
        raise LabError(f"not copied to {directory}: {error}") from None


def _kinds(transport: paramiko.Transport, files: Sequence[str]) -> list[_Kind]:
    """What each file of the guest is. Raises BadCall if one is not there."""
    described, stderr = io.BytesIO(), io.BytesIO()
    script = describe_script(files)
    status = converse(
        transport, script, _nothing, described.write, stderr.write, timeout=COPY_TIMEOUT
    )
    lines = described.getvalue().decode().splitlines()
    missing = [file for file, line in zip(files, lines, strict=False) if line == "missing"]
    if missing:
        raise BadCall(f"no such file in the guest: {', '.join(missing)}")
    if status != 0:
        raise GuestCommandFailed("stat", status, stderr.getvalue())
    modes, blocks = lines[len(files) : 2 * len(files)], lines[2 * len(files) :]
    return [_Kind(int(mode, 16), count != "0") for mode, count in zip(modes, blocks, strict=True)]


def _fetch(transport: paramiko.Transport, script: str, file: Path) -> None:
    stderr = io.BytesIO()
    with file.open("wb") as sink:
        status = converse(
            transport, script, _nothing, sink.write, stderr.write, timeout=COPY_TIMEOUT
        )
    if status != 0:
        raise GuestCommandFailed(script, status, stderr.getvalue())


def _nothing(send: Send) -> None:
    """The input of a command that gets none."""


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
    counts = Counter(names)
    for name, file in zip(names, files, strict=True):
        if name in ("", ".."):
            raise BadCall(f"not a name to copy to: {file}")
        if counts[name] > 1:
            raise BadCall(f"two files would become one: {name}")
    return dict(zip(names, files, strict=True))


def unpack_script(directory: str) -> str:
    """Shell for the guest: reads what `pack` wrote, into directory, which is made if missing."""
    return _UNPACK % _words([directory])


def describe_script(files: Sequence[str]) -> str:
    """Shell for the guest: three times a line for each file.

    Whether it is there; its st_mode, hexadecimal; the size of its file system in blocks.
    """
    return _DESCRIBE % _words(files)


def archive_script(files: Sequence[str]) -> str:
    """Shell for the guest: the files as a tar stream, links followed, in this order."""
    return f"exec tar -chf - {_words(files)}"


def folder_script(directory: str) -> str:
    """Shell for the guest: what is in a directory as a tar stream."""
    return f"cd {_words([directory])} && exec tar -cf - ."


def content_script(file: str) -> str:
    """Shell for the guest: a file as its bytes."""
    return f"exec cat {_words([file])}"


def _words(files: Sequence[str]) -> str:
    return shlex.join(_plain(file) for file in files)


def _plain(name: str) -> str:
    """A file name that no program takes for an option."""
    return f"./{name}" if name.startswith("-") else name
