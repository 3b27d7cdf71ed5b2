# SPDX-License-Identifier: GPL-2.0-only
"""The guest tests: which, where, and how many at a time."""

import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from harness.core.environment import of_tests
from harness.core.errors import BadCall, TestsFailed
from harness.core.host import usable_processors
from harness.core.lock import locked
from harness.core.progress import say, step
from harness.core.workspace import ROOT, Selection, build_root, machine_dir
from harness.machine import keeper
from harness.machine.attach import attached
from harness.machine.build import Artefacts
from harness.machine.held import built
from harness.machine.options import OWN, Options
from harness.machine.prestart import Early, early
from harness.machine.session import Machines, starter
from harness.machine.vm import Machine
from harness.testing import fixtures, report
from harness.testing.dut import Duts
from harness.testing.fixtures import Testbed
from harness.testing.pcap import Pcap
from harness.testing.provenance import provenance
from harness.testing.verdict import GUEST_TESTS, Verdict, equipment
from harness.testing.xdist_worker import Workers

POLL = 0.2  # seconds
# What lies beside a test can be imported, but not instead of Python's own, or of the lab's.
APPENDED = "--import-mode=append"
ENDED = 128 + signal.SIGTERM
CHOOSES = ("-m", "-k")  # pytest's options that choose tests
NUMBER = re.compile(r"(?:^| )(?:-n|--numprocesses)[ =]?(\d+)\b")  # xdist's option


@contextmanager
def own_machines(
    selection: Selection, at_once: int = 0, options: Options = OWN
) -> Iterator[Testbed]:
    """Build what is not current; machines of its own for the length of the context.

    at_once: see machines_of.
    """
    with contextlib.ExitStack() as stack:
        started = None if at_once else stack.enter_context(early(selection))
        artefacts = stack.enter_context(built(selection)).with_options(options)
        yield stack.enter_context(machines_of(artefacts, at_once, started))


@contextmanager
def machines_of(
    artefacts: Artefacts, at_once: int = 0, started: Early | None = None
) -> Iterator[Testbed]:
    """Machines made of these, for the length of the context.

    The first one is up, or so many processes can restore theirs at once. started: it, if it fits.
    """
    accelerator = artefacts.accelerator
    with Machines(starter(artefacts.plan, early=started)) as machines:
        why = f"under {accelerator.name}: {accelerator.reason}"
        if at_once and artefacts.are_saved:
            say(f"boot      {at_once} at a time, restored {why}")
        else:
            with step("boot", why) as current:
                up = "restored" if machines.current().restored else "up"
                current.note = f"{up} {why}"
        yield Testbed(Duts(machines, equipment(artefacts)), artefacts)


@contextmanager
def booted_machine(selection: Selection) -> Iterator[Testbed]:
    """The VM that `boot` left running. BadCall if there is none, or if it is stale."""
    with built(selection) as artefacts, locked(machine_dir(), keeper.TESTED):
        running = keeper.ask(machine_dir())
        if running is None:
            raise BadCall("no VM is running", hint="./lab boot test --here")
        _refuse_stale(running, artefacts)
        # Outermost, to see an error that this is left by: it ends what tests left in the guest.
        with (
            attached(running, machine_dir()) as machine,
            Machines(lambda: contextlib.nullcontext(machine), kept=True) as machines,
        ):
            machines.current()
            yield Testbed(Duts(machines, equipment(artefacts)), artefacts)


def _refuse_stale(running: keeper.Running, artefacts: Artefacts) -> None:
    if running.fingerprint != artefacts.fingerprint:
        raise BadCall(
            "the VM that runs has another kernel or image than what is built",
            hint="./lab boot test --here",
        )


