# SPDX-License-Identifier: GPL-2.0-only
"""Builds a commit's kernel and runs the tests on it, for verbs that try many commits."""

import contextlib
import enum
import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harness.artefacts import patches
from harness.artefacts.image import keys
from harness.artefacts.kbuild import DoesNotBuild
from harness.artefacts.patches import Commit
from harness.artefacts.scratch_tree import clone
from harness.artefacts.tree import origin, source_tree, tools
from harness.core import host
from harness.core.errors import BadCall, LabError, TestsFailed
from harness.core.lock import locked, used
from harness.core.progress import say
from harness.core.run import CommandFailed, run
from harness.core.workspace import Base, Lane, Layout, Selection, build_root
from harness.machine.build import build
from harness.native import host_tests
from harness.native.compiled import SOURCES, compile_c, store_sources
from harness.testing import drivers, kunit
from harness.testing.suite import machines_of, run_tests, side_by_side

PLACE = "trial"


class Outcome(enum.Enum):
    """What became of a kernel."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_BUILT = "does not build"
    NOT_BOOTED = "does not boot"
    NOT_APPLIED = "does not apply"


@dataclass(frozen=True)
class Judgement:
    """passed, failed: tests, by pytest's name; of a failed one also why, in a line.

    why: it was not made, built, or booted.
    kernel: SHA-256 of what is loaded of vmlinux, "" if there is none.
    """

    outcome: Outcome
    passed: tuple[str, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)
    why: str = ""
    kernel: str = ""
    seconds: float = 0.0


class ResultCollector:
    """A pytest plugin that keeps each test's result."""

    def __init__(self) -> None:
        self._called: list[str] = []
        self.failed: dict[str, str] = {}

    @property
    def passed(self) -> tuple[str, ...]:
        """The tests that were called and did not fail, nor their set-up or end."""
        return tuple(name for name in self._called if name not in self.failed)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what is said of a test; a subtest is told as its test."""
        if report.failed:
            self.failed.setdefault(report.nodeid, _reason(report))
        elif report.when == "call" and not hasattr(report, "wasxfail"):
            self._called.append(report.nodeid)


def _reason(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    message = crash.message if crash else str(report.longrepr or "failed").strip()
    return str(message).partition("\n")[0]


@dataclass(frozen=True)
class Trial:
    """A place where kernels are built of commits that nobody edits.

    selection: of the trial; its source is at `tree`.
    origin: the tree that the commits are of.
    commits: the series, in order, as it was committed when this began; none of a user's tree.
    """

    selection: Selection
    origin: Path
    tree: Path
    commits: tuple[Commit, ...]

    def judge(
        self,
        commit: str,
        arguments: Sequence[str],
        log: Path,
        known: Mapping[str, Judgement] | None = None,
    ) -> Judgement:
        """Build a commit, boot it, and run the tests that pytest's arguments name.

        log: gets all that is printed meanwhile. known: judgements by `kernel`; one of these
        kernels is not tested again. Raises LabError if the lab can't do that, BadCall
        if there is no such test.
        """
        return _logged(log, lambda: self._judge(commit, arguments, known or {}))

    def judge_drivers(self, commit: str, log: Path) -> Judgement:
        """Build the drivers' lane of a commit and run its KUnit tests; log as in `judge`."""
        return _logged(log, lambda: self._judge_drivers(commit))

    def judge_encoding(self, commit: str, log: Path) -> Judgement:
        """Run a commit's encoding of the store on the host; log as in `judge`."""
        return _logged(log, lambda: self._judge_encoding(commit))

    def _judge_encoding(self, commit: str) -> Judgement:
        tree = source_tree(replace(self.selection, commit=commit))
        objects = Layout.of(self.selection).variant / "foreign"
        try:
            with tempfile.TemporaryDirectory() as scratch:
                # Or a fault that does not compile would count as killed.
                compile_c(
                    tree, Path(scratch) / "store", [SOURCES / "store.c", *store_sources(tree)]
                )
            host_tests.test(tree, objects, verdict_only=True)
        except TestsFailed as error:
            return Judgement(Outcome.FAILED, failed={"host": _told(error)})
        except CommandFailed as error:
            return Judgement(Outcome.NOT_BUILT, why=_told(error))
        return Judgement(Outcome.PASSED)

    def _judge_drivers(self, commit: str) -> Judgement:
        try:
            lane = replace(self.selection, commit=commit, lane=Lane.DRIVERS)
            drivers.run_tests(build(lane))
        except TestsFailed as error:
            return Judgement(Outcome.FAILED, failed={f"KUnit/{Lane.DRIVERS}": _told(error)})
        except DoesNotBuild as error:
            return Judgement(Outcome.NOT_BUILT, why=_told(error))
        except kunit.DoesNotRun as error:
            return Judgement(Outcome.NOT_BOOTED, why=_told(error))
        return Judgement(Outcome.PASSED)

    def _judge(
        self, commit: str, arguments: Sequence[str], known: Mapping[str, Judgement]
    ) -> Judgement:
        try:
            artefacts = build(replace(self.selection, commit=commit))
        except DoesNotBuild as error:
            return Judgement(Outcome.NOT_BUILT, why=_told(error))
        kernel = _what_runs(artefacts.kernel.vmlinux)
        if kernel in known:
            return known[kernel]
        findings, at_once = ResultCollector(), side_by_side(arguments)
        with contextlib.ExitStack() as stack:
            try:
                testbed = stack.enter_context(machines_of(artefacts, at_once))
            except LabError as error:
                return Judgement(Outcome.NOT_BOOTED, why=_told(error), kernel=kernel)
            passed = run_tests(testbed, arguments, findings, at_once=at_once)
        outcome = Outcome.PASSED if passed else Outcome.FAILED
        return Judgement(outcome, findings.passed, findings.failed, kernel=kernel)


