# SPDX-License-Identifier: GPL-2.0-only
"""Runs of tests in processes of their own, for the verbs that have more than one."""

import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from harness.core.environment import LAB
from harness.core.run import start
from harness.core.workspace import ROOT

DEADLINE = 1800.0  # seconds for one run of the suite
END_SECONDS = 20.0  # a run that is told to end stops its VM first
QUICK = ("-m", "not slow")  # of the tests that are named
# pytest's last line, with or without its rulers.
SUMMARY = re.compile(r"^=* ?(\d+ (?:passed|failed|error)[^\n]*? in [\d.]+s)", re.MULTILINE)


class TestRun:
    """A run of tests that is under way.

    words: Python's, for the process that runs them. log: gets all that it prints.
    deadline: seconds.
    """

    __test__ = False  # not a test class, whatever pytest thinks of its name

    def __init__(self, words: Sequence[str], log: Path, deadline: float = DEADLINE) -> None:
        self.log = log
        self._deadline = deadline
        self._started = time.monotonic()
        with log.open("wb") as output:
            self._process = start(
                [sys.executable, *words],
                LAB,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C is for the verb, which then ends this
            )

    @property
    def seconds(self) -> float:
        """Since it started."""
        return time.monotonic() - self._started

    @property
    def passed(self) -> bool:
        """Whether it ended well."""
        return self._process.returncode == 0

    def ended(self) -> bool:
        """Whether there is a verdict. A run past its deadline is ended."""
        if self._process.poll() is None and self.seconds > self._deadline:
            self.end()
        return self._process.poll() is not None

    def end(self) -> None:
        """End it, whatever it is at."""
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def printed(self) -> str:
        """All that it printed."""
        return self.log.read_text(errors="replace").rstrip()

    @property
    def verdict(self) -> str:
        """One line: what pytest's last one says, or the lab's error."""
        return summary(self.printed)


class SuiteRun(TestRun):
    """`./lab test`.

    words: pytest's arguments.
    """

    def __init__(self, words: Sequence[str], log: Path) -> None:
        super().__init__(["-m", "harness", "test", "--", "-q", *words], log)


def summary(printed: str) -> str:
    """What pytest's last line says, or the lab's error."""
    if found := SUMMARY.findall(printed):
        return str(found[-1])
    errors = [line for line in printed.splitlines() if line.startswith("error: ")]
    return errors[-1] if errors else "no verdict"
