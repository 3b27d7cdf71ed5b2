# SPDX-License-Identifier: GPL-2.0-only
"""Verdicts: the guest tests in a VM of their own, and the project's own tests."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from harness import fixtures, keeper, report
from harness.allow import AllowList
from harness.bpf import BpfError
from harness.build import Artefacts, build
from harness.config import ROOT, Selection, build_root
from harness.errors import BadCall, TestsFailed
from harness.fixtures import BENCH, Bench
from harness.lab import how_to_reach, machine_dir
from harness.lock import locked
from harness.machines import Machines, starter
from harness.pcap import Pcap
from harness.progress import say, step
from harness.provenance import provenance
from harness.run import CommandFailed, run
from harness.seat import Equipment, Seats
from harness.topology import CaptureError
from harness.vm import Machine

GUEST_TESTS = ROOT / "tests" / "guest"
ALLOWED_REPORTS = GUEST_TESTS / "console-allow.toml"
UNIT_TESTS = ROOT / "tests" / "unit"
LINT_DEADLINE = 300.0
POLL = 0.2  # seconds
CHOOSES = ("-m", "-k")  # pytest's options that choose tests
EVERYTHING = ("-m", "")


@contextmanager
def own_machines(selection: Selection) -> Iterator[Bench]:
    """Build what is not current; machines of its own for the length of the context.

    Only the build is under the build lock: a running VM has read its kernel,
    and the programs lie in a folder that a build replaces as a whole.
    """
    with locked(build_root()):
        artefacts = build(selection)
    with machines_of(artefacts) as bench:
        yield bench


@contextmanager
def machines_of(artefacts: Artefacts) -> Iterator[Bench]:
    """Machines made of these, for the length of the context; the first one is up."""
    accelerator = artefacts.accelerator
    with Machines(starter(artefacts)) as machines:
        with step("boot", f"under {accelerator.name}: {accelerator.reason}") as current:
            up = "restored" if machines.current().restored else "up"
            current.note = f"{up} under {accelerator.name}: {accelerator.reason}"
        yield Bench(Seats(machines, _equipment(artefacts)), artefacts)


def _equipment(artefacts: Artefacts) -> Equipment:
    allow = AllowList.load(ALLOWED_REPORTS)
    return Equipment(artefacts.programs.objects, artefacts.kernel.symbols, allow)


@contextmanager
def booted_machine(selection: Selection) -> Iterator[Bench]:
    """The VM that `boot` left running. BadCall if there is none, or if it is stale."""
    with locked(build_root()):
        artefacts = build(selection)
    running = keeper.ask(machine_dir())
    if running is None:
        raise BadCall("no VM is running", hint="./lab boot test --here")
    _refuse_stale(running, artefacts)
    with Machines(lambda: keeper.attached(running, machine_dir()), kept=True) as machines:
        machines.current()
        yield Bench(Seats(machines, _equipment(artefacts)), artefacts)


def _refuse_stale(running: keeper.Running, artefacts: Artefacts) -> None:
    if running.fingerprint != artefacts.fingerprint:
        raise BadCall(
            "the VM that runs has an older kernel or image than what is built",
            hint="./lab boot test --here",
        )


class Verdict:
    """A pytest plugin that gives the tests their machines and counts what came of them.

    bare: the machine's kernel lacks the series. Then each test must fail, by what it
    asserts or by a program that can't be loaded, but for those marked unchanged.
    """

    def __init__(self, bench: Bench, *, bare: bool = False) -> None:
        self._bench = bench
        self._bare = bare
        self.passed = 0
        self.interrupted = False

    def pytest_configure(self, config: pytest.Config) -> None:
        """Hand the machines to harness.fixtures."""
        config.stash[BENCH] = self._bench

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """On a bare kernel, expect what proves a patch to fail, and strictly so."""
        for item in items:
            if self._bare and item.get_closest_marker("unchanged") is None:
                item.add_marker(
                    pytest.mark.xfail(
                        reason="not marked unchanged: must fail without the series",
                        raises=(AssertionError, BpfError, CaptureError),
                        strict=True,
                    )
                )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count what came out as it should; a skipped test did not, nor one that may fail."""
        if report.when != "call":
            return
        if hasattr(report, "wasxfail"):
            self.passed += self._bare and report.skipped
        else:
            self.passed += report.passed

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Ctrl-C has pytest's status of a collection error, and its hook; tell them apart."""
        self.interrupted = not isinstance(excinfo.value, pytest.Session.Interrupted)


