# SPDX-License-Identifier: GPL-2.0-only
"""Finds objects that make(1) would keep although a source file was replaced.

make looks at times alone. A file that was put back (cp -p, mv, rsync -t, an unpacked tar) is
older than what was compiled of the other one meanwhile; and of a new header in front of another
make knows nothing. So each make's files are on record as it was to find them, and what was made
of one before it was found as it is now goes.
"""

import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from harness.artefacts import inputs
from harness.core import files

LOOKED = ".lab-looked"  # as old as the last look at the tree
STARTED = ".lab-started"  # there while a make goes on, and after one that came to no end
SEEN = ".lab-seen"  # the files as the last make was to find them
CHANGED = ".lab-changed"  # of those that make may not notice: since when (ns), and the name
# What is run to make others: not always on record beside them.
PROGRAM = re.compile(r"^(?:/|scripts/|tools/)")
# On record wherever it was read; or read by each make, which compares the commands it gives.
NOTICED = re.compile(r"\.(?:[chS]|rst|txt)$|(?:^|/)(?:Makefile|Kbuild|Kconfig|Build)[^/]*$")
SECOND_NS = 10**9
LAST_MOMENTS_NS = 20 * SECOND_NS  # no program takes longer between two writes to a file
EDITORS = re.compile(r"(?:^|/)[.#][^/]*$|~$")


def look(obj: Path, tree: Path) -> list[str]:
    """The files that count for the next kernel in obj; LOOKED is from before."""
    obj.mkdir(parents=True, exist_ok=True)
    (obj / LOOKED).touch()
    return inputs.look(obj, tree)


def begin(obj: Path, tree: Path, listing: Sequence[str]) -> None:
    """Remove what a make that begins now must not keep, and have on record what it will find.

    listing: what `look` gave, and programs of the host by their whole paths, listed alike.
    A kill loses nothing: what is to go is on record before.
    """
    ended = remove_half_written(obj)
    now, before = _entries(listing), _entries(_lines(obj / SEEN))
    since = {name: int(when) for when, _, name in _records(obj)}
    if before:
        names = {name for name, _ in now.items() ^ before.items()}
        if ended:  # and what was changed after that make had begun
            entries = _entries(inputs.look(obj, tree, obj / STARTED))
            names |= {name for name, entry in entries.items() if entry == inputs.UNSURE}
        over = ended or (obj / SEEN).stat().st_mtime_ns
        noticed, harmless = _noticed(names, now, before, over), _harmless(names, before)
        since = {name: when for name, when in since.items() if name not in noticed}
        moment = (obj / LOOKED).stat().st_mtime_ns
        since |= dict.fromkeys(names - noticed - harmless, moment)
    _write(obj / CHANGED, (f"{when} {name}" for name, when in since.items()))
    _write(obj / SEEN, (f"{name} {entry}" for name, entry in now.items()))
    if since:
        _remove(obj, tree, since, since.keys() - before.keys())
    (obj / LOOKED).replace(obj / STARTED)


def end(obj: Path, listing: Iterable[str]) -> None:
    """Have on record that all in obj is made of these files."""
    _write(obj / SEEN, listing)
    (obj / CHANGED).unlink(missing_ok=True)
    (obj / STARTED).unlink()


def _noticed(
    names: Collection[str], now: Mapping[str, str], before: Mapping[str, str], over: int
) -> set[str]:
    """Those that are newer than all that was made: make sees it, and 90 MB need not be read."""
    there = (name for name in names if name in now and name in before and name[0] != "/")
    return {name for name in there if _time(now[name]) > over}


def _harmless(names: Collection[str], before: Collection[str]) -> set[str]:
    """Those that nothing was made of: new ones in front of no other, and an editor's."""
    bases = {_base(name) for name in before}
    return {
        name
        for name in names
        if EDITORS.search(name) or (name not in before and _base(name) not in bases)
    }


def remove_half_written(obj: Path) -> int:
    """Remove what programs that were killed may have left half-written.

    Returns when the last was written, ns, or 0 if the last make came to its end.

    Kbuild writes .X.cmd at once when X is complete; an X that is newer than its
    .cmd was being written when the last build was killed. What has no .cmd is
    suspect if it was written in that build's last moments. Not more: all objects
    depend on objtool, which has none. include/ is written beside and renamed.
    """
    marker = obj / STARTED
    if not marker.exists():
        return 0
    since = marker.stat().st_mtime_ns
    files = (path for path in obj.rglob("*") if path.is_file() and not path.is_symlink())
    # Without the lab's own: a kill in the middle of this is made good by the next call.
    files = (path for path in files if not path.name.startswith(".lab-"))
    times = {path: path.stat().st_mtime_ns for path in files}
    end = max(times.values(), default=since)
    for path, written in times.items():
        if path.is_relative_to(obj / "include"):
            continue
        complete = times.get(path.with_name(f".{path.name}.cmd"))
        if path.suffix == ".cmd":
            bound = end - SECOND_NS
        else:
            bound = end - LAST_MOMENTS_NS if complete is None else complete + 1
        if written >= max(since, bound):
            path.unlink()
    return end


def _remove(obj: Path, tree: Path, since: Mapping[str, int], appeared: Collection[str]) -> None:
    """Remove what was made of these files before the times that are theirs.

    appeared: of those, the ones that another of the same name may have been taken for.
    """
    in_front = {_base(name): since[name] for name in appeared}
    unnamed = {name for name in since if PROGRAM.match(name) and not NOTICED.search(name)}
    first = 0  # the oldest of all that was made
    for target, names in inputs.made_of(obj, tree):
        made = target.stat().st_mtime_ns
        first = min(first or made, made)
        unnamed -= names
        times = [since[name] for name in names & since.keys()]
        if in_front:
            bases = {_base(name) for name in names}
            times += [in_front[base] for base in bases & in_front.keys()]
        if times and made <= max(times):
            target.unlink()
    if unnamed and first and first <= max(since[name] for name in unnamed):
        _empty(obj)


def _empty(obj: Path) -> None:
    """Remove all that was made; what is on record of the files stays."""
    for path in obj.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif not path.name.startswith(".lab-"):
            path.unlink()


def _entries(listing: Iterable[str]) -> dict[str, str]:
    """By a file's name, as plain as can be: its time and size."""
    split = (line.rsplit(" ", 2) for line in listing)
    return {os.path.normpath(name): f"{time} {size}" for name, time, size in split}


def _time(entry: str) -> int:
    """A listed time in ns."""
    seconds, _, fraction = entry.split()[0].partition(".")
    return int(seconds) * 10**9 + int(fraction[:9].ljust(9, "0"))


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _records(obj: Path) -> Iterator[tuple[str, str, str]]:
    return (line.partition(" ") for line in _lines(obj / CHANGED))


def _lines(record: Path) -> list[str]:
    return record.read_text("utf-8").splitlines() if record.exists() else []


def _write(record: Path, lines: Iterable[str]) -> None:
    files.replace(record, "\n".join(lines))
