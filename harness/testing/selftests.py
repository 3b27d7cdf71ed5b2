# SPDX-License-Identifier: GPL-2.0-only
"""A pytest plugin: the kernel's own tests as tests of the lab, and what came of each part.

tests/selftests has the test that runs one of them in the guest.
"""

import json
import re
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from harness.artefacts.selftests import FOLDER, RUNNER, Selftest
from harness.core import files
from harness.core.workspace import ROOT
from harness.machine.options import SHARED
from harness.testing.names import as_file_name

FILE = ROOT / "tests" / "selftests" / "test_of_the_kernel.py"
COPY = "/tmp/selftests"  # in the guest: scripts write beside themselves, and the share is read-only
OK, SKIP, FAIL = "OK", "SKIP", "FAIL"  # the words of test_progs
BROKE = "BROKE"  # the kernel complained or died, or the test did not end, or could not be run
WORDS = (OK, SKIP, FAIL, BROKE)  # from the best to the worst
KSFT_SKIP = 4  # the status of a script that was skipped, kselftest.h
NOT_RUN = (126, 127)  # a shell's, of what can't be executed
# test_progs.c's print_test_result() and print_subtest_name(): a test, or one of its parts.
SAID = re.compile(
    r"^#\d+(?:/\d+)?\s+(\S.*):(OK|FAIL|SKIP)(?: \(SKIP: \d+/\d+\))?\s*$", re.MULTILINE
)


def command(test: Selftest, *, emulated: bool) -> str:
    """The shell's line that runs it in the guest.

    emulated: then net/ is told that the machine is slow, by its own variable.
    """
    slow = "export KSFT_MACHINE_SLOW=yes; " if emulated else ""
    copied = f"{{ [ -d {COPY} ] || {{ cp -r {SHARED} {COPY}.new && mv {COPY}.new {COPY}; }}; }}"
    called = f"{RUNNER} -a {test.name}" if test.of_runner else shlex.quote(test.name)
    place = f"{COPY}/{test.source.relative_to(FOLDER).parts[0]}"
    run = f"cd {place} && LD_LIBRARY_PATH={COPY}/lib ./{called} 2>&1"
    return f"{slow}{copied} || exit {NOT_RUN[0]}; {run}"


def outcomes(test: Selftest, status: int, output: str) -> dict[str, str]:
    """What came of it, and of its parts by their names, NAME/PART."""
    if status in NOT_RUN:
        return {test.name: BROKE}
    if not test.of_runner:
        return {test.name: {0: OK, KSFT_SKIP: SKIP}.get(status, FAIL)}
    said: dict[str, str] = dict(SAID.findall(output))
    if status != 0 or test.name not in said:  # it crashed, or has no such test
        said[test.name] = FAIL
    return said


class Selftests:
    """Which of the kernel's tests are run, and what came of them so far.

    new: names of those that the base lacks: without the series they must fail.
    record: the file that gets it after each test, as JSON.
    said: a folder, for what each test prints.
    """

    def __init__(
        self, tests: Sequence[Selftest], new: Collection[str], record: Path, said: Path
    ) -> None:
        self.came: dict[str, str] = {}
        self._tests = tests
        self._new = new
        self._record = record
        self._said = said

    def log(self, test: Selftest) -> Path:
        """The file for what a test prints."""
        return self._said / f"{as_file_name(test.name)}.log"

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make a test of each."""
        if "selftest" in metafunc.fixturenames:
            of_base = pytest.mark.unchanged
            each = [
                pytest.param(test, marks=() if test.name in self._new else of_base, id=test.name)
                for test in self._tests
            ]
            metafunc.parametrize("selftest", each)

    @pytest.fixture(name="selftests")
    def _selftests(self) -> "Selftests":
        """This, for the test to add to."""
        return self

    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        """Tell the lab's findings from a test's own: what it asserts, or that it was skipped."""
        test = item.callspec.params["selftest"]  # type: ignore[attr-defined]
        own = (AssertionError, pytest.skip.Exception)
        if call.excinfo is not None and not call.excinfo.errisinstance(own):
            self.came[test.name] = BROKE
            with self.log(test).open("a") as printed:
                print(f"\n{call.excinfo.exconly()}", file=printed)
        files.replace(self._record, json.dumps(self.came))
