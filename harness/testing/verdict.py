# SPDX-License-Identifier: GPL-2.0-only
"""A pytest plugin: the verdict of a run of guest tests, and the machines that it gives them."""

import pytest

from harness.console.allowlist import AllowList
from harness.core.progress import say
from harness.core.workspace import ROOT
from harness.datapath.bpf import BpfError
from harness.datapath.topology import CaptureError
from harness.machine.build import Artefacts
from harness.testing.dut import Equipment
from harness.testing.fixtures import TESTBED, Testbed

OF_SERIES = "bpf_xdp_kv_set"  # a kfunc that the series brings
GUEST_TESTS = ROOT / "tests" / "guest"
ALLOWED_REPORTS = GUEST_TESTS / "console-allow.toml"


def equipment(artefacts: Artefacts) -> Equipment:
    """What the lab's own tests need beside a machine of these."""
    allow = AllowList.load(ALLOWED_REPORTS)
    return Equipment(artefacts.programs.objects, artefacts.kernel.symbols, allow)


def _is_own(item: pytest.Item) -> bool:
    return item.path.is_relative_to(GUEST_TESTS)


def needless_of_series(item: pytest.Item) -> bool:
    """Whether a test passes, or may do what it likes, on a kernel without the series."""
    return any(item.get_closest_marker(name) for name in ("unchanged", "measures"))


class Verdict:
    """A pytest plugin that gives the tests their machines and counts what came of them.

    bare: the machine's kernel lacks the series. Then each test must fail, by what it
    asserts or by a program that can't be loaded, but for those marked unchanged; those marked
    measures may, for they prove nothing.
    selects: the tests were not named: on a user's tree those are taken that it can pass.
    """

    def __init__(self, testbed: Testbed, *, bare: bool = False, selects: bool = False) -> None:
        self._testbed = testbed
        self._bare = bare
        self._selects = selects
        self.passed = 0
        self.asked = False
        self.interrupted = False

    def pytest_configure(self, config: pytest.Config) -> None:
        """Hand the machines to harness.fixtures."""
        config.stash[TESTBED] = self._testbed

    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Tests are to run: no --help, --markers, --collect-only or the like."""
        self.asked = not session.config.option.collectonly

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Take those that this kernel can pass; expect others to fail on a bare one, strictly."""
        self._select(config, items)
        for item in items:
            if self._bare and item.get_closest_marker("unchanged") is None:
                item.add_marker(
                    pytest.mark.xfail(
                        reason="not marked unchanged: must fail without the series",
                        raises=(AssertionError, BpfError, CaptureError),
                        strict=item.get_closest_marker("measures") is None,
                    )
                )

    def _select(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out the lab's tests of what a tree of the user's does not have, and say so."""
        if not self._selects or not self._testbed.artefacts.selection.tree:
            return
        kernel = self._testbed.artefacts.kernel
        left: list[pytest.Item] = []
        if not kernel.knows(OF_SERIES):
            left = [item for item in items if _is_own(item) and not needless_of_series(item)]
            kept = len(items) - len(left)
            say(f"tests     {kept} of {len(items)} need nothing of the series, which is not there")
        for item in items:
            marker = item.get_closest_marker("base")
            if marker and item not in left and kernel.release not in marker.args:
                left.append(item)
                say(f"tests     without {item.name}: it is of {' and '.join(marker.args)} alone")
        if left:
            items[:] = [item for item in items if item not in left]
            config.hook.pytest_deselected(items=left)

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
