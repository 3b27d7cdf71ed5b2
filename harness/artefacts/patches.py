# SPDX-License-Identifier: GPL-2.0-only
"""The series: parsed, and applied to the base as commits."""

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.artefacts.source import BASE_TAG
from harness.core import files
from harness.core.errors import LabError
from harness.core.git import git
from harness.core.progress import say, step
from harness.core.run import CommandFailed
from harness.core.workspace import Layout

HUNK = re.compile(r"^@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@", re.MULTILINE)
# What git apply says of the first hunk that it can't place; the number is the
# hunk's line in the old file.
FAILED = re.compile(r"^error: patch failed: (?P<file>.+):(?P<line>\d+)$", re.MULTILINE)
MISSING = re.compile(
    r"^error: (?P<file>.+): (?P<why>No such file or directory|does not exist"
    r" in index|already exists in (?:index|working directory))$",
    re.MULTILINE,
)
MOST = 15  # patches of a sub-series: what netdev takes (Documentation/process/maintainer-netdev)
BLUNT = re.compile(r"^(?:error|fatal): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Patch:
    """A file of the series, and its content's SHA-256.

    part: the sub-series that it is of, which is its folder's name.
    """

    path: Path
    digest: str
    part: str

    def __str__(self) -> str:
        return f"{self.part}/{self.path.name}"


@dataclass(frozen=True)
class Commit:
    """A commit of the series in its tree."""

    hash: str
    subject: str


def parse_series(directory: Path) -> tuple[Patch, ...]:
    """The patches of a series, in order.

    Its file `series` names folders, the sub-series, in order, and each folder's own names
    patches; '#' begins a comment (as in quilt). Raises LabError for what is not there or there
    twice, and for a sub-series of more than MOST patches.
    """
    return tuple(patch for part in parts(directory) for patch in _of_part(directory / part))


def parts(directory: Path) -> list[str]:
    """The names of a series' sub-series, in order."""
    return _named(directory / "series")


def _of_part(directory: Path) -> list[Patch]:
    series = directory / "series"
    names = _named(series)
    if len(names) > MOST:
        raise LabError(
            f"{series} names {len(names)} patches, and who reviews takes {MOST} at a time",
            hint="move the last ones to another sub-series",
        )
    found = []
    for name in names:
        path = directory / name
        if not path.is_file():
            raise LabError(
                f"{series} names {name}, which is not there",
                hint="add the file, or remove its line",
            )
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        found.append(Patch(path, digest, directory.name))
    return found


def _named(series: Path) -> list[str]:
    try:
        lines = series.read_text().splitlines()
    except OSError as error:
        raise LabError(f"{series}: {error.strerror}") from None
    names = [name for line in lines if (name := line.partition("#")[0].strip())]
    doubles = {name for name in names if names.count(name) > 1}
    if doubles:
        raise LabError(f"{series} names {', '.join(sorted(doubles))} twice")
    return names


def apply(layout: Layout, series: tuple[Patch, ...]) -> None:
    """Have the tree be base plus one commit a patch of the series.

    The longest common beginning with what is applied already stays, so that
    few files change and little is compiled again. Local changes in the tree
    are the user's: they stay as long as the series does, and are never lost.
    """
    tree = layout.linux
    state = _state(tree)
    applied = _applied(tree)
    if [entry["digest"] for entry in applied] == [
        patch.digest for patch in series
    ] and state.exists():
        return
    log = layout.log("patches")
    if state.exists():
        _keep_local_changes(tree, applied)
    with step("patches", f"applying {len(series)}") as current:
        kept = 0
        for entry, patch in zip(applied, series, strict=False):
            if entry["digest"] != patch.digest:
                break
            kept += 1
        applied = applied[:kept]
        state.unlink(missing_ok=True)  # what a kill leaves is nobody's work
        try:
            _reset(tree, applied)
            for patch in series[kept:]:
                _apply_one(tree, patch, log)
                commit = git(tree, "rev-parse", "HEAD").strip()
                applied.append({"digest": patch.digest, "commit": commit})
        except BaseException:
            _reset(tree, applied)
            raise
        finally:
            # Also after a failure: from here on a change in the tree is the user's.
            _save(tree, applied)
        current.note = f"{len(series)} applied" + (f", {kept} of them before" if kept else "")


def _state(tree: Path) -> Path:
    return tree / ".git" / "lab-series.json"


def _applied(tree: Path) -> list[dict[str, str]]:
    try:
        applied: list[dict[str, str]] = json.loads(_state(tree).read_text())
    except (OSError, ValueError):
        return []
    return applied


def _save(tree: Path, applied: list[dict[str, str]]) -> None:
    files.replace(_state(tree), json.dumps(applied))


def are_applied(tree: Path) -> bool:
    """Whether a series is, to its end: what is changed from then on is the user's."""
    return _state(tree).exists()


def made_of(tree: Path) -> dict[str, str]:
    """By a commit's hash, the digest of the file that it was made of, or written to."""
    return {entry["commit"]: entry["digest"] for entry in _applied(tree)}


def recorded(tree: Path) -> list[str]:
    """The digests of the files that the tree counts as made from, in order."""
    return [entry["digest"] for entry in _applied(tree)]


def record(tree: Path, made: Sequence[tuple[str, str]]) -> None:
    """Let the tree count as made from files: (digest, commit) of each, in order."""
    _save(tree, [{"digest": digest, "commit": commit} for digest, commit in made])


def commits(tree: Path) -> tuple[Commit, ...]:
    """The commits from the base to the tree's HEAD. Raises LabError if they are no series."""
    base = git(tree, "rev-parse", f"{BASE_TAG}^{{commit}}").strip()
    found, last = [], base
    for line in git(
        tree, "log", "--reverse", "--topo-order", "--format=%H %P%x09%s", f"{BASE_TAG}..HEAD"
    ).splitlines():
        hashes, _, subject = line.partition("\t")
        name, *parents = hashes.split()
        if parents != [last]:
            raise LabError(
                f"commit {name[:12]} ({subject}) of {tree} does not follow on the one before it",
                hint=f"git -C {tree} rebase {BASE_TAG}",
            )
        found.append(Commit(name, subject))
        last = name
    if not found and git(tree, "rev-parse", "HEAD").strip() != base:
        raise LabError(f"HEAD of {tree} does not descend from its tag {BASE_TAG}")
    return tuple(found)


def is_dirty(tree: Path) -> bool:
    """Whether a file that git knows was changed and not committed."""
    return bool(git(tree, "status", "--porcelain", "--untracked-files=no"))


def _reset(tree: Path, applied: list[dict[str, str]]) -> None:
    """Take the tree to the last applied patch, whatever a killed git left.

    The build lock says that none is running.
    """
    shutil.rmtree(tree / ".git" / "rebase-apply", ignore_errors=True)
    (tree / ".git" / "index.lock").unlink(missing_ok=True)
    git(tree, "reset", "--hard", "--quiet", applied[-1]["commit"] if applied else BASE_TAG)


def _keep_local_changes(tree: Path, applied: list[dict[str, str]]) -> None:
    """Leave commits of the user's on a branch; refuse to go on over uncommitted changes."""
    if is_dirty(tree):
        raise LabError(
            f"the series changed, but {tree} has uncommitted changes",
            hint="commit them there: the commit will be kept on a branch",
        )
    head = git(tree, "rev-parse", "HEAD").strip()
    last = applied[-1]["commit"] if applied else BASE_TAG
    if head != git(tree, "rev-parse", f"{last}^{{commit}}").strip():
        branch = f"kept-{head[:12]}"
        git(tree, "branch", "--force", branch, head)
        say(f"patches   your commits in {tree} are kept on its branch {branch}")


def _apply_one(tree: Path, patch: Patch, log: Path) -> None:
    try:
        git(tree, "am", "--quiet", "--keep-non-patch", str(patch.path), log=log)
    except CommandFailed as error:
        raise LabError(
            describe_failure(patch, error.output),
            log=log,
            hint="rebase the patch on this base, or correct it",
        ) from None


def describe_failure(patch: Patch, output: str) -> str:
    """One sentence that names patch, file and hunk from what git am said."""
    if found := FAILED.search(output):
        file, line = found["file"], int(found["line"])
        section = patch.path.read_text(errors="replace").partition(f"--- a/{file}\n")[2]
        section = section.partition("\ndiff --git ")[0]
        starts = [int(start) for start in HUNK.findall(section)]
        number = starts.index(line) + 1 if line in starts else 0
        hunk = f"hunk #{number} of {len(starts)} (line {line})" if number else f"line {line}"
        return f"{patch} does not apply: {file}, {hunk}"
    if found := MISSING.search(output):
        return f"{patch} does not apply: {found['file']}: {found['why']}"
    words = BLUNT.search(output)
    why = words[1] if words else output.strip().partition("\n")[0] or "git am failed"
    return f"{patch} does not apply: {why}"
