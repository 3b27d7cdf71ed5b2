# SPDX-License-Identifier: GPL-2.0-only
"""A pytest plugin: the verdict of a run of guest tests, and the machines that it gives them."""

import pytest

from harness.console.allowlist import AllowList
from harness.core.workspace import ROOT
from harness.datapath.bpf import BpfError
from harness.datapath.topology import CaptureError
from harness.machine.build import Artefacts
from harness.testing.dut import Equipment
from harness.testing.fixtures import TESTBED, Testbed

GUEST_TESTS = ROOT / "tests" / "guest"
ALLOWED_REPORTS = GUEST_TESTS / "console-allow.toml"


def equipment(artefacts: Artefacts) -> Equipment:
    """What the lab's own tests need beside a machine of these."""
    allow = AllowList.load(ALLOWED_REPORTS)
    return Equipment(artefacts.programs.objects, artefacts.kernel.symbols, allow)


class Verdict:
    """A pytest plugin that gives the tests their machines and counts what came of them.

    bare: the machine's kernel lacks the series. Then each test must fail, by what it
    asserts or by a program that can't be loaded, but for those marked unchanged; those marked
    measures may, for they prove nothing.
    """

    def __init__(self, testbed: Testbed, *, bare: bool = False) -> None:
        self._testbed = testbed
        self._bare = bare
        self.passed = 0
        self.asked = False
        self.interrupted = False

    def pytest_configure(self, config: pytest.Config) -> None:
        """Hand the machines to harness.fixtures."""
        config.stash[TESTBED] = self._testbed

    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Tests are to run: no --help, --markers, --collect-only or the like."""
        self.asked = not session.config.option.collectonly

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """On a bare kernel, expect what proves a patch to fail, and strictly so."""
        for item in items:
            if self._bare and item.get_closest_marker("unchanged") is None:
                item.add_marker(
                    pytest.mark.xfail(
                        reason="not marked unchanged: must fail without the series",
                        raises=(AssertionError, BpfError, CaptureError),
                        strict=item.get_closest_marker("measures") is None,
                    )
                )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count what came out as it should; a skipped test did not, nor one that may fail."""
        if report.when != "call":
            return
        if hasattr(report, "wasxfail"):
            self.passed += self._bare and not report.failed
        else:
            self.passed += report.passed

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Tell Ctrl-C from what only derives from it: pytest's collection error, xdist's -x."""
        self.interrupted = type(excinfo.value) is KeyboardInterrupt