def guest(
    arguments: Sequence[str],
    *,
    here: bool = False,
    junit: str | None = None,
    html: str | None = None,
    bare: bool = False,
    fresh: bool = False,
    keep: bool = False,
    pcap: bool = False,
) -> None:
    """Run the quick guest tests, or those that pytest's arguments choose.

    fresh: each test gets a machine of its own, not each module.
    keep: end at the first failure, and keep its guest as it is until Ctrl-C.
    pcap: keep what went over the NICs while a test ran that failed.
    junit, html: files that get a report. A CI that shows a summary gets one, too.
    bare: on the base without the series, where tests fail but for those marked unchanged.
    Raises TestsFailed unless at least one ran and all passed, BadCall if
    nothing of what was named is there.
    """
    selection = Selection.load()
    for other, given in (("--bare", bare), ("--fresh", fresh)):
        if here and given:
            raise BadCall(f"--here and {other} exclude each other")
    if bare:
        selection = replace(selection, bare=True)
    page = report.writable(Path(html)) if html else None
    wanted = junit or page or report.SUMMARY in os.environ
    junits = [f"--junit-xml={junit}"] if junit else []
    chosen = bare or _named(arguments) or any(word.startswith(CHOOSES) for word in arguments)
    quick = [] if chosen else ["-m", "not slow"]
    with (booted_machine if here else own_machines)(selection) as bench:
        reports = [report.Report(provenance(selection))] if wanted else []
        looks = [Pcap(build_root() / "pcap")] if pcap else []
        try:
            bench.seats.fresh, bench.seats.keep = fresh, keep
            options = [*junits, *quick, *(["--maxfail=1"] if keep else [])]
            passed = run_tests(bench, [*arguments, *options], *reports, *looks, bare=bare)
        finally:
            for each in reports:
                report.publish(each, page)
        if keep and not passed:
            _hold(bench.seats.machine)
    if not passed:
        raise TestsFailed("not all tests passed")


def _hold(machine: Machine | None) -> None:
    """Say how to reach a machine, and wait until it ends, or for Ctrl-C."""
    if machine is None:
        return
    say(f"kept      {how_to_reach(machine.address)}")
    say(f"          console: {machine.console.path}; Ctrl-C ends it")
    with contextlib.suppress(KeyboardInterrupt):
        while machine.alive():
            time.sleep(POLL)


def _named(arguments: Sequence[str]) -> list[Path]:
    """The files and folders among pytest's arguments."""
    names = [word.partition("::")[0] for word in arguments]
    return [Path(name) for name in names if name and Path(name).exists()]


def run_tests(bench: Bench, arguments: Sequence[str], *plugins: object, bare: bool = False) -> bool:
    """Whether the guest tests, or those that pytest's arguments name, pass: one at least, and all.

    plugins: pytest's, besides the lab's own. bare: as in Verdict. Raises BadCall if
    nothing of what was named is there.
    """
    named = _named(arguments)
    # Tests are called by their path below rootdir; one outside it would have no name.
    root = os.path.commonpath([ROOT, *(path.resolve() for path in named)])
    options = ["-c", str(ROOT / "pyproject.toml"), f"--rootdir={root}", *arguments]
    if not named:
        options.append(str(GUEST_TESTS))
    verdict = Verdict(bench, bare=bare)
    sys.stdout.flush()
    status = pytest.main(options, plugins=[fixtures, verdict, *plugins])
    sys.stdout.flush()  # before the error, which is not buffered
    if verdict.interrupted:
        raise KeyboardInterrupt
    if status in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise BadCall("no test ran: nothing matches what was named")
    if status == pytest.ExitCode.OK and not verdict.passed:
        raise TestsFailed("no test passed: all were skipped")
    return status == pytest.ExitCode.OK


def check() -> None:
    """Lint, types, unit tests, guest tests: all of them, then the verdict."""
    python = [sys.executable, "-m"]
    steps = {
        "lint": [*python, "ruff", "check", "--no-cache", "."],
        "format": [*python, "ruff", "format", "--no-cache", "--check", "."],
        "types": [*python, "mypy"],
    }
    failed = [name for name, argv in steps.items() if not _passes(name, argv)]
    if not _passes("unit", [*python, "pytest", "-q", str(UNIT_TESTS)], show=True):
        failed.append("unit")
    try:
        guest(EVERYTHING)
    except TestsFailed:
        failed.append("guest")
    if failed:
        raise TestsFailed(f"failed: {', '.join(failed)}")
    say("check     all passed")


def _passes(name: str, argv: Sequence[str], show: bool = False) -> bool:
    with step(name, "running") as current:
        try:
            run(argv, cwd=ROOT, deadline=LINT_DEADLINE, on_line=_print if show else None)
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
