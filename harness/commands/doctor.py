# SPDX-License-Identifier: GPL-2.0-only
"""What this host has, lacks and will use: the facts, and the report of diagnosis.py."""

import grp
import os
import platform
import re
import shutil
from pathlib import Path

from harness.artefacts.source import SPACE_GIB
from harness.commands.diagnosis import (
    BUILT_GIB,
    OLDEST,
    Facts,
    Storage,
    Trouble,
    Version,
    diagnose,
    remedy,
)
from harness.core.errors import BadCall, LabError
from harness.core.host import CCACHE, GIB, NEEDS, find, this_family, usable_processors
from harness.core.progress import say
from harness.core.run import run
from harness.core.workspace import ROOT, Base, Layout, Selection, build_root
from harness.machine import accelerator, tap
from harness.machine.qemu import Accelerator
from harness.machine.sandbox import SYSCTL, in_container

CGROUPS = Path("/sys/fs/cgroup")


def report() -> None:
    """Print a line for each thing that the lab uses, with the remedy below what is wrong.

    Raises LabError if the lab can't work here.
    """
    facts = gather()
    findings = diagnose(facts)
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        say(f"{finding.name:<{width}}  {finding.found}")
        if finding.remedy:
            say(f"{'':<{width}}  {finding.trouble.value}: {finding.remedy}")
    broken = [finding.name for finding in findings if finding.trouble is Trouble.BREAKS]
    if broken:
        raise LabError(f"the lab can't work here: {', '.join(broken)}", hint=remedy(facts))


def gather() -> Facts:
    """The facts of this machine. Makes build/ and a tap, which goes at once."""
    needs = (*NEEDS, *Base.load(Selection.load().base).tools)
    probes = [need.probe for need in (*needs, CCACHE)]
    cpuinfo = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    flags = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    memory, processors = _cgroup_limits(Path("/proc/self/cgroup").read_text(), CGROUPS)
    return Facts(
        machine=platform.machine(),
        family=this_family(),
        container=in_container(),
        needs=needs,
        places={probe: find(probe) for probe in probes},
        versions={name: version for name in OLDEST if (version := _version(name))},
        apt=shutil.which("apt-get") is not None,
        accelerator=_accelerator(),
        cpu_flags=frozenset(flags[1].split() if flags else ()),
        kvm_group=_group_of(accelerator.KVM),
        tap=tap.why_none(),
        storage=_storage(build_root()),
        memory=min(memory, _available_gib()),
        processors=min(processors, usable_processors()),
        watches=int((SYSCTL / "fs/inotify/max_user_watches").read_text()),
    )


def _version(program: str) -> Version | None:
    """What the program says of its version, or None if it says nothing that is one."""
    place = find(program)
    try:
        said = run([place, "--version"], deadline=10) if place else ""
    except LabError:
        return None
    found = re.search(r"\d+(?:\.\d+)+", said)
    return tuple(map(int, found[0].split("."))) if found else None


def _accelerator() -> Accelerator | None:
    try:
        return accelerator.remembered(build_root())
    except BadCall:
        raise
    except LabError:  # no QEMU, which is a finding of its own
        return None


def _group_of(device: Path) -> str:
    try:
        return grp.getgrgid(device.stat().st_gid).gr_name
    except FileNotFoundError:
        return ""
    except KeyError:  # a container has the device's number, and no name for it
        return str(device.stat().st_gid)


def _storage(root: Path) -> Storage:
    there = os.statvfs(root)
    built = Layout.of(Selection.load()).linux.exists()
    return Storage(
        path=root,
        kind=_file_system(root.resolve(), Path("/proc/self/mountinfo").read_text()),
        free=there.f_bavail * there.f_frsize / GIB,
        needed=BUILT_GIB if built else SPACE_GIB,
        files=there.f_favail,
        noexec=bool(there.f_flag & os.ST_NOEXEC),
        case_blind=(ROOT / "HARNESS").exists(),
    )


def _file_system(path: Path, mountinfo: str) -> str:
    """The type of the file system that a path lies in; of mounts on one place the last holds."""
    best, kind = Path(), ""
    for line in mountinfo.splitlines():
        before, _, behind = line.partition(" - ")
        place = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), before.split()[4]))
        if path.is_relative_to(place) and len(place.parts) >= len(best.parts):
            best, kind = place, behind.split()[0]
    return kind


def _available_gib() -> float:
    found = re.search(
        r"^MemAvailable:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE
    )
    return int(found[1]) * 1024 / GIB if found else 0.0


def _cgroup_limits(own: str, root: Path) -> tuple[float, float]:
    """Memory in GiB and processors that cgroups (version 2) leave to a process.

    own: its /proc/self/cgroup. root: where cgroups are mounted.
    """
    memory, processors = float("inf"), float("inf")
    unified = re.search(r"^0::/(.*)$", own, re.MULTILINE)
    group = root / unified[1] if unified else root
    for each in (group, *group.parents):
        if not each.is_relative_to(root):
            break
        limit = _line(each / "memory.max")  # what is used of it is mostly page cache
        if limit.isdigit():
            memory = min(memory, int(limit) / GIB)
        quota, _, period = _line(each / "cpu.max").partition(" ")
        if quota.isdigit() and period.isdigit():
            processors = min(processors, int(quota) / int(period))
    return memory, processors


def _line(file: Path) -> str:
    """The line of a one-line file, "" where there is none."""
    try:
        return file.read_text().strip()
    except OSError:
        return ""
