# SPDX-License-Identifier: GPL-2.0-only
"""No tap: for each reason that was seen, the remedy that helps there."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.machine import sandbox
from harness.machine.sandbox import Confinement, remedy

USER = Confinement(root=False, container=False, seccomp=False, clone=1, apparmor=0, maximum=90000)
ROOT = replace(USER, root=True)
DOCKER = replace(ROOT, container=True, seccomp=True, clone=None, apparmor=None)
ROOTLESS = replace(DOCKER, root=False)
SANDBOX = replace(USER, seccomp=True)

NO_TUN = "/dev/net/tun: ENOENT: No such file or directory"
NO_MODULE = "/dev/net/tun: ENODEV: No such device"
CLOSED_TUN = "/dev/net/tun: EACCES: Permission denied"
REFUSED = "unshare: unshare failed: Operation not permitted"
NO_MAP = "unshare: write failed /proc/self/uid_map: Operation not permitted"
NONE_LEFT = "unshare: unshare failed: No space left on device"
READ_ONLY = "/proc/sys/net/ipv6/conf/default/disable_ipv6: EROFS: Read-only file system"


@pytest.mark.parametrize(
    ("reason", "confinement", "expected"),
    [
        (NO_TUN, USER, "modprobe tun"),
        (NO_MODULE, ROOT, "modprobe tun"),
        (NO_TUN, DOCKER, "start the container with --device /dev/net/tun"),
        (CLOSED_TUN, USER, "setfacl -m u:$USER:rw /dev/net/tun, or chmod 0666"),
        (CLOSED_TUN, DOCKER, "or start the container with --device /dev/net/tun"),
        (REFUSED, DOCKER, "start the container with --privileged"),
        (REFUSED, replace(DOCKER, seccomp=False), "start the container with --privileged"),
        (REFUSED, ROOTLESS, "start the container with --privileged"),
        (READ_ONLY, USER, "start the container with --privileged"),
        (REFUSED, ROOT, "this needs CAP_SYS_ADMIN"),
        (REFUSED, replace(USER, clone=0), "sysctl kernel.unprivileged_userns_clone=1"),
        (NO_MAP, replace(USER, apparmor=1), "kernel.apparmor_restrict_unprivileged_userns=0"),
        (NONE_LEFT, replace(USER, maximum=0), "sysctl user.max_user_namespaces=10000"),
        (REFUSED, SANDBOX, "a seccomp filter may forbid unshare()"),
        (REFUSED, replace(USER, clone=None, apparmor=None, maximum=None), "chroot or sandbox"),
    ],
)
def test_each_reason_has_its_remedy(reason: str, confinement: Confinement, expected: str) -> None:
    assert expected in remedy([reason], confinement)


def test_a_host_is_not_told_of_containers() -> None:
    told = [remedy([reason], USER) for reason in (NO_TUN, CLOSED_TUN, REFUSED, NO_MAP)]
    assert not [line for line in told if "container" in line]


def test_what_is_gathered_is_of_this_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Told by other programs, and where this machine lacks a setting, by a made-up one."""
    here = Confinement.gather()
    status = subprocess.run(["grep", "Seccomp:", "/proc/self/status"], capture_output=True)
    assert here.seccomp == (status.stdout.split()[1] == b"2")
    asked = ["sysctl", "-n", "user.max_user_namespaces"]
    told = subprocess.run(asked, capture_output=True)
    assert here.maximum == (int(told.stdout) if told.returncode == 0 else None)
    for name, value in (
        ("kernel/unprivileged_userns_clone", "0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),
        ("user/max_user_namespaces", "many"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n")
    monkeypatch.setattr(sandbox, "SYSCTL", tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    gathered = Confinement.gather()
    assert (gathered.clone, gathered.apparmor, gathered.maximum) == (0, 1, None)
    assert not gathered.root


@pytest.mark.parametrize("by", ["variable", "file", "nothing"])
def test_a_container_is_known_by_its_marks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, by: str
) -> None:
    monkeypatch.setattr(sandbox, "CONTAINER_FILES", (tmp_path / "none", tmp_path / "mark"))
    monkeypatch.delenv("container", raising=False)
    if by == "variable":
        monkeypatch.setenv("container", "podman")
    elif by == "file":
        (tmp_path / "mark").touch()
    assert sandbox.in_container() == (by != "nothing")
