# SPDX-License-Identifier: GPL-2.0-only
"""The verdict over the kernel's own tests on two kernels."""

import contextlib
import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch
from xml.etree import ElementTree

import pytest

from harness.artefacts.selftests import TESTS, Selftest
from harness.commands import selftests
from harness.commands.selftests import Kernels, _junit, _result, _tell
from harness.core.errors import BadCall, LabError, TestsFailed
from harness.core.workspace import Lane, Selection
from harness.testing import report
from harness.testing.selftests_process import Job


def kernels(bare: dict[str, str], patched: dict[str, str], *new: str) -> Kernels:
    return Kernels(frozenset(new), bare, patched)


def test_what_passed_before_must_pass() -> None:
    came = {"a": "OK", "a/1": "OK", "b": "FAIL", "c": "SKIP"}
    assert kernels(came, came).bad == []
    assert kernels(came, {**came, "a/1": "FAIL"}).bad == ["a/1"]
    assert kernels(came, {**came, "a": "SKIP"}).bad == ["a"]
    assert kernels(came, {**came, "b": "OK", "c": "OK"}).bad == []


def test_what_did_not_come_to_an_end_is_not_good() -> None:
    assert kernels({"a": "OK", "a/1": "OK"}, {"a": "OK"}).bad == ["a/1"]
    assert kernels({"a": "OK"}, {}).bad == ["a"]
    # Nor is it as good as what failed.
    assert kernels({"a": "FAIL", "a/1": "FAIL"}, {"a": "FAIL"}).bad == ["a/1"]
    assert kernels({}, {"mine": "OK"}, "mine").bad == ["mine"]


def test_a_new_test_must_pass_with_the_series() -> None:
    before = {"mine": "FAIL"}
    assert kernels(before, {"mine": "OK", "mine/1": "OK"}, "mine").bad == []
    for word in ("FAIL", "SKIP"):
        assert kernels(before, {"mine": word, "mine/1": word}, "mine").bad == ["mine"]
    assert kernels(before, {}, "mine").bad == ["mine"]


def test_a_new_test_that_passes_without_the_series_proves_nothing() -> None:
    assert kernels({"mine": "OK"}, {"mine": "OK"}, "mine").bad == ["mine"]


def test_a_kernel_that_breaks_is_not_hidden_by_a_test_that_failed() -> None:
    before = {"a": "FAIL", "b": "SKIP"}
    assert kernels(before, {"a": "BROKE", "b": "SKIP"}).bad == ["a"]
    assert kernels(before, {"a": "FAIL", "b": "FAIL"}).bad == ["b"]
    assert kernels({"mine": "BROKE"}, {"mine": "OK"}, "mine").bad == ["mine"]


def jobs(folder: Path, tests: list[Selftest], **printed: str) -> list[Job]:
    made = [Job(Mock(), tests, frozenset(), folder / kernel) for kernel in ("bare", "patched")]
    for job in made:
        job.folder.mkdir()
    for name, text in printed.items():
        (made[1].folder / f"{name}.log").write_text(text)
    return made


TESTS_RUN = [Selftest(name, TESTS / f"{name}.c") for name in ("a", "b", "mine")]
CAME = kernels(
    {"a": "OK", "a/1": "OK", "a/2": "OK", "b": "SKIP", "mine": "FAIL"},
    {"a": "FAIL", "a/1": "OK", "a/2": "FAIL", "b": "SKIP", "mine": "OK", "mine/1": "OK"},
    "mine",
)


def test_what_differs_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TestsFailed, match="a, a/2"):
        _tell(TESTS_RUN, CAME, jobs(tmp_path, TESTS_RUN))
    assert capsys.readouterr().out.splitlines() == [
        f"bare      1 OK, 1 SKIP, 1 FAIL; what they printed: {tmp_path}/bare",
        f"patched   1 OK, 1 SKIP, 1 FAIL; what they printed: {tmp_path}/patched",
        "differs   a: OK without the series, FAIL with it",
        "differs   a/2: OK without the series, FAIL with it",
        "alike     b: SKIP on both",
        "new       mine: FAIL without the series, OK with it, 1 parts",
    ]


