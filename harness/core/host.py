# SPDX-License-Identifier: GPL-2.0-only
"""What the lab needs of the machine that it runs on, and how it gets there."""

import enum
import os
import platform
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.core import environment
from harness.core.environment import APT
from harness.core.errors import SPARE, BadCall, LabError
from harness.core.progress import step
from harness.core.run import CommandFailed, run

GIB = 1 << 30
INSTALL = "LAB_INSTALL"
LDD_LINE = re.compile(r"(?:=> )?(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)


class Family(enum.Enum):
    """Distributions that share their packages' names: os-release(5)'s IDs, and the installer."""

    DEBIAN = ({"debian", "ubuntu"}, "apt-get install")
    FEDORA = ({"fedora", "rhel", "centos"}, "dnf install")
    ARCH = ({"arch"}, "pacman -S --needed")

    @property
    def installer(self) -> str:
        return self.value[1]


@dataclass(frozen=True)
class Need:
    """A program or a header, and the package that has it.

    probe: a path, or a name that is looked up in PATH and the sbin folders.
    package: Debian's; also Fedora's and Arch's, unless those have another name.
    """

    probe: str
    package: str
    fedora: str = ""
    arch: str = ""

    @property
    def met(self) -> bool:
        """Whether it is here."""
        return find(self.probe) is not None

    def package_of(self, family: Family) -> str:
        """The package's name there."""
        other = {Family.FEDORA: self.fedora, Family.ARCH: self.arch}.get(family)
        return other or self.package


NEEDS = (
    Need("/usr/include/stdlib.h", "libc6-dev", fedora="glibc-devel", arch="glibc"),
    Need("make", "make"),
    Need("bc", "bc"),
    Need("bison", "bison"),
    Need("flex", "flex"),
    Need("/usr/include/gelf.h", "libelf-dev", fedora="elfutils-libelf-devel", arch="libelf"),
    Need("/usr/include/zlib.h", "zlib1g-dev", fedora="zlib-devel", arch="zlib"),
    Need("lz4", "lz4"),
    Need("xz", "xz-utils", fedora="xz", arch="xz"),
    Need("perl", "perl"),
    Need("git", "git"),
    Need("qemu-system-x86_64", "qemu-system-x86"),
    Need("busybox", "busybox-static", fedora="busybox", arch="busybox"),
    Need("dash", "dash"),
    Need("dropbear", "dropbear-bin", fedora="dropbear", arch="dropbear"),
    Need("ip", "iproute2", fedora="iproute"),
    Need("tc", "iproute2", fedora="iproute-tc"),
    Need("bridge", "iproute2", fedora="iproute"),
    Need("ethtool", "ethtool"),
    Need("setpriv", "util-linux"),
)
# Those whose age matters to a kernel: its BASE says which.
VERSIONED = (
    Need("gcc", "gcc"),
    Need("ld.lld", "lld"),
    Need("clang", "clang"),
    Need("pahole", "dwarves", arch="pahole"),
)
# For the kernel's own tests, beside clang: its Makefile's, then images/programs.selftests.
SELFTESTS = (
    Need("rsync", "rsync"),
    Need("bash", "bash"),
    Need("iptables-legacy", "iptables", fedora="iptables-legacy"),
    Need("nft", "nftables"),
    Need("jq", "jq"),
    Need("ping", "iputils-ping", fedora="iputils", arch="iputils"),
    Need("nstat", "iproute2", fedora="iproute"),
)
CCACHE = Need("ccache", "ccache")  # what is compiled again is not; nothing else changes


def family(os_release: Mapping[str, str]) -> Family | None:
    """The family by os-release(5)'s fields, or None for one that is not known here."""
    ids = [os_release.get("ID", ""), *os_release.get("ID_LIKE", "").split()]
    return next((each for name in ids for each in Family if name in each.value[0]), None)


def this_family() -> Family | None:
    """The family of this machine's distribution."""
    try:
        return family(platform.freedesktop_os_release())
    except OSError:
        return None


def install_line(needs: Iterable[Need], family: Family | None) -> str:
    """What to do, in one line, to have these."""
    packages = " ".join(sorted({need.package_of(family or Family.DEBIAN) for need in needs}))
    if family is None:
        return f"install what Debian has in: {packages}"
    return f"as root: {family.installer} {packages}"


def find(program: str) -> Path | None:
    """Where a program is; users other than root often lack the sbin folders in PATH."""
    path = os.pathsep.join([environment.path(), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    found = shutil.which(program, path=path, mode=os.F_OK)
    return Path(found) if found else None


def programs(*names: str) -> list[Path]:
    """Those of these programs that are here."""
    return [place for name in names if (place := find(name))]


def libraries(program: Path) -> list[Path]:
    """The shared objects that a program loads, the loader included, as ldd(1) resolves them."""
    try:
        listing = run(["ldd", program], deadline=10)
    except CommandFailed:
        return []  # static: ldd says "not a dynamic executable" and fails
    return [Path(path) for path in LDD_LINE.findall(listing)]


def may_install() -> bool:
    """Whether the user lets the lab install packages. Raises BadCall for a word but "no"."""
    word = os.environ.get(INSTALL, "")
    if word not in ("", "no"):
        raise BadCall(f"{INSTALL}={word}", hint=f"{INSTALL}=no has packages named, not installed")
    return not word


def versioned(name: str) -> Need:
    """What a kernel is built with: gcc, ld.lld, clang, pahole; or one of a version, as ld.lld-19.

    Raises KeyError for another program.
    """
    program, dash, version = name.partition("-")
    known = {need.probe: need for need in VERSIONED}[program]
    if not dash:
        return known
    package = f"{known.package}-{version}"
    fedora, arch = (f"{own or known.package}{version}" for own in (known.fedora, known.arch))
    return replace(known, probe=name, package=package, fedora=fedora, arch=arch)


def require(tools: Iterable[Need]) -> None:
    """Install what is missing where that is possible, else say in one line what to install.

    tools: of a base, beside what every kernel takes.
    Raises LabError for what is missing then, BadCall if variables ask for another build than
    the lab's, which would not be that.
    """
    needs = (*NEEDS, *tools)
    for name, value in environment.asked().items():
        raise BadCall(
            f"{name}={value} is set, but the lab builds in its own way: gcc, ld.lld, x86_64",
            hint=f"env -u {name} ./lab ...; for the kernel's options: ./lab build --config FILE",
        )
    installs = may_install()
    missing = [need for need in needs if not need.met]
    if not missing:
        return
    remedy = install_line(missing, this_family())
    become_root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    installs = installs and bool(shutil.which("apt-get"))
    if not installs or (become_root and not shutil.which("sudo")):
        names = ", ".join(need.probe for need in missing)
        raise LabError(f"missing on this machine: {names}", hint=remedy)
    packages = sorted({need.package for need in missing})
    with step("packages", f"installing {' '.join(packages)}") as current:
        apt = [*become_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"]
        install = [*apt, "install", "--yes", "--no-install-recommends", *packages]
        try:
            run([*apt, "update"], APT, deadline=300)
            run(install, APT, deadline=900)
        except CommandFailed as error:
            error.hint = error.hint or remedy
            raise
        current.note = f"{len(packages)} installed"
    still = [need.probe for need in needs if not need.met]
    if still:
        raise LabError(f"still missing after apt-get install: {', '.join(still)}")


def usable_processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def require_space(directory: Path, gib: float, what: str) -> None:
    """Refuse before the work, not in the middle of it, when the disk is too full."""
    free = shutil.disk_usage(directory).free / GIB
    if free < gib:
        raise LabError(
            f"{what} takes {gib:g} GiB, and {directory} has {free:.1f} GiB free",
            hint=f"free some disk space: {SPARE}",
        )
