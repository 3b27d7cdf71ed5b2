# SPDX-License-Identifier: GPL-2.0-only
"""Kernel trees that nobody edits: at any commit of another tree, or what patches make of one.

Commits are made in an index of their own, without files; then one checkout touches only the
files that differ from what was there before, so that little is compiled again.
"""

import itertools
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from harness.artefacts import partial_clone
from harness.artefacts.patches import Commit, Patch, describe_failure
from harness.core.errors import BadCall
from harness.core.git import git, look
from harness.core.progress import step
from harness.core.run import CommandFailed

# No kernel is made of it, and of two patches that add to the same list one can't go alone.
NOT_CODE = "--exclude=Documentation/*"


class DoesNotApply(Exception):
    """A patch that has no place in the tree; why: file and hunk."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name} does not apply: {why}")
        self.name = name
        self.why = why


def clone(tree: Path, origin: Path) -> None:
    """Have a repository at `tree` that sees all commits of origin's, which is only read.

    The caller holds a lock on it. What a kill left of it is put right.
    """
    objects = _git_path(origin, "objects")
    alternates = _alternates(tree)
    if not alternates.exists() or alternates.read_text() != f"{objects}\n":
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir(parents=True)
        hashes = look(origin, "rev-parse", "--show-object-format").strip()
        git(tree, "init", "--quiet", f"--object-format={hashes}")
        git(tree, "config", "gc.auto", "0")
        shallow = _git_path(origin, "shallow")
        if shallow.exists():
            shutil.copyfile(shallow, tree / ".git" / "shallow")
        alternates.write_text(f"{objects}\n")  # last
    lock = tree / ".git" / "index.lock"
    if lock.exists():
        lock.unlink()
        git(tree, "clean", "-ffdxq")


def _alternates(tree: Path) -> Path:
    return tree / ".git" / "objects" / "info" / "alternates"


def _git_path(tree: Path, name: str) -> Path:
    try:
        found = look(tree, "rev-parse", "--git-path", name)
    except CommandFailed:
        raise BadCall(f"{tree} is no git repository") from None
    return tree / found.strip()


def check_out(tree: Path, commit: str) -> None:
    """Have the files of a commit in the tree; what a partial clone lacks of them is fetched."""
    alternates = _alternates(tree)
    if alternates.exists():
        partial_clone.complete(tree, Path(alternates.read_text().strip()).parent, commit)
    checkout = ("checkout", "--quiet", "--force", "--detach", commit)
    if (tree / "Makefile").exists():
        git(tree, *checkout)
    else:
        with step("tree", f"checking out into {tree}") as current:
            git(tree, *checkout)
            current.note = f"checked out into {tree}"


def diff_of(tree: Path, commit: Commit, name: str) -> Path:
    """A file below .git with what a commit changes, of that name."""
    directory = tree / ".git" / "lab-diffs"
    directory.mkdir(exist_ok=True)
    path = directory / name
    options = ("-p", "--binary", "--full-index", "--no-ext-diff", "--no-textconv")
    git(tree, "diff-tree", *options, f"{commit.hash}^", commit.hash, stdout=path)
    return path


def compose(tree: Path, start: str, diffs: Sequence[Path], subject: str) -> str:
    """The commit that patches make of another one; raises DoesNotApply, named as the file.

    What they change below Documentation/ is left out.
    """
    index = {"GIT_INDEX_FILE": str((tree / ".git" / "lab-index").resolve())}
    git(tree, "read-tree", start, env=index)
    for diff in diffs:
        arguments = ["apply", "--cached", NOT_CODE, str(diff.resolve())]
        try:
            git(tree, *arguments, env=index)
        except CommandFailed as error:
            try:
                git(tree, *arguments, "--3way", env=index)
            except CommandFailed:
                said = describe_failure(Patch(diff, "", ""), error.output)
                raise DoesNotApply(diff.name, said.partition(": ")[2]) from None
    made = git(tree, "write-tree", env=index).strip()
    return git(tree, "commit-tree", made, "-p", start, "-m", subject).strip()


def without(tree: Path, commits: Sequence[Commit], dropped: Collection[int]) -> str:
    """The commit of a series without some of its patches, counted from 1.

    Raises DoesNotApply for the first patch that does not, by its number.
    """
    if not dropped:
        return commits[-1].hash
    first = min(dropped)
    diffs = [
        diff_of(tree, commit, f"{number:04}")
        for number, commit in enumerate(commits, 1)
        if number > first and number not in dropped
    ]
    subject = f"the series without {listed(dropped)}"
    return compose(tree, f"{commits[first - 1].hash}^", diffs, subject)


def listed(numbers: Collection[int]) -> str:
    """Patches as their files are numbered; more than two in a row by the first and the last."""
    told = []
    rows = itertools.groupby(enumerate(sorted(numbers)), lambda at: at[1] - at[0])
    for _, row in rows:
        first, *rest = (f"{number:04}" for _, number in row)
        told += [f"{first} to {rest[-1]}"] if len(rest) > 1 else [first, *rest]
    return ", ".join(told)
