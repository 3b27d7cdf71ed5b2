# SPDX-License-Identifier: GPL-2.0-only
"""What this host has, lacks and will use."""

import os
import shutil
from pathlib import Path

from harness import accel
from harness.config import build_root
from harness.errors import LabError
from harness.host import GIB, NEEDS, find
from harness.progress import say
from harness.source import SPACE_GIB
from harness.tap import TapUnavailable, open_taps

MEMORY_GIB = 4.0  # two compilers beside the link of vmlinux with BTF, and a guest


def report() -> None:
    """Print a line for each thing that the lab uses. Raises LabError if it can't work here."""
    missing = []
    for need in NEEDS:
        place = find(need.probe)
        say(f"{need.probe:<24} {place or f'missing: {need.package}'}")
        if not place:
            missing.append(need.package)
    say(f"{'ccache':<24} {find('ccache') or 'missing; a second build from nothing would profit'}")
    say(f"{'accelerator':<24} {_accelerator()}")
    say(f"{'tap':<24} {_tap()}")
    root = build_root()
    free = shutil.disk_usage(root).free / GIB
    enough = "enough" if free >= SPACE_GIB else f"too little: {SPACE_GIB:g} GiB are needed"
    say(f"{'disk':<24} {free:.1f} GiB free in {root}: {enough}")
    memory = _available_gib()
    enough = "enough" if memory >= MEMORY_GIB else f"little: {MEMORY_GIB:g} GiB are better"
    say(f"{'memory':<24} {memory:.1f} GiB available: {enough}")
    say(f"{'processors':<24} {len(os.sched_getaffinity(0))}")
    if missing:
        packages = " ".join(missing)
        raise LabError(f"missing: {packages}", hint=f"as root: apt-get install {packages}")


def _accelerator() -> str:
    try:
        known = accel.remembered(build_root())
    except LabError as error:
        return error.message
    if known is None:
        return "KVM can be opened; the next build finds out whether it runs a guest"
    return f"{known.name}: {known.reason}"


def _tap() -> str:
    try:
        (tap,) = open_taps(1)
    except TapUnavailable as reason:
        return f"none: {reason.message}; {reason.hint}"
    tap.close()
    return "yes, in a network namespace of its own"


def _available_gib() -> float:
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024 / GIB
    return 0.0
