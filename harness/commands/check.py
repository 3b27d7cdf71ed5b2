# SPDX-License-Identifier: GPL-2.0-only
"""`./lab check`: the project's own tests, all of them, and then the verdict."""

import sys
from collections.abc import Sequence

from harness.core import host
from harness.core.environment import LAB
from harness.core.errors import TestsFailed
from harness.core.progress import say, step
from harness.core.run import CommandFailed, run
from harness.core.workspace import ROOT, Base, Selection
from harness.native.host_tests import host_tests
from harness.testing.suite import guest
from harness.testing.verdict import GUEST_TESTS

UNIT_TESTS = ROOT / "tests" / "unit"
LAB_TESTS = ROOT / "tests" / "lab"  # of the lab itself, in guests too
DEADLINE = 900.0  # seconds; the unit tests take a minute on two idle processors
EVERYTHING = ("-m", "", str(GUEST_TESTS), str(LAB_TESTS))


def check() -> None:
    """Lint, types, unit tests, guest tests, the lab's own, host tests: all, then the verdict."""
    # Unit tests need git, gcc and QEMU as well.
    host.require(Base.load(Selection.load().base).tools)
    python = [sys.executable, "-m"]
    steps = {
        "lint": [*python, "ruff", "check", "--no-cache", "."],
        "format": [*python, "ruff", "format", "--no-cache", "--check", "."],
        "types": [*python, "mypy"],
    }
    failed = [name for name, argv in steps.items() if not _passes(name, argv)]
    unit = [*python, "pytest", "-q", "-n", "auto", str(UNIT_TESTS.relative_to(ROOT))]
    if not _passes("unit", unit, show=True):
        failed.append("unit")
    try:
        guest(EVERYTHING)
    except TestsFailed:
        failed.append("guest")
    try:
        host_tests([])
    except TestsFailed:
        failed.append("host")
    if failed:
        raise TestsFailed(f"failed: {', '.join(failed)}")
    say("check     all passed")


def _passes(name: str, argv: Sequence[str], show: bool = False) -> bool:
    with step(name, "running") as current:
        try:
            run(argv, LAB, cwd=ROOT, deadline=DEADLINE, on_line=_print if show else None)
        except CommandFailed as error:
            current.note = "failed"
            if not show:
                say(error.output)
            return False
        current.note = "passed"
    return True


def _print(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()
