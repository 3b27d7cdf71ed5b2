# SPDX-License-Identifier: GPL-2.0-only
"""Work of the user's below the build folder that exists nowhere else.

A series' tree is a git repository that users commit to. Nobody's work is what the lab made of
the series' files, and what they, or a remote, have. Where it can't be told, it counts as work.
"""

import hashlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.artefacts import patches
from harness.artefacts.source import BASE_TAG
from harness.core.errors import BadCall, LabError
from harness.core.git import IDENTITY, look
from harness.core.workspace import SERIES_ROOT
from harness.series.export import UNFINISHED, format_patches, view

HALF_MADE = "linux.new"  # harness/artefacts/source.py fills it, and nobody else works there
MANY = 200  # commits; of more none is looked for in the series' files
SHOWN = 5
# What git ignores is work, too: a kernel's .gitignore has *.patch, and names that begin with a
# dot. But not what compilers and indexers make anew.
MADE = re.compile(
    r"\.(?:[ao]|ko|cmd|mod|mod\.c|order|symvers)$|(?:^|/)(?:(?:tags|TAGS|G[A-Z]*TAGS)$|cscope\.)"
    r"|^(?:\.cache/|compile_commands\.json$)"
)
HINT = """\
commit it there, and ./lab patches export; or git push it to a remote of that tree.
      What you don't want: git stash drop, git branch -D, git checkout there, or rm -r the tree.
      Nothing is lost with rm -r build/*/obj build/downloads"""


@dataclass(frozen=True)
class Commit:
    """A commit that no remote has.

    by_lab: of a series' file as it then was.
    merge: of several, which no file is made of.
    """

    hash: str
    subject: str
    by_lab: bool
    merge: bool

    def __str__(self) -> str:
        return f"commit {self.hash[:12]} {self.subject}"


def refuse(root: Path) -> None:
    """Raise BadCall if something below the build folder would be lost with it."""
    series = [_digests(file.parent) for file in sorted(SERIES_ROOT.glob("*/series"))]
    told = []
    for tree in _trees(root):
        if lost := work(tree, series):
            more = [f"and {len(lost) - SHOWN} more"] if len(lost) > SHOWN else []
            told += [f"  {tree}", *(f"    {line}" for line in [*lost[:SHOWN], *more])]
    if told:
        what = "nothing was removed, for this exists nowhere else:"
        raise BadCall("\n".join([what, *told]), hint=HINT)


def _digests(directory: Path) -> list[str]:
    try:
        return [patch.digest for patch in patches.parse_series(directory)]
    except LabError:  # a file that is named is not there: then the series has nothing for sure
        return []


def _trees(root: Path) -> Iterator[Path]:
    """The series' trees, those kept of former bases, and whatever else is a repository."""
    folders = (path for path in [*root.glob("*"), *root.glob("*/*")] if not path.is_symlink())
    for path in sorted(folders):
        is_tree = path.name.startswith("linux") and path.is_dir() and any(path.iterdir())
        if (is_tree or (path / ".git").exists()) and path.name != HALF_MADE and not _is_clone(path):
            yield path


def _is_clone(tree: Path) -> bool:
    """Whether it is a scratch tree, for trials: with the objects of another."""
    alternates = tree / ".git/objects/info/alternates"
    return tree.name == "linux" and alternates.exists() and not (tree / ".git/lab-origin").exists()


def work(tree: Path, series: Sequence[Sequence[str]]) -> list[str]:
    """What is in a tree and nowhere else, a line each.

    series: of each series the digests of its files, in order.
    """
    try:
        commits = [] if (tree / ".git").is_file() else _commits(tree)  # a worktree's are elsewhere
        return [*_unsaved(tree, commits, series), *_unfinished(tree), *_uncommitted(tree)]
    except LabError as error:
        return [f"it can't be told: {' '.join(error.message.split())[:200]}"]


def _commits(tree: Path, *revisions: str) -> list[Commit]:
    """The commits that no remote has, of these revisions, or of all and the stash; newest first."""
    base = [BASE_TAG] if (tree / ".git/lab-origin").exists() else []
    asked = revisions or ("--all",)
    found = look(tree, "log", "--format=%H%x09%P%x09%ce%x09%s", *asked, "--not", *base, "--remotes")
    split = (line.split("\t", 3) for line in found.splitlines())
    lab = IDENTITY["GIT_COMMITTER_EMAIL"]
    return [
        Commit(name, subject, by == lab, " " in parents) for name, parents, by, subject in split
    ]


def _unsaved(tree: Path, commits: Sequence[Commit], series: Sequence[Sequence[str]]) -> list[str]:
    """Commits of a person that are in no series; or that are, but not so in a row."""
    own = [commit for commit in commits if not commit.by_lab]
    if not own or len(own) > MANY:
        return [str(commit) for commit in own]
    digests = patches.made_of(tree)
    digests |= _as_files(tree, [commit for commit in commits if commit.hash not in digests])
    saved = {digest for each in series for digest in each}
    lost = [str(commit) for commit in own if digests.get(commit.hash) not in saved]
    row = [digests.get(commit.hash, "") for commit in reversed(_commits(tree, "HEAD"))]
    if not lost and {*own} & {*_commits(tree, "HEAD")} and row not in series:
        return ["its commits, which are not in the order of the series' files, or fewer"]
    return lost


def _as_files(tree: Path, commits: Sequence[Commit]) -> dict[str, str]:
    """By a commit's hash, the digest of the file that `patches export` would write of it."""
    digests: dict[str, str] = {}
    if not commits:
        return digests
    with tempfile.TemporaryDirectory() as directory:
        seen = Path(directory, "view")
        view(tree, commits[0].hash, seen)
        for commit in commits:
            if commit.merge:  # of which format-patch would write another one
                continue
            into = Path(directory, commit.hash)
            for path in format_patches(seen, into, "-1", commit.hash):
                digests[commit.hash] = hashlib.sha256(path.read_bytes()).hexdigest()
    return digests


def _unfinished(tree: Path) -> list[str]:
    names = (*UNFINISHED, "MERGE_HEAD") if patches.are_applied(tree) else ()
    return [
        f"git is in the middle of something: {n}" for n in names if (tree / ".git" / n).exists()
    ]


def _uncommitted(tree: Path) -> list[str]:
    """What is changed, staged, new or ignored; after a kill of the lab itself only the last two."""
    status = ("status", "--porcelain", "--untracked-files=normal", "--ignored=matching")
    arguments = ("-c", "core.quotePath=false", *status, "--ignore-submodules=none")
    lines = look(tree, *arguments).splitlines()
    all_of_it = patches.are_applied(tree) or not (tree / ".git/lab-origin").exists()
    found = [line for line in lines if all_of_it or line[:2] in ("??", "!!")]
    return [
        f"not committed: {line[3:]}"
        for line in found
        if line[:2] != "!!" or not MADE.search(line[3:])
    ]
