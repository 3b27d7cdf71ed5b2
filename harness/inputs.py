# SPDX-License-Identifier: GPL-2.0-only
"""Which files of a tree a kernel was made of: a fifth of them, so that their times are soon read.

Kbuild writes what it read for X into .X.cmd, beside X. Of a folder that a file was read
from all files count, for a header may be put in front of another. So do the Makefiles of
the folders that have nothing to compile yet, and each Kconfig.
"""

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from harness.run import CommandFailed, run

RECORD = ".lab-inputs"
# Read by make itself and by scripts, which write no .cmd: with all folders below them.
WHOLE = (
    "arch/x86/configs",
    "kernel/configs",
    "scripts",
    "tools/arch/x86",
    "tools/bpf/resolve_btfids",
    "tools/build",
    "tools/include",
    "tools/lib",
    "tools/objtool",
    "tools/scripts",
)


def known(obj: Path) -> frozenset[str]:
    """What was read for the kernels that were built here: folders, and files of others; or none."""
    try:
        return frozenset((obj / RECORD).read_text().splitlines())
    except FileNotFoundError:
        return frozenset()


def below(tree: Path, *parts: str) -> list[str]:
    """All files of a tree, or of some parts of it: name, time and size, sorted."""
    starts = [part for part in parts if (tree / part).exists()] or ["."]
    return _find(tree, starts, ["-type", "d", "-name", ".git", "-prune", "-o", "-type", "f"])


def listing(tree: Path, places: Collection[str], since: Path | None = None) -> list[str]:
    """The files of these folders, and these files: name, time and size, sorted.

    since: leave out what was changed, or got its name, after this file was written.
    """
    late = ["!", "-newercm", str(since)] if since else []
    tests = ["-maxdepth", "1", "-type", "f", *late]
    try:
        return _find(tree, sorted(places), tests)
    except CommandFailed:  # one has been removed; to look at each takes half as long again
        return _find(tree, [place for place in sorted(places) if (tree / place).exists()], tests)


def _find(tree: Path, starts: Sequence[str], tests: Sequence[str]) -> list[str]:
    argv = ["find", *starts, *tests, "-printf", "%p %T@ %s\n"]
    # Names as bytes: a fifth of its time.
    found = run(argv, cwd=tree, env={"LC_ALL": "C"}, deadline=60)
    return sorted(set(found.splitlines()))


def learn(obj: Path, tree: Path) -> frozenset[str]:
    """Put on record what was read for a build that is over; returns all that is known now."""
    record = obj / RECORD
    before = known(obj)
    since = record.stat().st_mtime_ns if before else 0
    entered, words = set[Path](), set[str]()
    for directory, _, names in os.walk(obj):
        entered.add(Path(directory).relative_to(obj))
        for name in names:
            if name.endswith(".cmd"):
                words |= _words(Path(directory, name), since)
    read = _files(obj, tree, words)
    options = {path for path in read if path.name.startswith("Kconfig")}
    folders = {Path(), *(path.parent for path in read - options)}
    for part in WHOLE:
        folders |= {Path(folder).relative_to(tree) for folder, _, _ in os.walk(tree / part)}
    makefiles = {folder / name for folder in entered for name in ("Kbuild", "Makefile")}
    places = before | {f"./{path}" for path in folders | options | makefiles}
    after = frozenset(place for place in places if (tree / place).exists())
    beside = record.with_name(f"{RECORD}.new")
    beside.write_text("\n".join(sorted(after)))
    beside.replace(record)
    return after


def _words(command: Path, since: int) -> set[str]:
    """What a .cmd file says, unless it is older."""
    if command.stat().st_mtime_ns < since:
        return set()
    return set(command.read_text(errors="replace").split())


def _files(obj: Path, tree: Path, words: set[str]) -> set[Path]:
    """The tree's files among these words, by their paths in the tree."""
    root, here = f"{tree.resolve()}/", f"{obj.resolve()}/"
    # From the folder where the compiler runs: CCACHE_BASEDIR makes paths so.
    whole = (here + word if word.startswith("../") else word for word in words)
    names = {os.path.normpath(path).removeprefix(root) for path in whole}
    return {Path(name) for name in names if name[0] not in "/-$." and (tree / name).is_file()}
