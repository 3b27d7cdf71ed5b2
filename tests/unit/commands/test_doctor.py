# SPDX-License-Identifier: GPL-2.0-only
"""The doctor: each thing that slows or breaks a run is named, with the remedy for this machine."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.commands import doctor
from harness.commands.diagnosis import Facts, Finding, Storage, Trouble, diagnose, remedy
from harness.core import host
from harness.core.errors import LabError
from harness.core.host import CCACHE, NEEDS, VERSIONED, Family, family, install_line
from harness.machine.qemu import Accelerator
from harness.machine.tap import TapUnavailable

BREAKS, SLOWS, NONE = Trouble.BREAKS, Trouble.SLOWS, Trouble.NONE
ALL = (*NEEDS, *VERSIONED)
GOOD = Facts(
    machine="x86_64",
    family=Family.DEBIAN,
    container=False,
    needs=ALL,
    places={need.probe: Path("/usr/bin", need.probe) for need in (*ALL, CCACHE)},
    versions={"gcc": (12, 2, 0), "pahole": (1, 24), "clang": (14, 0, 6)},
    apt=True,
    accelerator=Accelerator("kvm", "host", "a guest came up under KVM"),
    cpu_flags=frozenset({"vmx", "sse2"}),
    kvm_group="kvm",
    tap=None,
    storage=Storage(Path("/lab/build"), "ext4", 50.0, 5.0, 10**7, noexec=False, case_blind=False),
    memory=16.0,
    processors=8.0,
    watches=10**6,
)
DISK = GOOD.storage


def troubles(facts: Facts) -> list[Finding]:
    return [finding for finding in diagnose(facts) if finding.trouble is not NONE]


def without(*probes: str) -> Facts:
    return replace(GOOD, places={**GOOD.places, **dict.fromkeys(probes)})


def tcg(reason: str, *cpu_flags: str, container: bool = False, group: str = "kvm") -> Facts:
    known = Accelerator("tcg", "Nehalem", reason)
    flags = frozenset(cpu_flags)
    return replace(GOOD, accelerator=known, cpu_flags=flags, container=container, kvm_group=group)


def disk(**changed: object) -> Facts:
    return replace(GOOD, storage=replace(DISK, **changed))  # type: ignore[arg-type]


def test_a_good_machine_has_no_trouble() -> None:
    assert troubles(GOOD) == []
    names = [finding.name for finding in diagnose(GOOD)]
    assert names[: len(ALL)] == [need.probe for need in ALL]
    assert {"ccache", "kernel source", "accelerator", "tap", "disk", "memory"} < {*names}
    assert not [finding for finding in diagnose(GOOD) if finding.remedy]


@pytest.mark.parametrize(
    ("facts", "name", "trouble", "told"),
    [
        (replace(GOOD, machine="aarch64"), "machine", BREAKS, "use an x86_64 machine"),
        (without("pahole"), "pahole", BREAKS, "missing: dwarves"),
        (replace(without("pahole"), family=Family.ARCH), "pahole", BREAKS, "missing: pahole"),
        (replace(without("pahole"), family=None), "pahole", BREAKS, "missing: dwarves"),
        (replace(GOOD, versions={"gcc": (4, 9, 4)}), "gcc", BREAKS, "4.9.4 is too old"),
        (replace(GOOD, versions={"make": (3, 82)}), "make", BREAKS, "4.0 or newer"),
        (replace(GOOD, versions={"flex": (2, 5, 34)}), "flex", BREAKS, "2.5.35 or newer"),
        (replace(GOOD, versions={"bison": (1, 875)}), "bison", BREAKS, "2.0 or newer"),
        (replace(GOOD, versions={"pahole": (1, 15)}), "pahole", BREAKS, "1.16 or newer"),
        (replace(GOOD, versions={"clang": (13, 0, 1)}), "clang", BREAKS, "14 or newer"),
        (
            replace(GOOD, versions={"qemu-system-x86_64": (5, 0)}),
            "qemu-system-x86_64",
            BREAKS,
            "5.1 or newer come first in PATH",
        ),
        (without("ccache"), "ccache", SLOWS, "as root: apt-get install ccache"),
        (replace(without("ccache"), family=Family.FEDORA), "ccache", SLOWS, "dnf install ccache"),
        (tcg("LAB_ACCEL says so"), "accelerator", SLOWS, "unset LAB_ACCEL"),
        (tcg("there is no /dev/kvm", "vmx"), "accelerator", SLOWS, "modprobe kvm_intel"),
        (tcg("there is no /dev/kvm", "svm"), "accelerator", SLOWS, "modprobe kvm_amd"),
        (tcg("there is no /dev/kvm", "hypervisor"), "accelerator", SLOWS, "nested"),
        (tcg("there is no /dev/kvm"), "accelerator", SLOWS, "in the firmware"),
        (
            tcg("there is no /dev/kvm", "vmx", container=True),
            "accelerator",
            SLOWS,
            "start the container with --device /dev/kvm",
        ),
        (
            tcg("/dev/kvm: Permission denied", "vmx"),
            "accelerator",
            SLOWS,
            "usermod -aG kvm $USER as root, and log in again",
        ),
        (
            tcg("/dev/kvm: Permission denied", container=True, group="106"),
            "accelerator",
            SLOWS,
            "--group-add 106",
        ),
        (
            tcg("KVM is here but its guest printed nothing in 3 s", "vmx", "hypervisor"),
            "accelerator",
            SLOWS,
            "nested virtualization does not work in this VM",
        ),
        (
            tcg("KVM is here but QEMU aborted with it", "vmx"),
            "accelerator",
            SLOWS,
            "see build/vm/kvm-probe.log",
        ),
        (
            replace(GOOD, tap=TapUnavailable("no tap: unshare failed", hint="run as root")),
            "tap",
            BREAKS,
            "run as root",
        ),
        (disk(free=4.9), "disk", BREAKS, "5 GiB are needed"),
        (disk(free=1.9, needed=2.0), "disk", BREAKS, "2 GiB are needed"),
        (disk(kind="nfs4"), "disk", SLOWS, "on a local disk"),
        (disk(kind="fuse.sshfs"), "disk", SLOWS, "on a local disk"),
        (disk(files=1000), "inodes", BREAKS, "150000 are needed"),
        (disk(noexec=True), "mount", BREAKS, "remount,exec"),
        (disk(case_blind=True), "file names", BREAKS, "check out elsewhere"),
        (replace(GOOD, memory=3.9), "memory", SLOWS, "end what takes it"),
        (replace(GOOD, memory=3.9, container=True), "memory", SLOWS, "the container's limit"),
        (replace(GOOD, processors=1.5), "processors", SLOWS, "give this machine more"),
        (replace(GOOD, processors=1, container=True), "processors", SLOWS, "container's limit"),
        (replace(GOOD, watches=8192), "inotify", SLOWS, "fs.inotify.max_user_watches=16384"),
    ],
)
def test_each_trouble_is_named_with_its_remedy(
    facts: Facts, name: str, trouble: Trouble, told: str
) -> None:
    (finding,) = troubles(facts)
    assert (finding.name, finding.trouble) == (name, trouble)
    assert told in f"{finding.found} {finding.remedy}"


def test_what_is_just_as_it_should_be_is_no_trouble() -> None:
    versions = {"gcc": (5, 1), "flex": (2, 5, 35), "pahole": (1, 16), "clang": (14, 0)}
    edge = replace(GOOD, versions=versions, memory=4.0, processors=2, watches=16_384)
    assert troubles(edge) == []
    assert troubles(disk(free=5.0)) == troubles(disk(files=150_000)) == []
    assert troubles(disk(files=0)) == []  # btrfs has no such number


def test_kvm_that_was_never_tried_and_no_apt_are_told() -> None:
    found = {finding.name: finding.found for finding in diagnose(replace(GOOD, accelerator=None))}
    assert "the next build finds out" in found["accelerator"]
    found = {finding.name: finding.found for finding in diagnose(replace(GOOD, apt=False))}
    assert "--tarball FILE --sha256 HEX" in found["kernel source"]


def test_what_is_missing_is_one_line_to_install() -> None:
    facts = without("tc", "ip", "clang", "pahole")
    assert remedy(facts) == "as root: apt-get install clang dwarves iproute2"
    fedora = replace(facts, family=Family.FEDORA)
    assert remedy(fedora) == "as root: dnf install clang dwarves iproute iproute-tc"
    assert remedy(GOOD) == "what to do stands below each"


def test_every_family_names_a_package_for_every_need() -> None:
    for each in Family:
        line = install_line([*ALL, CCACHE], each)
        assert line.startswith(f"as root: {each.installer} ")
        assert "ccache" in line.split()
    assert install_line(VERSIONED[:1], None) == "install what Debian has in: gcc"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"ID": "debian"}, Family.DEBIAN),
        ({"ID": "ubuntu", "ID_LIKE": "debian"}, Family.DEBIAN),
        ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, Family.DEBIAN),
        ({"ID": "fedora"}, Family.FEDORA),
        ({"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, Family.FEDORA),
        ({"ID": "arch"}, Family.ARCH),
        ({"ID": "manjaro", "ID_LIKE": "arch"}, Family.ARCH),
        ({"ID": "opensuse-tumbleweed", "ID_LIKE": "opensuse suse"}, None),
        ({}, None),
    ],
)
def test_the_family_of_a_distribution(fields: dict[str, str], expected: Family | None) -> None:
    assert family(fields) is expected


@pytest.mark.parametrize(
    ("chosen", "hint"),
    [
        (Family.FEDORA, "as root: dnf install elfutils-libelf-devel"),
        (Family.ARCH, "as root: pacman -S --needed libelf"),
        (None, "install what Debian has in: libelf-dev"),
    ],
)
def test_without_apt_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, chosen: Family | None, hint: str
) -> None:
    monkeypatch.setattr(host, "this_family", lambda: chosen)
    monkeypatch.setattr(host, "find", lambda probe: None if "gelf" in probe else Path(probe))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(LabError, match=r"missing on this machine: /usr/include/gelf\.h") as caught:
        host.require(())
    assert caught.value.hint == hint


def told_by(
    facts: Facts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    monkeypatch.setattr(doctor, "gather", lambda: facts)
    doctor.report()
    return capsys.readouterr().out


def test_what_only_slows_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = told_by(without("ccache"), monkeypatch, capsys)
    assert "  slow: to compile nothing twice, as root: apt-get install ccache\n" in printed


def test_what_breaks_is_an_error_with_one_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(LabError, match=r"the lab can't work here: bc, disk$") as caught:
        told_by(replace(without("bc"), storage=replace(DISK, free=0.0)), monkeypatch, capsys)
    assert caught.value.hint == "as root: apt-get install bc"


def test_this_machine_can_be_looked_at() -> None:
    facts = doctor.gather()
    assert facts.storage.free > 0  # of which kind it is, a chroot is not told
    assert facts.memory > 0
    assert facts.processors > 0
    assert {"gcc", "make"} & {*facts.places}


MOUNTINFO = """\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 0:40 / /home rw shared:1 - nfs4 server:/home rw
31 30 8:2 / /home/a\\040b rw - xfs /dev/sdb rw
32 22 0:41 / /home2 rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/x", "ext4"), ("/home/u/lab", "nfs4"), ("/home/a b/lab", "xfs"), ("/home2", "tmpfs")],
)
def test_the_file_system_of_a_path(path: str, kind: str) -> None:
    assert doctor._file_system(Path(path), MOUNTINFO) == kind


def test_the_tightest_cgroup_limits(tmp_path: Path) -> None:
    inner = tmp_path / "user.slice" / "job"
    inner.mkdir(parents=True)
    (inner / "memory.max").write_text("max\n")
    (inner / "cpu.max").write_text("150000 100000\n")
    (inner.parent / "memory.max").write_text(f"{3 << 30}\n")
    (inner.parent / "cpu.max").write_text("max 100000\n")
    own = "5:cpu:/elsewhere\n0::/user.slice/job\n"
    assert doctor._cgroup_limits(own, tmp_path) == (3.0, 1.5)
    assert doctor._cgroup_limits("5:cpu:/\n", tmp_path) == (float("inf"), float("inf"))


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("gcc (Ubuntu 11.4.0-1ubuntu1~22.04) 11.4.0", (11, 4, 0)),
        ("Ubuntu clang version 18.1.3 (1ubuntu1)", (18, 1, 3)),
        ("v1.30", (1, 30)),
        ("QEMU emulator version 10.0.2 (qemu-10.0.2-1.fc42)", (10, 0, 2)),
        ("unknown", None),
    ],
)
def test_a_version_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, version: tuple[int, ...] | None
) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin")
    assert doctor._version("program") == version
