# SPDX-License-Identifier: GPL-2.0-only
"""KUnit's results: recorded ones, and what must not pass for a verdict."""

from pathlib import Path

import pytest

from harness.core.errors import LabError, TestsFailed
from harness.testing.kunit import judge, parse, promised

KTAP = Path(__file__).parent / "ktap"
PASSED = (KTAP / "passed.txt").read_text()
FAILED = (KTAP / "failed.txt").read_text()


def test_suites_and_cases_are_counted() -> None:
    suites = parse(PASSED)
    assert [(suite.name, suite.planned, len(suite.cases)) for suite in suites] == [
        ("igc", 7, 7),
        ("igc_zc", 6, 6),
    ]
    judge(suites, ["igc"])


def test_a_case_that_failed_says_why() -> None:
    with pytest.raises(TestsFailed) as told:
        judge(parse(PASSED + FAILED), ["igc", "stmmac"])
    assert "stmmac_xgmac: xdp_kunit_metadata failed" in told.value.message
    assert "Expected p->skb_same == true, but" in told.value.message
    assert "packet 1: fields 0x0, stored 0x1" in told.value.message
    assert "igc" not in told.value.message


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        ("KTAP version 1\n1..0\n", []),
        (PASSED, ["ice"]),
        (PASSED, ["ig"]),
        (PASSED.replace("    ok 3 xdp_kunit_subsets\n", ""), ["igc"]),
        (PASSED.replace("    1..7\n", "    1..0\n"), ["igc"]),
        (PASSED[: PASSED.index("ok 1 igc_zc")], ["igc_zc"]),
    ],
)
def test_what_did_not_run_is_no_verdict(text: str, wanted: list[str]) -> None:
    with pytest.raises(LabError) as told:
        judge(parse(text), wanted)
    assert told.value.status == 69


@pytest.mark.parametrize(
    "text",
    [
        PASSED.replace("    ok 3 xdp_kunit_subsets", "    not ok 3 xdp_kunit_subsets"),
        PASSED.replace("    ok 3 xdp_kunit_subsets", "    ok 3 xdp_kunit_subsets # SKIP no room"),
        PASSED.replace("\nok 1 igc\n", "\nnot ok 1 igc\n"),
    ],
)
def test_what_failed_or_was_skipped_is_a_failure(text: str) -> None:
    with pytest.raises(TestsFailed):
        judge(parse(text), ["igc"])


def test_parameters_belong_to_their_case() -> None:
    deeper = "        ok 1 first\n        not ok 2 second\n"
    (suite, _) = parse(PASSED.replace("    ok 3 ", deeper + "    not ok 3 "))
    assert [case.passed for case in suite.cases].count(False) == 1
    assert "not ok 2 second" in suite.cases[2].said


def test_an_option_promises_a_suite() -> None:
    assert promised(["KUNIT", "IGC", "IGC_KUNIT_TEST", "MLX4_EN_KUNIT_TEST"]) == ["igc", "mlx4_en"]
