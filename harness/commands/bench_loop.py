# SPDX-License-Identifier: GPL-2.0-only
"""`./lab bench loop`: what a developer waits for, each wait as a whole process, in turn.

The machine is noisy, so the measures take turns, several rounds of them; what
counts are medians, and ratios to virtme-ng where that is installed.
"""

import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from harness.artefacts.kbuild import bzimage
from harness.commands.lab import build_selected
from harness.core import environment
from harness.core.lock import locked
from harness.core.progress import say, step
from harness.core.run import CommandFailed, run
from harness.core.workspace import ROOT, Lane, Layout, Selection, build_root, machine_dir
from harness.machine import keeper
from harness.machine.build import build
from harness.machine.snapshot import State

ROUNDS = 5
DEADLINE = 600.0
ONE_TEST = "tests/guest/test_rx_hash.py::test_nothing_stored_nothing_set[veth]"
LAB = (sys.executable, "-m", "harness")
SUITE = (*LAB, "test", "--", "-m", "not slow")
COMPILE = {"CCACHE_RECACHE": "1"}  # a touched file is compiled, not taken from the cache


@dataclass(frozen=True)
class Wait:
    """One thing that is waited for.

    before: what brings it about, not measured.
    proof: what it prints when all went well, where its exit status may not say so.
    """

    name: str
    argv: tuple[str, ...]
    before: tuple[Callable[[], None], ...] = ()
    proof: str = ""


@dataclass(frozen=True)
class Measured:
    """Seconds of each round, their median, and that over virtme-ng's first command."""

    name: str
    seconds: tuple[float, ...]
    median: float
    of_virtme_ng: float | None


VIRTME_NG = "first command under virtme-ng, cold"


def report() -> None:
    """Measure, print the table, and write it as JSON too."""
    selection = Selection.load()
    state = build_selected(selection).state
    layout = Layout.of(selection)
    waits = _waits(layout, selection, state)
    taken: dict[str, list[float]] = {wait.name: [] for wait in waits}
    with step("bench", f"{ROUNDS} rounds of {len(waits)}") as current:
        for number in range(1, ROUNDS + 1):
            for wait in waits:
                taken[wait.name].append(_once(wait))
            current.note = f"{number} rounds of {len(waits)}"
    measured = judged(taken)
    file = layout.variant / "bench-loop.json"
    file.write_text(json.dumps([asdict(each) for each in measured], indent=2) + "\n")
    say(f"{'seconds, the whole process':<50} {'median':>7} {'least':>7} {'most':>7} {'ratio':>6}")
    for each in measured:
        ratio = f"{each.of_virtme_ng:.3f}" if each.of_virtme_ng else "-"
        low, high = min(each.seconds), max(each.seconds)
        say(f"{each.name:<50} {each.median:>7.2f} {low:>7.2f} {high:>7.2f} {ratio:>6}")
    say(f"ratio: to virtme-ng's first command\nas JSON: {file}")


def judged(taken: dict[str, list[float]]) -> list[Measured]:
    """What the seconds of each round say, by the waits' names."""
    medians = {name: statistics.median(seconds) for name, seconds in taken.items()}
    against = medians.get(VIRTME_NG)
    return [
        Measured(name, tuple(taken[name]), median, median / against if against else None)
        for name, median in medians.items()
    ]


def _waits(layout: Layout, selection: Selection, state: State) -> list[Wait]:
    tree = Path(selection.tree) if selection.tree else layout.linux
    shell = (*LAB, "shell", "true")
    touched_c = partial(os.utime, tree / "net/core/xdp.c")
    touched_h = partial(os.utime, tree / "include/net/xdp.h")
    waits = [
        Wait("first command from nothing running, restored", shell, (_down,)),
        Wait("first command from nothing running, cold", shell, (_down, state.remove)),
        Wait("one test from nothing running", (*LAB, "test", "--", ONE_TEST), (_down,)),
        Wait("build with nothing to do", (*LAB, "build")),
        Wait("the quick suite", SUITE),
        Wait("touched include/net/xdp.h to a bootable kernel", (*LAB, "build"), (touched_h,)),
        Wait("touched net/core/xdp.c to a bootable kernel", (*LAB, "build"), (touched_c,)),
        # Last: it leaves a saved state of its kernel, from which the next round starts.
        Wait("touched net/core/xdp.c to the suite's verdict", SUITE, (touched_c,)),
    ]
    if shutil.which("vng"):
        waits.insert(0, _virtme_ng(selection, tree))
    else:
        say("bench     virtme-ng is not installed: nothing is compared with it")
    return waits


def _virtme_ng(selection: Selection, tree: Path) -> Wait:
    """virtme-ng's first command, on the same kernel with the file systems that it needs.

    As a bzImage: of a vmlinux virtme-ng would read each byte to find the version. root=: what
    a kernel without block devices does not suppose. On a host without udev virtme-ng 1.42 ends
    with 255 whatever the command did; its init then says on the console what that was.
    """
    chosen = replace(selection, lane=Lane.VIRTME)
    with locked(build_root()):
        artefacts = build(chosen)
        kernel = str(bzimage(Layout.of(chosen), tree))
    accelerator = artefacts.accelerator
    tcg = ("--disable-kvm",) if accelerator.name == "tcg" else ()
    machine = ("--cpus", "2", "--memory", "512M", "--append", "root=/dev/root")
    words = ("vng", "--verbose", "--run", kernel, *tcg, *machine, "--", "true")
    return Wait(VIRTME_NG, words, proof="script exited with code 0")


def _down() -> None:
    keeper.stop(machine_dir())


def _once(wait: Wait) -> float:
    for prepare in wait.before:
        prepare()
    started = time.monotonic()
    try:
        run(wait.argv, environment.LAB, cwd=ROOT, deadline=DEADLINE, env=COMPILE)
    except CommandFailed as error:
        if not wait.proof or wait.proof not in error.output:
            raise
    return time.monotonic() - started
