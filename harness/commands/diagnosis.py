# SPDX-License-Identifier: GPL-2.0-only
"""Judges a machine: what will slow or break a run of the lab there, and the remedy."""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import SPARE
from harness.core.host import CCACHE, Family, Need, install_line
from harness.machine.qemu import Accelerator
from harness.machine.tap import TapUnavailable

Version = tuple[int, ...]

# The oldest that do. The first five: Documentation/process/changes.rst of Linux 6.12.
# clang: what compiles bpf-progs with -mcpu=v3. QEMU: the first whose virtio-net has hash=on.
OLDEST: Mapping[str, Version] = {
    "gcc": (5, 1),
    "make": (4, 0),
    "bison": (2, 0),
    "flex": (2, 5, 35),
    "pahole": (1, 16),
    "clang": (14,),
    "qemu-system-x86_64": (5, 1),
}
BUILT_GIB = 2.0  # for a build where the tree is there already; harness/artefacts/kbuild.py
FILES = 150_000  # inodes: 86,000 of the tree, its git objects and the kernel's objects
MEMORY_GIB = 4.0  # two compilers beside the link of vmlinux with BTF, and a guest
PROCESSORS = 2
WATCHES = 16_384  # inotify's: `watch` takes one a folder, and a kernel tree has 5,800
# File systems, as mountinfo names them, on which a kernel build takes many times as long.
SLOW_FILE_SYSTEMS = ("9p", "afs", "ceph", "cifs", "drvfs", "fuse", "nfs", "smb", "vboxsf")


class Trouble(enum.Enum):
    """What a finding means for a run."""

    NONE = ""
    SLOWS = "slow"
    BREAKS = "broken"


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was found there, what to do about it.

    For what is merely not installed, `remedy()` is one line for all.
    """

    name: str
    found: str
    trouble: Trouble = Trouble.NONE
    remedy: str = ""


@dataclass(frozen=True)
class Storage:
    """The file system of build/.

    needed, free: GiB.
    files: inodes left, 0 if it counts none.
    """

    path: Path
    kind: str
    free: float
    needed: float
    files: int
    noexec: bool
    case_blind: bool


@dataclass(frozen=True)
class Facts:
    """A machine, as far as the lab depends on it.

    machine: as uname(1) has it.
    needs: all that must be here.
    places: of the probes of these and CCACHE, None where missing.
    versions: of OLDEST's programs, as far as they could be told.
    accelerator: what is known of it, None if a guest has yet to be tried.
    cpu_flags: of /proc/cpuinfo.
    tap: why there is none.
    memory: available, in GiB.
    processors: those that may be used, by affinity and by cgroup.
    watches: fs.inotify.max_user_watches.
    """

    machine: str
    family: Family | None
    container: bool
    needs: tuple[Need, ...]
    places: Mapping[str, Path | None]
    versions: Mapping[str, Version]
    apt: bool
    accelerator: Accelerator | None
    cpu_flags: frozenset[str]
    kvm_group: str
    tap: TapUnavailable | None
    storage: Storage
    memory: float
    processors: float
    watches: int


def diagnose(facts: Facts) -> list[Finding]:
    """All findings, in the order of the report."""
    return [
        *_machine(facts),
        *_programs(facts),
        _ccache(facts),
        _source(facts),
        _accelerator(facts),
        _tap(facts),
        *_storage(facts.storage),
        _memory(facts),
        _processors(facts),
        *_watches(facts),
    ]


def remedy(facts: Facts) -> str:
    """What to do first about a machine on which the lab can't work."""
    missing = [need for need in facts.needs if facts.places.get(need.probe) is None]
    return install_line(missing, facts.family) if missing else "what to do stands below each"


def _machine(facts: Facts) -> Iterator[Finding]:
    if facts.machine != "x86_64":
        remedy = "use an x86_64 machine: the kernel is built with its own compiler"
        yield Finding("machine", facts.machine, Trouble.BREAKS, remedy)


def _programs(facts: Facts) -> Iterator[Finding]:
    for need in facts.needs:
        place = facts.places.get(need.probe)
        version = facts.versions.get(need.probe)
        if place is None:
            package = need.package_of(facts.family or Family.DEBIAN)
            yield Finding(need.probe, f"missing: {package}", Trouble.BREAKS)
        elif version and version < OLDEST[need.probe]:
            remedy = f"have {_dotted(OLDEST[need.probe])} or newer come first in PATH"
            found = f"{_dotted(version)} is too old: {place}"
            yield Finding(need.probe, found, Trouble.BREAKS, remedy)
        else:
            shown = f", {_dotted(version)}" if version else ""
            yield Finding(need.probe, f"{place}{shown}")


