# SPDX-License-Identifier: GPL-2.0-only
"""Tests many kernels one after the other, and keeps the results in a file."""

import enum
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from harness.artefacts.scratch_tree import DoesNotApply
from harness.core import artefact, files
from harness.core.errors import TestsFailed
from harness.core.git import git
from harness.core.progress import say
from harness.core.workspace import ROOT, SERIES_ROOT, Layout
from harness.series.trial import Judgement, Outcome, Trial

SERIES = "series"  # the name of the kernel that has no fault


class Tests(enum.Enum):
    """Which tests judge a case: tests/guest, tests/host, the KUnit tests of the drivers' lane."""

    GUEST = "guest"
    HOST = "host"
    DRIVERS = "drivers"


@dataclass(frozen=True)
class Case:
    """A kernel to be judged.

    make: gives its commit, or raises DoesNotApply.
    arguments: pytest's, for tests/guest.
    """

    name: str
    make: Callable[[], str]
    arguments: tuple[str, ...] = ()
    tests: Tests = Tests.GUEST

    def before(self, tests: Tests) -> "Case":
        """The same, judged there."""
        return replace(self, name=f"{self.name}-{tests.value}", tests=tests)


class Results:
    """The judgements of a trial's cases. Its file is never half-written.

    left: a case that was judged before, with the same source and the same tests, is not
    judged again.
    """

    def __init__(self, place: Trial, left: bool) -> None:
        layout = Layout.of(place.selection)
        self.place = place
        self.file = layout.variant / "mutants.json"
        self.commits = place.commits
        self._logs = layout.logs / "mutants"
        self._left = left
        series_dir = SERIES_ROOT / place.selection.base
        self._tests = {
            Tests.GUEST: artefact.fingerprint(ROOT / "tests" / "guest", ROOT / "bpf-progs"),
            Tests.HOST: artefact.fingerprint(ROOT / "tests/host", ROOT / "harness/datapath/kv.py"),
            Tests.DRIVERS: artefact.fingerprint(*sorted(series_dir.glob("config*"))),
        }
        try:
            self._entries: dict[str, dict[str, Any]] = json.loads(self.file.read_text())
        except (OSError, ValueError):
            self._entries = {}

    def judge(self, case: Case, known: Mapping[str, Judgement] | None = None) -> Judgement:
        """known: judgements of kernels, by their vmlinux's SHA-256, that hold for this case too."""
        try:
            commit = case.make()
        except DoesNotApply as error:
            return Judgement(Outcome.NOT_APPLIED, why=f"{error.name}: {error.why}")
        tree = git(self.place.tree, "rev-parse", f"{commit}^{{tree}}").strip()
        key = artefact.fingerprint(tree, self._tests[case.tests])
        entry = self._entries.get(case.name, {})
        if self._left and entry.get("key") == key:
            told = dict(entry["judgement"])
            outcome, passed = Outcome(told.pop("outcome")), tuple(told.pop("passed"))
            # What made the series fail may have been the lab, and mended since.
            if case.name != SERIES or outcome is Outcome.PASSED:
                return Judgement(outcome, passed, **told)
        log = self._logs / f"{case.name}.log"
        match case.tests:
            case Tests.DRIVERS:
                judged = self.place.judge_drivers(commit, log)
            case Tests.HOST:
                judged = self.place.judge_encoding(commit, log)
            case Tests.GUEST:
                judged = self.place.judge(commit, case.arguments, log, known)
        self._keep(case.name, key, judged)
        return judged

    def series(self) -> Judgement:
        """Of the series itself, which must pass, or no other verdict means anything."""
        judged = self.judge(Case(SERIES, lambda: self.commits[-1].hash))
        if judged.outcome is not Outcome.PASSED:
            names = ", ".join(judged.failed) or judged.why
            log = self._logs / f"{SERIES}.log"
            raise TestsFailed(f"the series itself {judged.outcome.value}: {names}", log=log)
        say(f"series    {len(judged.passed)} tests pass ({judged.seconds:.0f} s)")
        return judged

    def _keep(self, name: str, key: str, judged: Judgement) -> None:
        told = asdict(judged) | {"outcome": judged.outcome.value}
        self._entries[name] = {"key": key, "judgement": told}
        files.replace(self.file, json.dumps(self._entries, indent=1) + "\n")