def test_nothing_that_passes_is_no_verdict(tmp_path: Path) -> None:
    tests = TESTS_RUN[:1]
    with pytest.raises(TestsFailed, match="no test passed"):
        _tell(tests, kernels({"a": "BROKE"}, {"a": "BROKE"}), jobs(tmp_path, tests))


def test_a_part_that_passes_is_no_test_that_does(tmp_path: Path) -> None:
    tests, came = TESTS_RUN[:1], {"a/1": "OK", "a": "FAIL"}
    with pytest.raises(TestsFailed, match="no test passed"):
        _tell(tests, kernels(came, came), jobs(tmp_path, tests))


@pytest.mark.parametrize("word", ["SKIP", "FAIL", "BROKE"])
def test_what_is_no_better_on_both_is_no_pass_in_a_report(tmp_path: Path, word: str) -> None:
    (_, patched), came = jobs(tmp_path, TESTS_RUN), {"a": word, "b": "OK"}
    outcomes = [_result(name, kernels(came, came), patched).outcome for name in came]
    assert outcomes == ["skipped", "passed"]


def test_a_report_has_the_verdicts(tmp_path: Path) -> None:
    _, patched = jobs(tmp_path, TESTS_RUN, a="value 1 is not 2\x1b[0m\n")
    written = report.Report({"kernel": "6.12"})
    written.results = {name: _result(name, CAME, patched) for name in CAME.names}
    _junit(written, tmp_path / "junit.xml")
    (suite,) = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert [suite.get(name) for name in ("tests", "failures", "skipped")] == ["5", "2", "1"]
    failures = {case.get("name"): case.find("failure") for case in suite.findall("testcase")}
    assert {name for name, failure in failures.items() if failure is not None} == {"a", "a/2"}
    failure = failures["a/2"]
    assert failure is not None and failure.text == "value 1 is not 2[0m\n"
    assert failure.get("message") == "OK without the series, FAIL with it"
    assert "value 1 is not 2" in written.html()


def test_a_test_that_did_not_run_is_an_error(tmp_path: Path) -> None:
    bare, patched = jobs(tmp_path, TESTS_RUN)
    for job, came in ((bare, CAME.bare), (patched, {"a": "OK", "b": "OK"})):
        object.__setattr__(job, "folder", job.folder / "job")
        script = f"import json; json.dump({dict(came)!r}, open('{job.folder}/came.json', 'w'))"
        run = patch.object(Job, "words", ["-c", script])
        with run, patch.object(Job, "put_down", lambda self: self.folder.mkdir()):
            if job is bare:
                selftests._side_by_side([bare])
            else:
                with pytest.raises(LabError, match="1 tests did not run on the job kernel"):
                    selftests._side_by_side([patched])


def test_a_process_that_ends_in_vain_says_why(tmp_path: Path) -> None:
    (job, _) = jobs(tmp_path, TESTS_RUN)
    words = patch.object(Job, "words", ["-c", "import sys; sys.exit('no guest came up')"])
    not_put = patch.object(Job, "put_down", lambda self: None)
    with words, not_put, pytest.raises(LabError, match="3 tests did not run") as raised:
        selftests._side_by_side([job])
    assert "no guest came up" in raised.value.message


def test_a_process_that_ends_in_vain_is_an_error_though_all_tests_ran(tmp_path: Path) -> None:
    (job, _) = jobs(tmp_path, TESTS_RUN)
    (job.folder / "came.json").write_text(json.dumps(dict(CAME.bare)))
    words = patch.object(Job, "words", ["-c", "import sys; sys.exit('the guest did not end')"])
    not_put = patch.object(Job, "put_down", lambda self: None)
    with words, not_put, pytest.raises(LabError, match="the guest did not end"):
        selftests._side_by_side([job])


def test_with_one_in_vain_the_other_kernels_tests_are_not_waited_for(tmp_path: Path) -> None:
    runs = [Mock(passed=False, printed="", log=None) for _ in ("bare", "patched")]
    runs[0].ended.side_effect = [False, AssertionError("waited for")]
    put_down = patch.object(Job, "put_down", lambda self: None)
    started = patch.object(selftests, "TestRun", side_effect=runs)
    ended = pytest.raises(LabError, match="on the patched kernel")
    with put_down, started, patch.object(selftests, "POLL", 0), ended:
        selftests._side_by_side(jobs(tmp_path, TESTS_RUN))
    assert all(run.end.called for run in runs)