def guest(
    arguments: Sequence[str],
    asked: Options | None = None,
    *,
    here: bool = False,
    junit: str | None = None,
    html: str | None = None,
    bare: bool = False,
    fresh: bool = False,
    keep: bool = False,
    pcap: bool = False,
    dump: bool = False,
) -> None:
    """Run the quick guest tests, or those that pytest's arguments choose.

    fresh: each test gets a machine of its own, not each module.
    keep: end at the first failure, and keep its guest as it is until Ctrl-C.
    pcap: keep what went over the NICs while a test ran that failed.
    dump: keep the memory of a guest that panicked or answers no more.
    junit, html: files that get a report. A CI that shows a summary gets one, too.
    bare: on the base without the series, where tests fail but for those marked unchanged.
    asked: what the machines have otherwise than the lab's own.
    Raises TestsFailed unless at least one ran and all passed, BadCall if
    nothing of what was named is there.
    """
    selection = Selection.load()
    options = asked or OWN
    flags = str(replace(options, qemu=()))  # words for QEMU are of the machine that runs
    for other, given in (("--bare", bare), ("--fresh", fresh), (flags, flags)):
        if here and given:
            raise BadCall(f"--here and {other} exclude each other")
    if str(options) and not here:
        say(f"machine   {options}")
    if bare:
        selection = replace(selection, bare=True)
    page = report.writable(Path(html)) if html else None
    wanted = junit or page or report.SUMMARY in os.environ
    junits = [f"--junit-xml={junit}"] if junit else []
    chosen = bare or named(arguments) or any(word.startswith(CHOOSES) for word in arguments)
    quick = [] if chosen else ["-m", "not slow"]
    alone = here or keep or pcap or dump or selection.tree
    at_once = 0 if alone else side_by_side(arguments)
    frames, dumps = build_root() / "pcap", build_root() / "dump"
    with contextlib.ExitStack() as stack:
        if pcap:
            stack.enter_context(locked(frames, "keeps frames"))
        if dump:
            stack.enter_context(locked(dumps, "keeps memory"))
            _empty(dumps)
            options = replace(options, stays=True)
        machines = booted_machine(selection) if here else own_machines(selection, at_once, options)
        testbed = stack.enter_context(machines)
        reports = [report.Report(provenance(selection))] if wanted else []
        looks = [Pcap(frames)] if pcap else []
        try:
            testbed.duts.fresh, testbed.duts.keep = fresh, keep
            testbed.duts.dumps = dumps if dump else None
            words = [*junits, *quick, *(["--maxfail=1"] if keep else []), "-n", str(at_once)]
            plugins = [*reports, *looks]
            passed = run_tests(
                testbed,
                [*arguments, *words],
                *plugins,
                bare=bare,
                selects=not named(arguments),
                at_once=at_once,
            )
        finally:
            for each in reports:
                report.publish(each, page)
        if keep and not passed:
            _hold(testbed.duts.machine)
    if not passed:
        raise TestsFailed("not all tests passed")


def _empty(directory: Path) -> None:
    for old in directory.glob("*.kdump"):
        old.unlink()


def _hold(machine: Machine | None) -> None:
    """Say how to reach a machine, and wait until it ends, or for Ctrl-C."""
    if machine is None:
        return
    say(f"kept      {machine.address.how_to_reach()}")
    say(f"          console: {machine.console.path}; Ctrl-C ends it")
    with contextlib.suppress(KeyboardInterrupt):
        while machine.alive():
            time.sleep(POLL)


def named(arguments: Sequence[str]) -> list[Path]:
    """The files and folders among pytest's arguments."""
    names = [word.partition("::")[0] for word in arguments]
    return [Path(name) for name in names if name and Path(name).exists()]


def side_by_side(arguments: Sequence[str]) -> int:
    """How many processes should run the tests that pytest's arguments name; 0: this one does.

    One for each processor, or as -n says; one module is not worth another process.
    """
    asked = NUMBER.search(" ".join(arguments))
    if asked:
        return int(asked[1])
    if any("::" in word or word.startswith("-k") for word in arguments):
        return 0
    modules = [
        module
        for path in named(arguments) or [GUEST_TESTS]
        for module in (path.rglob("test_*.py") if path.is_dir() else [path])
    ]
    count = min(len(modules), usable_processors())
    return count if count > 1 else 0


def _from_here(word: str) -> str:
    """pytest's argument, without the checkout's path: a '[' in it would be of a test's name."""
    return (
        word.replace(str(ROOT), os.path.relpath(ROOT), 1) if word.startswith(f"{ROOT}/") else word
    )


def run_tests(
    testbed: Testbed,
    arguments: Sequence[str],
    *plugins: object,
    bare: bool = False,
    selects: bool = False,
    at_once: int = 0,
) -> bool:
    """Whether the guest tests, or those that pytest's arguments name, pass: one at least, and all.

    plugins: pytest's, besides the lab's own. bare, selects: as in Verdict. at_once: processes
    that run them, with machines of their own; 0: this one runs them on the testbed. Raises
    BadCall if nothing of what was named is there.
    """
    places = named(arguments)
    verdict = Verdict(testbed, bare=bare, selects=selects)
    workers = []
    if at_once:
        testbed.duts.leave()
        workers = [Workers(at_once, testbed.artefacts, testbed.duts.fresh, bare)]
    # Tests are called by their path below rootdir; one outside it would have no name.
    root = os.path.commonpath([ROOT, *(path.resolve() for path in places)])
    told = [APPENDED, *map(_from_here, arguments)]
    options = ["-c", str(ROOT / "pyproject.toml"), f"--rootdir={root}", *told]
    if not places:
        options.append(_from_here(str(GUEST_TESTS)))
    for each in workers:
        options += each.options
    sys.stdout.flush()
    # As an exit it would be one test's failure.
    before = signal.signal(signal.SIGTERM, lambda *_: pytest.exit("SIGTERM", ENDED))
    try:
        with of_tests():
            status = pytest.main(options, plugins=[fixtures, verdict, *workers, *plugins])
    finally:
        signal.signal(signal.SIGTERM, before)
    sys.stdout.flush()  # before the error, which is not buffered
    if status == ENDED:
        sys.exit(ENDED)
    if verdict.interrupted:
        raise KeyboardInterrupt
    if status in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise BadCall("no test ran: nothing matches what was named")
    if status == pytest.ExitCode.OK and verdict.asked and not verdict.passed:
        raise TestsFailed("no test passed: all were skipped")
    return status == pytest.ExitCode.OK
