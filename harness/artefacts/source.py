# SPDX-License-Identifier: GPL-2.0-only
"""The base's source as a git repository with one commit, from apt or from a tarball."""

import hashlib
import itertools
import os
import re
import shutil
from pathlib import Path

from harness.core.environment import APT
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
            tarball, version = _from_apt(layout.downloads, base, log)
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


def _from_apt(downloads: Path, base: Base, log: Path) -> tuple[Path, str]:
    """The source tarball and its version. apt verifies what it downloads."""
    if not shutil.which("apt-get"):
        raise LabError(
            "there is no apt here to get the kernel's source from",
            hint="./lab build --tarball FILE --sha256 HEX, or --tree DIR",
        )
    downloads.mkdir(parents=True, exist_ok=True)
    version = base.version
    tarball = downloads / f"{base.package}_{version}.tar.xz"
    if not tarball.exists():
        version = _offered(base, log)
        tarball = downloads / f"{base.package}_{version}.tar.xz"
    if not tarball.exists():
        _download(base.package, version, tarball, log)
    return tarball, version


def _offered(base: Base, log: Path) -> str:
    """The base's own version if apt offers it, else the newest one, and that is said."""
    for attempt in ("as it is", "updated"):
        lines = run(["apt-cache", "madison", base.package], APT, deadline=60, log=log).splitlines()
        versions = [line.split("|")[1].strip() for line in lines if line.count("|") == 2]
        if base.version in versions:
            return base.version
        if attempt == "as it is" and os.geteuid() == 0:
            run(["apt-get", "--quiet", "update"], APT, deadline=300, log=log)
    if not versions:
        raise LabError(
            f"apt offers no {base.package}",
            hint="apt-get update as root, or ./lab build --tarball FILE --sha256 HEX",
            log=log,
        )
    say(f"source    apt no longer offers {base.version}; taking {versions[0]} instead")
    return versions[0]


def _download(package: str, version: str, tarball: Path, log: Path) -> None:
    work = tarball.parent / "unpacked"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    # As root apt would warn that its own user can't write into this folder.
    unsandboxed = ["-o", "APT::Sandbox::User=root"]
    try:
        run(
            ["apt-get", "--quiet", *unsandboxed, "download", f"{package}={version}"],
            APT,
            cwd=work,
            deadline=900,
            log=log,
        )
    except CommandFailed as error:
        error.hint = error.hint or "no network? ./lab build --tarball FILE --sha256 HEX"
        raise
    (deb,) = work.glob("*.deb")
    run(["dpkg-deb", "--extract", deb, work], deadline=300, log=log)
    (inside,) = (work / "usr/src").glob("linux-source-*.tar.xz")
    inside.rename(tarball)
    shutil.rmtree(work)


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
