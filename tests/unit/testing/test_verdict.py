# SPDX-License-Identifier: GPL-2.0-only
"""Whether a run that let nothing pass was asked to run anything."""

from typing import Any

import pytest

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
    verdict = Verdict(testbed)
    pytester.inline_run(*words, plugins=[verdict])
    assert (verdict.asked, verdict.passed) == (asked, passed)
