# SPDX-License-Identifier: GPL-2.0-only
"""`./lab watch`: after each saved change, what depends on it is built and tested.

Building and testing are `./lab build` and `./lab test` in processes of their own:
what they skip, and when a result counts as current, is decided there alone.
A change that is saved while tests run ends that run and begins the next one.
"""

import datetime
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import watchfiles

from harness.commands.suite_process import QUICK, SuiteRun
from harness.core import host
from harness.core.environment import LAB
from harness.core.errors import LabError
from harness.core.progress import say
from harness.core.run import CommandFailed, run
from harness.core.workspace import ROOT, Base, Layout, Selection
from harness.testing.suite import named
from harness.testing.verdict import GUEST_TESTS

BUILD_DEADLINE = 3600.0
POLL_MS = 200

PROGRAMS = ROOT / "bpf-progs"
INCLUDE = re.compile(r'^#include "(.+)"$', re.MULTILINE)


def watch(arguments: Sequence[str]) -> None:
    """Test now, and again after each change, until Ctrl-C.

    arguments: pytest's, for each run. Files that they name are watched, and only these run.
    """
    selection = Selection.load()
    host.require(Base.load(selection.base).tools)
    places = [*_places(selection), *named(arguments)]
    events = watchfiles.watch(
        *places,
        watch_filter=watchfiles.DefaultFilter(),
        debounce=400,
        step=50,
        rust_timeout=POLL_MS,
        yield_on_timeout=True,
        raise_interrupt=True,
    )
    say(f"watch     {', '.join(map(_shown, places))}; Ctrl-C ends")
    with tempfile.TemporaryDirectory(prefix="lab-watch-") as directory:  # others watch, too
        log = Path(directory, "log")
        current = _begin(set(), arguments, events, log)
        try:
            for changes in events:
                if changes:
                    changed = {Path(name) for _, name in changes}
                    current = _begin(changed | current.end(), arguments, events, log)
                elif current.run and current.run.ended():
                    current.report(current.run)
                    current = _Round(set())
        finally:
            current.end()


def _places(selection: Selection) -> list[Path]:
    series = Base.load(selection.base).series_dir
    tree = Path(selection.tree) if selection.tree else Layout.of(selection).linux
    if not tree.is_dir():
        raise LabError("nothing has been built yet", hint="./lab build watch")
    return [tree, series, PROGRAMS, GUEST_TESTS, ROOT / "images"]


@dataclass
class _Round:
    """The changes that have no verdict yet, and the run that will give one."""

    changed: set[Path]
    run: SuiteRun | None = None

    def end(self) -> set[Path]:
        """End the run, if there is one; returns the changes."""
        if self.run:
            self.run.end()
        return self.changed

    def report(self, run: SuiteRun) -> None:
        """One line; if it failed, all that it printed before."""
        if not run.passed:
            say(run.printed)
        _line(self.changed, run.verdict, run.seconds)


def _begin(
    changed: set[Path], arguments: Sequence[str], events: Iterator[object], log: Path
) -> _Round:
    """Build, and start the tests; no run if the build failed, which is said.

    What the build itself writes, patches applied to the tree, is not a change;
    what the user saves meanwhile is found by the build that the tests begin with.
    """
    started = time.monotonic()
    try:
        run([sys.executable, "-m", "harness", "build"], LAB, cwd=ROOT, deadline=BUILD_DEADLINE)
    except CommandFailed as error:
        say(error.output.rstrip())
        _line(changed, "not built", time.monotonic() - started)
        return _Round(changed)
    while next(events):
        pass
    tests = in_order(changed, GUEST_TESTS, PROGRAMS)
    words = arguments if named(arguments) else [*QUICK, *arguments, *map(str, tests)]
    return _Round(changed, SuiteRun(words, log))


def in_order(changed: Iterable[Path], tests: Path, programs: Path) -> list[Path]:
    """All files of tests; first those that changed, then those that name what changed.

    What changed is called by its stem: veth.c by veth, store_hints.bpf.c, and each
    program that includes a changed header, by the program's name.
    """
    changed = set(changed)
    names = {path.name.partition(".")[0] for path in changed | _including(changed, programs)}
    word = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(names)))})\b" if names else r"(?!)")
    files = sorted(tests.glob("test_*.py"))
    concern = {path: (path not in changed, not word.search(path.read_text())) for path in files}
    return sorted(files, key=concern.__getitem__)


def _including(changed: set[Path], programs: Path) -> set[Path]:
    """The sources that include one of the changed files, also by way of others."""
    includes = {path: set(INCLUDE.findall(path.read_text())) for path in programs.glob("*.[ch]")}
    found: set[Path] = set()
    headers = {path.name for path in changed if path.parent == programs}
    while new := {path for path, names in includes.items() if names & headers} - found:
        found |= new
        headers = {path.name for path in new}
    return found


def _line(changed: set[Path], verdict: str, seconds: float) -> None:
    now = datetime.datetime.now().strftime("%H:%M:%S")
    names = sorted(path.name for path in changed)
    what = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    say(f"{now}  {what or 'as it is'}: {verdict} ({seconds:.1f} s in all)")


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
