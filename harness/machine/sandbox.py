# SPDX-License-Identifier: GPL-2.0-only
"""Why this process can not make a network namespace with a tap, and the remedy."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SYSCTL = Path("/proc/sys")
# What Docker and Podman put into a container's root.
CONTAINER_FILES = (Path("/.dockerenv"), Path("/run/.containerenv"))


@dataclass(frozen=True)
class Confinement:
    """What decides on namespaces. A sysctl that this kernel does not have is None.

    seccomp: whether a filter is on this process.
    clone: kernel.unprivileged_userns_clone, of Debian's and Arch's hardened kernels.
    apparmor: kernel.apparmor_restrict_unprivileged_userns, 1 on Ubuntu from 23.10 on.
    maximum: user.max_user_namespaces.
    """

    root: bool
    container: bool
    seccomp: bool
    clone: int | None
    apparmor: int | None
    maximum: int | None

    @classmethod
    def gather(cls) -> "Confinement":
        """That of this process."""
        status = Path("/proc/self/status").read_text()
        return cls(
            root=os.geteuid() == 0,
            container=in_container(),
            seccomp=bool(re.search(r"^Seccomp:\s*2$", status, re.MULTILINE)),
            clone=_sysctl("kernel/unprivileged_userns_clone"),
            apparmor=_sysctl("kernel/apparmor_restrict_unprivileged_userns"),
            maximum=_sysctl("user/max_user_namespaces"),
        )


def in_container() -> bool:
    """Whether this is a container of Docker's, Podman's, or one that says so as systemd's do."""
    return "container" in os.environ or any(file.exists() for file in CONTAINER_FILES)


def remedy(reasons: Sequence[str], confinement: Confinement) -> str:
    """What to do about these reasons, the last words of the children that made no tap."""
    text = " ".join(reasons)
    inside = confinement.container
    if "/dev/net/tun: ENOENT" in text or "/dev/net/tun: ENODEV" in text:
        return "start the container with --device /dev/net/tun" if inside else "modprobe tun"
    if "/dev/net/tun" in text:
        return (
            "setfacl -m u:$USER:rw /dev/net/tun, or chmod 0666 /dev/net/tun as most distributions"
            " have it" + ("; or start the container with --device /dev/net/tun" if inside else "")
        )
    # Docker's seccomp filter bars unshare(); and /proc/sys, where IPv6 is switched off
    # in the namespace, is read-only.
    if (inside and (confinement.root or confinement.seccomp)) or "EROFS" in text:
        return "start the container with --privileged"
    if confinement.root:
        return "run where root may make network namespaces: this needs CAP_SYS_ADMIN"
    if confinement.clone == 0:
        return "sysctl kernel.unprivileged_userns_clone=1, or run as root"
    if confinement.apparmor == 1:
        return "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or run as root"
    if confinement.maximum == 0:
        return "sysctl user.max_user_namespaces=10000, or run as root"
    if confinement.seccomp:
        return "a seccomp filter may forbid unshare(): run outside of that sandbox, or as root"
    return "user namespaces are forbidden here: run as root, or outside of a chroot or sandbox"


def _sysctl(name: str) -> int | None:
    try:
        return int((SYSCTL / name).read_text())
    except (OSError, ValueError):
        return None
