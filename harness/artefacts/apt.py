# SPDX-License-Identifier: GPL-2.0-only
"""A kernel's source from Debian's packages: by the machine's own apt, or from another suite.

apt verifies what it downloads. A suite that the machine's apt does not have is read by an apt
with folders of its own, from the same mirror: the machine's stays as it is.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.environment import APT
from harness.core.errors import LabError
from harness.core.progress import say
from harness.core.run import CommandFailed, run

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# Where each package list of the machine's apt comes from.
MIRRORS = ("apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)", "Created-By: Packages")
INSTEAD = "./lab build --tarball FILE --sha256 HEX"


@dataclass(frozen=True)
class Source:
    """A source package. suite: that has it, where the machine's apt does not; "" if none."""

    package: str
    version: str
    suite: str = ""


def fetch(source: Source, downloads: Path, log: Path) -> tuple[Path, str]:
    """Have the source's tarball in `downloads`; it, and its version, which may be a newer one.

    Raises LabError where no apt has the package.
    """
    if not shutil.which("apt-get"):
        raise LabError(
            "there is no apt here to get the kernel's source from",
            hint=f"{INSTEAD}, or --tree DIR",
        )
    downloads.mkdir(parents=True, exist_ok=True)
    version = source.version
    tarball = downloads / f"{source.package}_{version}.tar.xz"
    if not tarball.exists():
        version, options = _offered(source, downloads, log)
        tarball = downloads / f"{source.package}_{version}.tar.xz"
        if not tarball.exists():
            _download(source.package, version, options, tarball, log)
    return tarball, version


def _offered(source: Source, downloads: Path, log: Path) -> tuple[str, list[str]]:
    """The version that was named, else the newest one, which is said; apt's options for it."""
    versions, options = _versions(source.package, [], log), list[str]()
    if source.version not in versions and os.geteuid() == 0:
        run(["apt-get", "--quiet", "update"], APT, deadline=300, log=log)
        versions = _versions(source.package, [], log)
    if source.version not in versions and source.suite:
        there = _of_suite(source.suite, downloads / "apt", log)
        if offered := _versions(source.package, there, log) if there else []:
            versions, options = offered, there
    if not versions:
        hint = f"apt-get update as root, or {INSTEAD}"
        raise LabError(f"apt offers no {source.package}", hint=hint, log=log)
    if source.version in versions:
        return source.version, options
    say(f"source    apt no longer offers {source.version}; taking {versions[0]} instead")
    return versions[0], options


def _versions(package: str, options: Sequence[str], log: Path) -> list[str]:
    printed = run(["apt-cache", *options, "madison", package], APT, deadline=60, log=log)
    lines = (line.split("|") for line in printed.splitlines() if line.count("|") == 2)
    return [fields[1].strip() for fields in lines]


def _of_suite(suite: str, folder: Path, log: Path) -> list[str]:
    """The options of an apt that knows only this suite; none if its lists can't be had."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    security = suite.endswith("-security")
    lines = [line.split() for line in run(MIRRORS, APT, deadline=60, log=log).splitlines()]
    mirrors = dict.fromkeys(
        words[0]
        for words in lines  # a repository without suites has one word, a warning has many
        if len(words) == 2 and words[1].endswith("-security") == security
    )
    return next(filter(None, (_own_apt(folder, site, suite, log) for site in mirrors)), [])


def _own_apt(folder: Path, site: str, suite: str, log: Path) -> list[str]:
    signed = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    sources = folder / "sources.list"
    sources.write_text(f"deb {signed}{site} {suite} main\n")
    own = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "-",
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder / "cache",
    }
    options = [word for name, value in own.items() for word in ("-o", f"{name}={value}")]
    # Else a list that can't be had is a warning only, and an older one is good enough.
    strictly = ["-o", "APT::Update::Error-Mode=any"]
    try:
        run(["apt-get", "--quiet", *options, *strictly, "update"], APT, deadline=300, log=log)
    except CommandFailed:
        return []
    return options


def _download(package: str, version: str, options: list[str], tarball: Path, log: Path) -> None:
    work = tarball.parent / "unpacked"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    # As root apt would warn that its own user can't write into this folder.
    options = [*options, "-o", "APT::Sandbox::User=root"]
    try:
        argv = ["apt-get", "--quiet", *options, "download", f"{package}={version}"]
        run(argv, APT, cwd=work, deadline=900, log=log)
    except CommandFailed as error:
        error.hint = error.hint or f"no network? {INSTEAD}"
        raise
    (deb,) = work.glob("*.deb")
    run(["dpkg-deb", "--extract", deb, work], deadline=300, log=log)
    (inside,) = (work / "usr/src").glob("linux-source-*.tar.xz")
    inside.rename(tarball)
    shutil.rmtree(work)
