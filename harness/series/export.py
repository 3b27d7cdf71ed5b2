# SPDX-License-Identifier: GPL-2.0-only
"""The series' files, written back from the commits of its tree, the same bytes each time."""

import difflib
import hashlib
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from harness.artefacts import patches
from harness.artefacts.patches import Commit, Patch
from harness.artefacts.scratch_tree import clone
from harness.artefacts.source import BASE_TAG
from harness.core import files
from harness.core.errors import LabError
from harness.core.git import git
from harness.core.progress import say
from harness.core.workspace import Layout

# No commit's hash, no version of git, and as many digits of a blob's hash as git itself
# finds enough in a repository of this size.
FORMAT = (
    *("format-patch", "--quiet", "--zero-commit", "--no-signature", "--abbrev=9"),
    *("--no-numbered", "--no-ext-diff", "--no-textconv"),
)
UNFINISHED = ("rebase-merge", "rebase-apply", "CHERRY_PICK_HEAD", "REVERT_HEAD")
FIXUP = re.compile(r"(?:fixup|squash|amend)! ")
# Where git am takes the message to be over (git-mailinfo's patchbreak()).
MESSAGE_ENDS = re.compile(r"^(?:---(?: \S|\s*$)|diff -|Index: )", re.MULTILINE)


def export(layout: Layout, series_dir: Path) -> None:
    """Make the series be the commits from the base to the tree's HEAD.

    A commit stays in the sub-series that has a patch of its subject; a new one goes to that of
    the commit before it. A file whose bytes stay is not touched; the comments in `series` stay
    with their patches. From then on the tree counts as made from these files.
    Raises LabError, before anything is written, if a commit can't be sent, if there is
    none, if the files are not those that the tree was made from, or if the sub-series can't be
    cut so.
    """
    tree = layout.linux
    for name in UNFINISHED:
        if (tree / ".git" / name).exists():
            raise LabError(
                f"git is in the middle of something in {tree}",
                hint="git rebase --continue there, or --abort; git status says which",
            )
    commits = patches.commits(tree)
    if not commits:
        raise LabError(
            f"{tree} has no commit since its tag {BASE_TAG}: the series would be empty",
            hint=f"git -C {tree} reflog has what was there",
        )
    _refuse_unsendable(tree, commits)
    if patches.is_dirty(tree):
        say(f"patches   what is not committed in {tree} is left out")
    beside = layout.source / "export"
    shutil.rmtree(beside, ignore_errors=True)
    formatted = _formatted(tree, commits, beside)
    for path, commit in zip(formatted, commits, strict=True):
        if b"\ndiff --git " not in path.read_bytes():
            raise LabError(
                f"commit {commit.hash[:12]} ({commit.subject}) changes nothing",
                hint=f"git -C {tree} rebase -i {BASE_TAG}, and drop it",
            )
    old, parts = patches.parse_series(series_dir), patches.parts(series_dir)
    cut = _cut(parts, old, [_slug(path.name) for path in formatted])
    written = _renumbered(formatted, cut)
    _refuse_changed(tree, old, written)
    changed = sum(
        _write(
            series_dir / part,
            [patch for patch in old if patch.part == part],
            [patch for patch in written if patch.part == part],
        )
        for part in parts
    )
    patches.record(tree, [(new.digest, c.hash) for new, c in zip(written, commits, strict=True)])
    shutil.rmtree(beside)
    say(f"patches   {len(written)} in {series_dir}, {changed or 'none'} of the files changed")


def _cut(parts: Sequence[str], old: Sequence[Patch], slugs: Sequence[str]) -> list[str]:
    """The sub-series of each commit, by the names of its files without their numbers."""
    if not parts:
        raise LabError(
            "the series names no sub-series", hint="a folder's name in its file `series`"
        )
    home = {_slug(patch.path.name): patch.part for patch in old}
    cut: list[str] = []
    for slug in slugs:
        part = home.get(slug, cut[-1] if cut else parts[0])
        if cut and parts.index(part) < parts.index(cut[-1]):
            raise LabError(
                f"{slug} is of the sub-series {part}, and comes behind {cut[-1]}'s",
                hint="move the commit, or its file and its line to another sub-series",
            )
        cut.append(part)
    for part in parts:
        if cut.count(part) > patches.MOST:
            raise LabError(
                f"the sub-series {part} would have {cut.count(part)} patches, more than"
                f" {patches.MOST}",
                hint="move the last ones' files and lines to another one",
            )
    return cut


def _renumbered(formatted: Sequence[Path], cut: Sequence[str]) -> list[Patch]:
    """The files in a folder for each sub-series, numbered from 1 there."""
    moved = []
    for at, (path, part) in enumerate(zip(formatted, cut, strict=True)):
        number = cut[: at + 1].count(part)
        place = path.parents[1] / part / f"{number:04}-{_slug(path.name)}"
        place.parent.mkdir(exist_ok=True)
        path.rename(place)
        moved.append(Patch(place, hashlib.sha256(place.read_bytes()).hexdigest(), part))
    return moved


def _slug(name: str) -> str:
    return re.sub(r"^\d+-", "", name)


