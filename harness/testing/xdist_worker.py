# SPDX-License-Identifier: GPL-2.0-only
"""A pytest plugin for the workers of pytest-xdist: tests that run side by side.

`Workers` is for the process that hands tests out; this module, which that names, for
each process that runs some: it has machines of its own. What a worker must know
comes pickled; what it gives back are reports, plain data.
"""

import ctypes
import pickle
import signal
from dataclasses import dataclass
from typing import Any

import pytest

from harness.core import progress
from harness.machine.build import Artefacts
from harness.machine.session import Machines, starter
from harness.testing import fixtures
from harness.testing.dut import Duts
from harness.testing.fixtures import Testbed
from harness.testing.verdict import Verdict, equipment

KEY = "lab"
PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True)
class Workers:
    """A pytest plugin: tests run in so many processes.

    fresh: see Duts.
    bare: see Verdict.
    """

    count: int
    artefacts: Artefacts
    fresh: bool
    bare: bool

    @property
    def options(self) -> list[str]:
        """Pytest's, and xdist's: a module's tests share machines, so they stay together."""
        imported = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"
        return ["-n", str(self.count), "--dist=loadfile", "-p", __name__, "-W", imported]

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker that is about to start."""
        node.workerinput[KEY] = pickle.dumps(self)


def pytest_configure(config: pytest.Config) -> None:
    """Bring what `./lab test` brings along where it runs tests itself."""
    told = getattr(config, "workerinput", {}).get(KEY)
    if told is None:
        return
    # execnet ends a worker whose other end is gone, but lets the test that runs go on.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    workers: Workers = pickle.loads(told)
    progress.use_stderr()  # stdout is the connection to the other process
    machines = Machines(starter(workers.artefacts.plan, crowded=True))
    config.add_cleanup(lambda: machines.__exit__())
    duts = Duts(machines, equipment(workers.artefacts), fresh=workers.fresh)
    config.pluginmanager.register(fixtures)
    config.pluginmanager.register(Verdict(Testbed(duts, workers.artefacts), bare=workers.bare))
