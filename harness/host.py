# SPDX-License-Identifier: GPL-2.0-only
"""What the lab needs of the machine that it runs on, and how it gets there."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.errors import LabError
from harness.progress import step
from harness.run import CommandFailed, run

GIB = 1 << 30


@dataclass(frozen=True)
class Need:
    """A program or a header, and Debian's package that has it."""

    probe: str
    package: str

    @property
    def met(self) -> bool:
        """Whether it is here: a path is looked at, a name is looked up in PATH and sbin."""
        return find(self.probe) is not None


NEEDS = (
    Need("gcc", "gcc"),
    Need("/usr/include/stdlib.h", "libc6-dev"),
    Need("make", "make"),
    Need("bc", "bc"),
    Need("bison", "bison"),
    Need("flex", "flex"),
    Need("/usr/include/gelf.h", "libelf-dev"),
    Need("/usr/include/zlib.h", "zlib1g-dev"),
    Need("pahole", "dwarves"),
    Need("lz4", "lz4"),
    Need("xz", "xz-utils"),
    Need("perl", "perl"),
    Need("git", "git"),
    Need("clang", "clang"),
    Need("qemu-system-x86_64", "qemu-system-x86"),
    Need("busybox", "busybox-static"),
    Need("dropbear", "dropbear-bin"),
    Need("ip", "iproute2"),
    Need("ethtool", "ethtool"),
    Need("setpriv", "util-linux"),
)


def find(program: str) -> Path | None:
    """Where a program is; users other than root often lack the sbin folders in PATH."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    found = shutil.which(program, path=path, mode=os.F_OK)
    return Path(found) if found else None


def require() -> None:
    """Install what is missing where that is possible, else say in one line what to install."""
    missing = [need for need in NEEDS if not need.met]
    if not missing:
        return
    packages = sorted(need.package for need in missing)
    become_root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    if not shutil.which("apt-get") or (become_root and not shutil.which("sudo")):
        names = ", ".join(need.probe for need in missing)
        raise LabError(
            f"missing on this machine: {names}",
            hint=f"install what Debian has in: {' '.join(packages)}",
        )
    with step("packages", f"installing {' '.join(packages)}") as current:
        apt = [*become_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"]
        install = [*apt, "install", "--yes", "--no-install-recommends", *packages]
        try:
            run([*apt, "update"], deadline=300)
            run(install, deadline=900)
        except CommandFailed as error:
            error.hint = error.hint or f"as root: apt-get install {' '.join(packages)}"
            raise
        current.note = f"{len(packages)} installed"
    still = [need.probe for need in NEEDS if not need.met]
    if still:
        raise LabError(f"still missing after apt-get install: {', '.join(still)}")


def require_space(directory: Path, gib: float, what: str) -> None:
    """Refuse before the work, not in the middle of it, when the disk is too full."""
    free = shutil.disk_usage(directory).free / GIB
    if free < gib:
        raise LabError(
            f"{what} takes {gib:g} GiB, and {directory} has {free:.1f} GiB free",
            hint="free some disk space, or ./lab clean --all",
        )
