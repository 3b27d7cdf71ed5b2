# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's own tests on one kernel, in a process of its own.

pytest runs once in a process, and both kernels' tests take half as long side by side.
"""

import contextlib
import json
import pickle
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.artefacts.selftests import Selftest
from harness.core.errors import LabError, TestsFailed
from harness.machine.build import Artefacts
from harness.testing.names import as_file_name
from harness.testing.selftests import FILE, Selftests
from harness.testing.suite import machines_of, run_tests


@dataclass(frozen=True)
class Job:
    """Tests that are to be run on a kernel.

    artefacts: with the options of the machine, whose share has the programs.
    new: names of the tests that the base lacks.
    folder: for the job, what came of it, and what each test printed.
    """

    artefacts: Artefacts
    tests: Sequence[Selftest]
    new: frozenset[str]
    folder: Path

    @property
    def words(self) -> list[str]:
        """Python's, for the process that does it, once it is put down."""
        # Not -m: this module would be __main__, of which the other process knows no class.
        call = f"import sys; from {__name__} import main; sys.exit(main(sys.argv[1]))"
        return ["-c", call, str(self._job)]

    @property
    def _job(self) -> Path:
        return self.folder / "job"

    @property
    def _record(self) -> Path:
        return self.folder / "came.json"

    def put_down(self) -> None:
        """Write it where its process finds it, into its folder, emptied."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._job.write_bytes(pickle.dumps(self))

    def came(self) -> dict[str, str]:
        """What came so far, by the names of tests and of their parts."""
        try:
            told: dict[str, str] = json.loads(self._record.read_text())
        except FileNotFoundError:
            return {}
        return told

    def printed(self, name: str) -> str:
        """What a test printed, by its name or a part's."""
        log = self.folder / f"{as_file_name(name.partition('/')[0])}.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def do(self) -> None:
        """Run the tests."""
        plugin = Selftests(self.tests, self.new, self._record, self.folder)
        bare = self.artefacts.selection.bare
        # The verdict is over both kernels, and not this one's.
        with machines_of(self.artefacts) as testbed, contextlib.suppress(TestsFailed):
            run_tests(testbed, [str(FILE), "-q"], plugin, bare=bare)


def main(job: str) -> int:
    """Do a job that was put down; the exit status."""
    told: Job = pickle.loads(Path(job).read_bytes())
    try:
        told.do()
    except LabError as error:
        print(error.render(), file=sys.stderr)
        return error.status
    return 0