def _ccache(facts: Facts) -> Finding:
    place = facts.places.get(CCACHE.probe)
    if place:
        return Finding(CCACHE.probe, str(place))
    remedy = f"to compile nothing twice, {install_line([CCACHE], facts.family)}"
    return Finding(CCACHE.probe, "missing", Trouble.SLOWS, remedy)


def _source(facts: Facts) -> Finding:
    if facts.apt:
        return Finding("kernel source", "from apt")
    return Finding("kernel source", "no apt: build --tarball FILE --sha256 HEX, or --tree DIR")


def _accelerator(facts: Facts) -> Finding:
    known = facts.accelerator
    if known is None:
        found = "KVM can be opened; the next build finds out whether it runs a guest"
        return Finding("accelerator", found)
    found = f"{known.name}: {known.reason}"
    if known.name == "kvm":
        return Finding("accelerator", found)
    return Finding("accelerator", found, Trouble.SLOWS, _kvm_remedy(known.reason, facts))


def _kvm_remedy(reason: str, facts: Facts) -> str:
    if "says so" in reason:
        return "unset LAB_ACCEL to have KVM tried"
    if "there is no" in reason:
        if facts.container:
            return "start the container with --device /dev/kvm, where the host has it"
        if "vmx" in facts.cpu_flags:
            return "modprobe kvm_intel; if that fails, switch VT-x on in the firmware"
        if "svm" in facts.cpu_flags:
            return "modprobe kvm_amd; if that fails, switch SVM on in the firmware"
        if "hypervisor" in facts.cpu_flags:
            return "this is a VM: switch nested virtualization on in its host"
        return "switch virtualization (VT-x, SVM) on in the firmware"
    if "but" in reason and "hypervisor" in facts.cpu_flags:
        return "nested virtualization does not work in this VM: mend it in the VM's host"
    if "but" in reason:
        return "see build/vm/kvm-probe.log; LAB_ACCEL=kvm uses KVM all the same"
    if facts.container:
        return f"add the user to the group that has /dev/kvm here: --group-add {facts.kvm_group}"
    return f"usermod -aG {facts.kvm_group} $USER as root, and log in again"


def _tap(facts: Facts) -> Finding:
    if facts.tap is None:
        return Finding("tap", "yes, in a network namespace of its own")
    return Finding("tap", facts.tap.message, Trouble.BREAKS, facts.tap.hint)


def _storage(storage: Storage) -> Iterator[Finding]:
    found = f"{storage.free:.1f} GiB free in {storage.path}"
    if storage.free < storage.needed:
        remedy = f"{storage.needed:g} GiB are needed: {SPARE}"
        yield Finding("disk", found, Trouble.BREAKS, remedy)
    elif storage.kind.startswith(SLOW_FILE_SYSTEMS):
        remedy = "check the lab out on a local disk"
        yield Finding("disk", f"{found}, which is {storage.kind}", Trouble.SLOWS, remedy)
    else:
        yield Finding("disk", found)
    if 0 < storage.files < FILES:
        found = f"{storage.files} files can still be made in {storage.path}"
        remedy = f"{FILES} are needed: remove many small files, or use another file system"
        yield Finding("inodes", found, Trouble.BREAKS, remedy)
    if storage.noexec:
        remedy = "what is built there is run there: mount -o remount,exec, or check out elsewhere"
        yield Finding("mount", f"noexec: {storage.path}", Trouble.BREAKS, remedy)
    if storage.case_blind:
        remedy = "a kernel tree has files that differ in nothing else: check out elsewhere"
        found = f"upper and lower case are the same in {storage.path}"
        yield Finding("file names", found, Trouble.BREAKS, remedy)


def _memory(facts: Facts) -> Finding:
    found = f"{facts.memory:.1f} GiB available"
    if facts.memory >= MEMORY_GIB:
        return Finding("memory", found)
    limit = "raise the container's limit" if facts.container else "end what takes it"
    remedy = f"{MEMORY_GIB:g} GiB are better, the link of vmlinux may be killed: {limit}"
    return Finding("memory", found, Trouble.SLOWS, remedy)


def _processors(facts: Facts) -> Finding:
    found = f"{facts.processors:g}"
    if facts.processors >= PROCESSORS:
        return Finding("processors", found)
    limit = "raise the container's limit" if facts.container else "give this machine more"
    remedy = f"the guest has {PROCESSORS}, and its host works beside it: {limit}"
    return Finding("processors", found, Trouble.SLOWS, remedy)


def _watches(facts: Facts) -> Iterator[Finding]:
    if facts.watches < WATCHES:
        found = f"{facts.watches} folders can be watched"
        remedy = f"for ./lab watch: sysctl fs.inotify.max_user_watches={WATCHES}"
        yield Finding("inotify", found, Trouble.SLOWS, remedy)


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))
