# SPDX-License-Identifier: GPL-2.0-only
"""Which files of a tree a kernel was made of: a fifth of them, so that their times are soon read.

Kbuild writes what it read for X into .X.cmd, beside X. Of a folder that a file was read
from all files count, for a header may be put in front of another. So do the Makefiles of
the folders that have nothing to compile yet, and each Kconfig.
"""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from harness.core import files
from harness.core.run import CommandFailed, run

RECORD = ".lab-inputs"
UNSURE = "0 0"  # instead of the time and size of a file that was changed meanwhile
LINK = " ->"  # at the end of what find says of one
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


def look(obj: Path, tree: Path, since: Path | None = None) -> list[str]:
    """The files that count for the next kernel in obj: all, before the first one was built."""
    places = known(obj)
    return listing(tree, places, since) if places else below(tree, since=since)


def below(tree: Path, *parts: str, since: Path | None = None) -> list[str]:
    """All files of a tree, or of some parts of it: name, time and size, sorted."""
    starts = [part for part in parts if (tree / part).exists()] or ["."]
    return _find(tree, starts, ["-type", "d", "-name", ".git", "-prune", "-o"], since)


def listing(tree: Path, places: Collection[str], since: Path | None = None) -> list[str]:
    """The files of these folders, and these files: name, time and size, sorted.

    since: what was changed, or got its name, after this file was written is UNSURE.
    """
    if not places:
        return []
    try:
        return _find(tree, sorted(places), ["-maxdepth", "1"], since)
    except CommandFailed:  # one has been removed; to look at each takes half as long again
        there = [place for place in sorted(places) if (tree / place).exists()]
        return _find(tree, there, ["-maxdepth", "1"], since)


def unsure(line: str) -> str:
    """The line of a file that was this one or another."""
    return f"{line.rsplit(' ', 2)[0]} {UNSURE}"


def _find(tree: Path, starts: Sequence[str], tests: Sequence[str], since: Path | None) -> list[str]:
    argv = ["find", *starts, *tests, "-type", "l", "-xtype", "f", "-printf", f"%p{LINK}\n"]
    argv += ["-o", "-type", "f"]
    if since:
        argv += ["-newercm", str(since), "-printf", f"%p {UNSURE}\n", "-o", "-type", "f"]
    argv += ["-printf", "%p %T@ %s\n"]
    # Names as bytes: a fifth of its time.
    found = run(argv, cwd=tree, env={"LC_ALL": "C"}, deadline=60).splitlines()
    return sorted({_followed(tree, line, since) if line.endswith(LINK) else line for line in found})


def _followed(tree: Path, line: str, since: Path | None) -> str:
    """The line of a link to a file: with what is true of that file, as make and compilers read."""
    name = line.removesuffix(LINK)
    file = (tree / name).stat()
    changed = max(file.st_ctime_ns, (tree / name).lstat().st_ctime_ns)
    if since and changed > since.stat().st_mtime_ns:
        return f"{name} {UNSURE}"
    return f"{name} {file.st_mtime_ns // 10**9}.{file.st_mtime_ns % 10**9:09} {file.st_size}"


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
    found = {path for path in folders | options | makefiles if path != Path()}
    places = before | {"."} | {f"./{path}" for path in found}
    after = frozenset(place for place in places if (tree / place).exists())
    files.replace(record, "\n".join(sorted(after)))
    return after


def _words(command: Path, since: int) -> set[str]:
    """What a .cmd file says, unless it is older."""
    if command.stat().st_mtime_ns < since:
        return set()
    return set(command.read_text(errors="replace").split())


def made_of(obj: Path, tree: Path) -> Iterator[tuple[Path, set[str]]]:
    """What was made in obj, each with what is on record that it was made of: paths in the tree.

    And others' names, of no file there.
    """
    named = _naming(obj, tree)
    names: dict[str, str] = {}  # a word comes a thousand times
    for directory, _, found in os.walk(obj):
        for file in found:
            target = Path(directory, file.removeprefix(".").removesuffix(".cmd"))
            if file.endswith(".cmd") and target.exists():
                words = _words(Path(directory, file), 0)
                names |= {word: named(word) for word in words - names.keys()}
                yield target, {names[word] for word in words}


def _naming(obj: Path, tree: Path) -> Callable[[str], str]:
    """What gives a word its path in the tree; another one if it is none of the tree's files."""
    root, here = f"{tree.resolve()}/", f"{obj.resolve()}/"

    def name(word: str) -> str:
        # From the folder where the compiler runs: CCACHE_BASEDIR makes paths so.
        whole = here + word if word.startswith("../") else word
        return os.path.normpath(whole).removeprefix(root)

    return name


def _files(obj: Path, tree: Path, words: set[str]) -> set[Path]:
    """The tree's files among these words, by their paths in the tree."""
    names = set(map(_naming(obj, tree), words))
    return {Path(name) for name in names if name[0] not in "/-$." and (tree / name).is_file()}
