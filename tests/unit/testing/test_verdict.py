# SPDX-License-Identifier: GPL-2.0-only
"""Whether a run that let nothing pass was asked to run anything."""

from types import SimpleNamespace
from typing import Any

import pytest

from harness.testing import verdict
from harness.testing.verdict import Verdict

TESTS = """
import pytest

def test_passes():
    pass

@pytest.mark.skip
def test_is_skipped():
    pass
"""


@pytest.mark.parametrize(
    ("words", "asked", "passed"),
    [
        (["-k", "passes"], True, 1),
        (["-k", "skipped"], True, 0),
        (["--collect-only"], False, 0),
        (["--markers"], False, 0),
    ],
)
def test_only_a_run_of_tests_has_to_have_passed_one(
    pytester: pytest.Pytester, words: list[str], asked: bool, passed: int
) -> None:
    pytester.makepyfile(TESTS)
    testbed: Any = None
    judge = Verdict(testbed)
    pytester.inline_run(*words, plugins=[judge])
    assert (judge.asked, judge.passed) == (asked, passed)


OF_THE_LAB = """
import pytest

def test_of_the_series():
    pass

@pytest.mark.unchanged
def test_of_any_kernel():
    pass

@pytest.mark.unchanged
@pytest.mark.base("6.12")
def test_of_this_kernel_alone():
    pass

@pytest.mark.measures
def test_that_measures():
    pass
"""
EVERY = {"of_the_series", "of_any_kernel", "of_this_kernel_alone", "that_measures"}


@pytest.mark.parametrize(
    ("tree", "release", "series", "selects", "wanted"),
    [
        (None, "6.12", True, True, EVERY),
        ("/tree", "6.12", True, True, EVERY),
        ("/tree", "6.12", False, True, EVERY - {"of_the_series"}),
        ("/tree", "7.3", False, True, {"of_any_kernel", "that_measures"}),
        ("/tree", "7.3", True, True, EVERY - {"of_this_kernel_alone"}),
        ("/tree", "7.3", False, False, EVERY),
    ],
)
def test_on_a_users_tree_those_are_taken_that_it_can_pass(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    tree: str | None,
    release: str,
    series: bool,
    selects: bool,
    wanted: set[str],
) -> None:
    monkeypatch.setattr(verdict, "GUEST_TESTS", pytester.path)
    pytester.makeini("[pytest]\nmarkers = unchanged\n measures\n base")
    pytester.makepyfile(OF_THE_LAB)
    kernel = SimpleNamespace(release=release, knows=lambda name: series)
    selection = SimpleNamespace(tree=tree)
    testbed: Any = SimpleNamespace(artefacts=SimpleNamespace(kernel=kernel, selection=selection))
    run = pytester.inline_run(plugins=[Verdict(testbed, selects=selects)])
    passed, _, _ = run.listoutcomes()
    assert {report.nodeid.partition("::test_")[2] for report in passed} == wanted


def test_a_users_own_tests_are_never_left_out(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict, "GUEST_TESTS", pytester.path / "elsewhere")
    pytester.makepyfile("def test_it(): pass")
    kernel = SimpleNamespace(release="7.3", knows=lambda name: False)
    selection = SimpleNamespace(tree="/tree")
    testbed: Any = SimpleNamespace(artefacts=SimpleNamespace(kernel=kernel, selection=selection))
    run = pytester.inline_run(plugins=[Verdict(testbed, selects=True)])
    run.assertoutcome(passed=1)