def _logged(log: Path, judge: Callable[[], Judgement]) -> Judgement:
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with log.open("w") as file, contextlib.redirect_stdout(file):
        judged = judge()
    return replace(judged, seconds=round(time.monotonic() - started, 1))


def _what_runs(vmlinux: Path) -> str:
    """SHA-256 of what is loaded of a kernel: lines of source that moved are only in the rest."""
    loaded = vmlinux.with_name("lab-loaded")
    run(["objcopy", "-O", "binary", vmlinux, loaded], deadline=60)
    with loaded.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    loaded.unlink()
    return digest


def _told(error: LabError) -> str:
    """An error in a line or two: what it is, and its first words."""
    print(error.render())
    return " ".join(line.strip() for line in error.message.splitlines()[:2])


@contextmanager
def trial(selection: Selection) -> Iterator[Trial]:
    """A trial of the tree that was selected, for the length of the context.

    Raises BadCall if that is a part of the series: another commit than the series'.
    """
    if selection.commit:
        raise BadCall("the last build was of a part of the series", hint="./lab build")
    host.require(Base.load(selection.base).tools)
    apart = replace(selection, place=PLACE)
    layout = Layout.of(apart)
    with contextlib.ExitStack() as stack:
        with locked(build_root()):
            stack.enter_context(used(build_root()))
            tree = source_tree(selection)
            commits = () if selection.tree else _committed(tree)
            keys(layout)  # which are made once for all
            if selection.tree:
                tools(selection, tree)
        stack.enter_context(locked(layout.source))
        clone(layout.linux, origin(apart))
        yield Trial(apart, origin(apart), layout.linux, commits)


def _committed(tree: Path) -> tuple[Commit, ...]:
    """The series as it is committed. Says so if more was changed."""
    if patches.is_dirty(tree):
        say(f"patches   what is not committed in {tree} is left out")
    return patches.commits(tree)