def _formatted(tree: Path, commits: Sequence[Commit], beside: Path) -> list[Path]:
    """The commits as files in a new folder, in order."""
    seen, last = beside / "view", commits[-1].hash
    view(tree, last, seen)
    files = format_patches(seen, beside / "files", f"{commits[0].hash}^..{last}")
    if len(files) != len(commits):
        raise LabError(f"git format-patch made {len(files)} files of {len(commits)} commits")
    return files


def view(tree: Path, commit: str, directory: Path) -> None:
    """Have a repository of the lab's own that sees a tree's commits.

    It has no configuration and no attributes but those that this commit has: a tree's own can
    change each byte of a patch.
    """
    clone(directory, tree)
    names = git(directory, "ls-tree", "-r", "--name-only", "-z", commit).split("\0")
    attributes = [name for name in names if Path(name).name == ".gitattributes"]
    if attributes:  # by which functions are named in hunks
        git(directory, "checkout", commit, "--", *attributes)


def format_patches(seen: Path, directory: Path, *wanted: str) -> list[Path]:
    """A view's commits as files of a folder, in order; those without a change make none.

    wanted: revisions, and options of git format-patch over FORMAT's.
    """
    directory.mkdir(parents=True)
    git(seen, *FORMAT, "--output-directory", str(directory.resolve()), *wanted)
    return sorted(directory.iterdir())


def _refuse_unsendable(tree: Path, commits: Sequence[Commit]) -> None:
    for commit in commits:
        name = f"{commit.hash[:12]} ({commit.subject})"
        if FIXUP.match(commit.subject):
            raise LabError(
                f"commit {name} is still to be squashed into another",
                hint=f"git -C {tree} rebase -i --autosquash {BASE_TAG}",
            )
        message = git(tree, "log", "-1", "--format=%B", commit.hash)
        if found := MESSAGE_ENDS.search(message):
            line = message[found.start() :].partition("\n")[0]
            raise LabError(
                f"commit {name}: git am would cut its message off at the line {line!r}",
                hint="indent it",
            )


def _refuse_changed(tree: Path, old: Sequence[Patch], written: Sequence[Patch]) -> None:
    """Files that are neither those of the tree nor those to be written are somebody's work.

    A mixture of the two is what a killed export left.
    """
    applied, new = patches.recorded(tree), [patch.digest for patch in written]
    now = [patch.digest for patch in old]
    if now == new:
        return
    if len(now) != len(applied) or any(
        digest not in (was, *new) for digest, was in zip(now, applied, strict=True)
    ):
        raise LabError(
            f"the series' files are not those that {tree} was made from",
            hint="./lab build applies them; it keeps your commits on a branch of that tree",
        )


def _write(series_dir: Path, old: Sequence[Patch], written: Sequence[Patch]) -> int:
    """Replace what differs, the file `series` last but for removals; returns how many did."""
    for leftover in series_dir.glob(f"*{files.BESIDE}"):
        leftover.unlink()
    contents = {patch.path.name: patch.path.read_bytes() for patch in written}
    was = (series_dir / "series").read_text()
    contents["series"] = renew(was, [patch.path.name for patch in written]).encode()
    changed = 0
    for name, content in contents.items():
        path = series_dir / name
        if not path.exists() or path.read_bytes() != content:
            files.replace(path, content)
            changed += 1
    for patch in old:
        if patch.path.name not in contents:
            patch.path.unlink()
            changed += 1
    return changed


def renew(series: str, names: Sequence[str]) -> str:
    """The text of `series` with these names in it, in order, and the comments that it had.

    Comment lines stay in front of the patch that they stood in front of, whatever
    number it now has; if it is gone, of the one that followed.
    """
    entries: list[tuple[list[str], str, str]] = []  # lines before, name, what follows in its line
    before: list[str] = []
    for line in series.splitlines():
        name = line.partition("#")[0].strip()
        if name:
            entries.append((before, name, line.rstrip().partition(name)[2]))
            before = []
        else:
            before.append(line)
    place = _places([name for _, name, _ in entries], names)
    blocks: list[list[str]] = [[] for _ in (*names, None)]
    behind = [""] * len(names)
    for at, (lines, _, follows) in enumerate(entries):
        there = next((place[later] for later in range(at, len(entries)) if later in place), -1)
        blocks[there] += lines
        if at in place:
            behind[place[at]] = follows
    blocks[-1] += before
    lines = []
    for at, name in enumerate(names):
        lines += [*blocks[at], name + behind[at]]
    return "".join(f"{line}\n" for line in [*lines, *blocks[-1]])


def _places(old: Sequence[str], new: Sequence[str]) -> dict[int, int]:
    """Which patch has become which: by its name but for the number, else by its neighbours."""
    was, now = ([_slug(name) for name in names] for names in (old, new))
    place = {at: now.index(slug) for at, slug in enumerate(was) if slug in now}
    taken = set(place.values())
    matcher = difflib.SequenceMatcher(None, was, now, autojunk=False)
    for kind, start, end, there, there_end in matcher.get_opcodes():
        if kind == "replace":
            for at, to in zip(range(start, end), range(there, there_end), strict=False):
                if at not in place and to not in taken:
                    place[at] = to
    return place
