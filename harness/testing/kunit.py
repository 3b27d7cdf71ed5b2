# SPDX-License-Identifier: GPL-2.0-only
"""KUnit's results, as the guest's debugfs has them, and the verdict over them.

Format: KTAP (Documentation/dev-tools/ktap.rst). A suite is a test at the top
level, its cases are one level down; what is deeper, a case's parameters, is
told of a case that failed.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from harness.core.errors import LabError, TestsFailed

RESULTS = "/sys/kernel/debug/kunit/*/results"

_INDENT = " " * 4  # of a level, lib/kunit/test.h's KUNIT_SUBTEST_INDENT
_NAME = re.compile(rf"{_INDENT}# Subtest: (\S+)$")
_PLAN = re.compile(rf"{_INDENT}1\.\.(\d+)$")
_CASE = re.compile(rf"{_INDENT}(not )?ok \d+(?: -)? (\S+)(?: # (SKIP)\b.*)?$")
_SUITE = re.compile(r"(not )?ok \d+(?: -)? (\S+)(?: # (SKIP)\b.*)?$")


@dataclass(frozen=True)
class Case:
    """A test case.

    said: what it printed, its assertions that did not hold among it.
    """

    name: str
    passed: bool
    skipped: bool
    said: str


@dataclass(frozen=True)
class Suite:
    """A suite.

    planned: how many cases it has.
    passed: its own line, its set-up included.
    """

    name: str
    planned: int
    passed: bool
    cases: tuple[Case, ...]


def parse(text: str) -> list[Suite]:
    """The suites of one or several results, in their order; what is no KTAP is passed over."""
    suites: list[Suite] = []
    name, planned = "", 0
    cases: list[Case] = []
    said: list[str] = []
    for line in text.splitlines():
        if found := _NAME.match(line):
            name, planned, cases, said = found[1], 0, [], []
        elif found := _PLAN.match(line):
            planned = int(found[1])
        elif found := _CASE.match(line):
            skipped = bool(found[3])
            cases.append(Case(found[2], not found[1], skipped, "\n".join(said)))
            said = []
        elif (found := _SUITE.match(line)) and found[2] == name:
            suites.append(Suite(name, planned, not found[1] and not found[3], tuple(cases)))
            name = ""
        else:
            said.append(line)
    return suites


class DoesNotRun(LabError):
    """The kernel was built, and did not come up, or not through all of its KUnit tests."""


def promised(options: Iterable[str]) -> list[str]:
    """What configuration options promise: X_KUNIT_TEST a suite x, or several, x_y and so on."""
    suffix = "_KUNIT_TEST"
    return [name.removesuffix(suffix).lower() for name in options if name.endswith(suffix)]


def judge(suites: Iterable[Suite], wanted: Iterable[str]) -> None:
    """Raise TestsFailed unless all cases passed, DoesNotRun if a suite or a case did not run."""
    suites = list(suites)
    ran = [f"{suite.name}_" for suite in suites]
    missing = [name for name in wanted if not any(has.startswith(f"{name}_") for has in ran)]
    if missing or not ran:
        raise DoesNotRun(f"KUnit suites that did not run: {', '.join(missing) or 'all'}")
    for suite in suites:
        if suite.passed and (not suite.planned or len(suite.cases) != suite.planned):
            raise DoesNotRun(
                f"KUnit: {suite.name} ended after {len(suite.cases)} of {suite.planned} cases"
            )
    complaints = [complaint for suite in suites for complaint in _complaints(suite)]
    if complaints:
        raise TestsFailed("\n".join(complaints))


def _complaints(suite: Suite) -> list[str]:
    complaints = [
        f"KUnit: {suite.name}: {case.name} {'was skipped' if case.skipped else 'failed'}"
        f"\n{case.said}".rstrip()
        for case in suite.cases
        if case.skipped or not case.passed
    ]
    if not suite.passed and not complaints:
        complaints.append(f"KUnit: {suite.name} failed outside of its cases")
    return complaints
