# SPDX-License-Identifier: GPL-2.0-only
"""`./lab repeat`: the quick suite again and again, in random order, to find flakes."""

import time
from pathlib import Path

from harness.commands.lab import build_selected
from harness.commands.suite_process import QUICK, SuiteRun
from harness.core.errors import BadCall, TestsFailed
from harness.core.lock import locked
from harness.core.progress import say
from harness.core.workspace import Selection, build_root

POLL = 0.2  # seconds


def repeat(runs: int, at_once: int, seed: int) -> None:
    """Run the quick suite that often, in the orders of seed, seed + 1, ...

    at_once: how many at a time, each in a VM of its own. Raises TestsFailed if a
    run did not pass; its output stays in build/repeat/.
    """
    if runs < 1 or at_once < 1:
        raise BadCall("repeat needs at least one run, and at least one at a time")
    directory = build_root() / "repeat"
    with locked(directory, "repeats the suite"):
        build_selected(Selection.load())
        failed = _runs(directory, runs, at_once, seed)
    if failed:
        first = min(failed)
        raise TestsFailed(
            f"{len(failed)} of {runs} runs did not pass: orders {', '.join(map(str, failed))}",
            hint=f"./lab test -- -n 0 --random-order-bucket=global --random-order-seed={first}",
            log=failed[first].log,
        )
    say(f"repeat    {runs} runs, all passed")


def _runs(directory: Path, runs: int, at_once: int, seed: int) -> dict[int, SuiteRun]:
    """The runs that did not pass, by the seeds of their orders."""
    for old in directory.glob("order-*.log"):
        old.unlink()
    orders = list(range(seed, seed + runs))
    running: dict[int, SuiteRun] = {}
    failed: dict[int, SuiteRun] = {}
    ended = 0
    try:
        while orders or running:
            while orders and len(running) < at_once:
                order = orders.pop(0)
                shuffled = ["--random-order-bucket=global", f"--random-order-seed={order}"]
                words = [*QUICK, "-n", "0", *shuffled]  # one process, or modules stay together
                running[order] = SuiteRun(words, directory / f"order-{order}.log")
            time.sleep(POLL)
            for order in [order for order, run in running.items() if run.ended()]:
                run = running.pop(order)
                ended += 1
                say(f"repeat    {ended} of {runs}, order {order}: {run.verdict}")
                if not run.passed:
                    failed[order] = run
    finally:
        for run in running.values():
            run.end()
    return failed
