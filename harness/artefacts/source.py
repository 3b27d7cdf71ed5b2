# SPDX-License-Identifier: GPL-2.0-only
"""The base's source as a git repository with one commit, from apt or from a tarball."""

import hashlib
import itertools
import re
import shutil
from pathlib import Path

from harness.artefacts import apt
from harness.core.errors import BadCall, LabError
from harness.core.git import git
from harness.core.host import require_space
from harness.core.progress import say, step
from harness.core.run import CommandFailed, run
from harness.core.workspace import Base, Layout, Selection

SPACE_GIB = 5.0  # tree 1.7, its git objects 0.6, the kernel's objects 1.5; seen on 6.12
BASE_TAG = "base"


def prepare(layout: Layout, base: Base, selection: Selection) -> None:
    """Have the base's source in layout.linux; one that is there is kept, whatever was done to it.

    Complete or absent: unpacked and committed beside, then renamed. A tree of
    another version than the base now names is moved out of the way.
    """
    wanted = selection.sha256 or base.version
    origin = layout.linux / ".git" / "lab-origin"
    if layout.linux.exists():
        had = origin.read_text() if origin.exists() else "unknown"
        if had == wanted:
            return
        aside = _unused(layout.linux.with_name(f"linux-{had.partition('~')[0]}"))
        say(f"source    the base is {wanted} now; the tree of {had} is kept in {aside}")
        layout.linux.rename(aside)
    beside = layout.source / "linux.new"
    shutil.rmtree(beside, ignore_errors=True)  # before its space is missed
    require_space(layout.root, SPACE_GIB, "a kernel tree with its objects")
    log = layout.log("source")
    with step("source", f"{base.package} {base.version}") as current:
        if selection.tarball and selection.sha256:
            tarball = _checked(Path(selection.tarball), selection.sha256)
            version = tarball.name
        else:
            wanted_package = apt.Source(base.package, base.version, base.suite)
            tarball, version = apt.fetch(wanted_package, layout.downloads, log)
        beside.mkdir(parents=True)
        try:
            _unpack(tarball, beside, log)
            _commit(beside, version, log)
            (beside / ".git" / "lab-origin").write_text(wanted)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)  # 2 GB, on a disk that may be full
            raise
        beside.rename(layout.linux)
        current.note = version


def _unused(path: Path) -> Path:
    """The path, or the first of path-2, path-3, ... that nothing has."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(way for way in itertools.chain([path], numbered) if not way.exists())


def _checked(tarball: Path, sha256: str) -> Path:
    try:
        with tarball.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadCall(f"{tarball}: {error.strerror}") from None
    if actual != sha256:
        raise LabError(
            f"{tarball} is not the file that was meant: SHA-256 {actual}, wanted {sha256}",
            hint="it may be cut short: fetch it again",
        )
    return tarball


def _unpack(tarball: Path, directory: Path, log: Path) -> None:
    try:
        run(
            ["tar", "--extract", "--file", tarball, "--strip-components=1", "-C", directory],
            deadline=300,
            log=log,
        )
    except CommandFailed as error:
        error.hint = error.hint or f"the file is damaged: remove {tarball} and call again"
        raise


def _commit(tree: Path, version: str, log: Path) -> None:
    # Debian's tree ignores everything at the top level, but its packaging: new
    # files would stay invisible, and an export of the series would lose them.
    ignore = tree / ".gitignore"
    if ignore.exists():
        kept = re.sub(r"^/\*\n", "", ignore.read_text(), flags=re.MULTILINE)
        ignore.write_text(kept)
    git(tree, "init", "--quiet", "--initial-branch=series", log=log)
    git(tree, "config", "core.compression", "1")
    git(tree, "config", "gc.auto", "0")
    git(tree, "add", "--all", "--force", ".", log=log)
    git(tree, "commit", "--quiet", f"--message=Linux {version}", log=log)
    git(tree, "tag", BASE_TAG)