def test_a_job_finds_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    no_machine: Any = None
    job = Job(no_machine, TESTS_RUN, frozenset({"mine"}), tmp_path / "patched")
    job.folder.mkdir()
    (job.folder / "came.json").write_text('{"a": "OK"}')
    (job.folder / "a.log").write_text("of another kernel")
    job.put_down()
    assert (job.came(), job.printed("a")) == ({}, "")
    assert pickle.loads(Path(job.words[-1]).read_bytes()) == job


class Lab:
    """The lab, its two kernels with a tree each, and what came of the tests on each of them."""

    def __init__(self, folder: Path, bare: dict[str, str], patched: dict[str, str]) -> None:
        self.root = folder
        self.selections: list[Selection] = []
        self._came = {True: bare, False: patched}

    def tree(self, selection: Selection) -> Path:
        return self.root / ("bare" if selection.bare else "patched")

    def tests(self, tree: Path) -> list[Selftest]:
        """What a tree has: only the patched one has "mine"."""
        there = TESTS_RUN if tree.name == "patched" else TESTS_RUN[:-1]
        return [test for test in there if test.name != "b"]

    def build(self, selection: Selection) -> Mock:
        self.selections.append(selection)
        made = Mock(selection=selection, kernel=Mock(tree=self.tree(selection)))
        made.with_options.return_value = made
        return made

    def run(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            job.folder.mkdir(parents=True)
            came = self._came[job.artefacts.selection.bare]
            (job.folder / "came.json").write_text(json.dumps(came))


def run(lab: Lab, monkeypatch: pytest.MonkeyPatch, **reports: str) -> None:
    monkeypatch.delenv(report.SUMMARY, raising=False)
    for name, stand_in in (
        ("harness.core.workspace.Selection.load", lambda: Selection()),
        ("harness.artefacts.tree.source_tree", lab.tree),
        ("harness.artefacts.selftests.all_of", lab.tests),
        ("harness.commands.selftests.build_root", lambda: lab.root),
        ("harness.commands.selftests.require", lambda selection: None),
        ("harness.commands.selftests.build", lab.build),
        ("harness.commands.selftests.held", contextlib.nullcontext),
        ("harness.commands.selftests._programs", lambda artefacts, tests: lab.root),
        ("harness.commands.selftests.provenance", lambda selection: {}),
        ("harness.commands.selftests._side_by_side", lab.run),
    ):
        monkeypatch.setattr(name, stand_in)
    selftests.run(["a", "mine"], **reports)


def test_what_the_bare_tree_lacks_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = Lab(tmp_path, {"a": "FAIL", "mine": "FAIL"}, {"a": "OK", "mine": "OK"})
    run(lab, monkeypatch)
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "differs   a: FAIL without the series, OK with it",
        "new       mine: FAIL without the series, OK with it",
    ]
    assert {selection.bare for selection in lab.selections} == {False, True}
    assert {selection.lane for selection in lab.selections} == {Lane.SELFTESTS}


def test_a_red_verdict_comes_with_its_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab(tmp_path, {"a": "OK", "mine": "OK"}, {"a": "FAIL", "mine": "OK"})
    reports = {"junit": tmp_path / "junit.xml", "html": tmp_path / "page.html"}
    with pytest.raises(TestsFailed, match="a, mine"):
        run(lab, monkeypatch, **{name: str(path) for name, path in reports.items()})
    assert reports["junit"].read_text().count("<failure") == 2
    assert "OK without the series, FAIL with it" in reports["html"].read_text()


def test_the_default_is_what_a_kernel_has(capsys: pytest.CaptureFixture[str]) -> None:
    linux = [Selftest("xdp_info", TESTS / "x.c"), Selftest("tc_opts", TESTS / "t.c")]
    with patch("harness.artefacts.selftests.all_of", lambda _: linux):
        assert selftests._chosen(Path(), []) == linux
        assert "without gro.sh, skb_kv, udpgro*.sh, veth.sh" in capsys.readouterr().out
        with pytest.raises(BadCall, match="skb_kv"):
            selftests._chosen(Path(), ["xdp", "skb_kv"])
