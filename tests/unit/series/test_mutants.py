# SPDX-License-Identifier: GPL-2.0-only
"""Faults, proofs and bisection, over made-up judgements; no kernel is built."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.artefacts.patches import Commit, commits
from harness.artefacts.source import BASE_TAG
from harness.core.errors import BadCall, LabError, TestsFailed
from harness.core.git import git
from harness.core.workspace import SERIES_ROOT, Selection
from harness.native.compiled import ENCODING
from harness.series import bisect, mutants, per_patch
from harness.series.results import Case, Results
from harness.series.trial import Judgement, Outcome

PASSED = Judgement(Outcome.PASSED, ("a", "b"), kernel="k")


@dataclass
class FakeTrial:
    """Judges a commit by what its file `x` says; the series adds a line a commit."""

    tree: Path
    verdict: Callable[[str], Judgement]
    of_drivers: Callable[[str], Judgement] = lambda _: Judgement(Outcome.PASSED)
    of_encoding: Callable[[str], Judgement] | None = None
    judged: list[str] = field(default_factory=list)
    selection: Selection = field(default_factory=Selection)

    @property
    def origin(self) -> Path:
        return self.tree

    @property
    def commits(self) -> tuple[Commit, ...]:
        return commits(self.tree)

    def judge(
        self,
        commit: str,
        arguments: Sequence[str],
        log: Path,
        known: Mapping[str, Judgement] | None = None,
    ) -> Judgement:
        self.judged.append(commit)
        return self.verdict(git(self.tree, "show", f"{commit}:x"))

    def judge_encoding(self, commit: str, log: Path) -> Judgement:
        assert self.of_encoding
        return self.of_encoding(git(self.tree, "show", f"{commit}:x"))

    def judge_drivers(self, commit: str, log: Path) -> Judgement:
        return self.of_drivers(git(self.tree, "show", f"{commit}:x"))


@pytest.fixture
def tree(series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A base, and ten commits, of which number N appends the line N."""
    monkeypatch.setattr("harness.core.workspace.build_root", lambda: tmp_path / "build")
    (tmp_path / "build" / "6.12").mkdir(parents=True)
    return series


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("tree")
    git(tree, "init", "--quiet", "--initial-branch=series")
    text = "0\n"
    for number in range(11):
        text += f"{number}\n" if number else ""
        (tree / "x").write_text(text)
        git(tree, "add", "--all")
        git(tree, "commit", "--quiet", f"--message=patch {number}")
        if number == 0:
            git(tree, "tag", BASE_TAG)
    return tree


def last(text: str) -> int:
    return int(text.split()[-1])


def failed(*names: str, kernel: str = "other") -> Judgement:
    return Judgement(Outcome.FAILED, ("z",), dict.fromkeys(names, "why"), kernel=kernel)


def planted(directory: Path, number: int, text: str) -> None:
    """A fault that replaces the line of that number."""
    (directory / f"fault-{number}.patch").write_text(
        f"Breaks {number}.\n\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n"
        f"@@ -{number},3 +{number},3 @@\n {number - 1}\n-{number}\n+{text}\n {number + 1}\n"
    )


def results(trial: FakeTrial, left: bool = False) -> Results:
    return Results(trial, left)  # type: ignore[arg-type]


def by_kunit(text: str) -> Judgement:
    return failed("KUnit/drivers") if "in a driver" in text else Judgement(Outcome.PASSED)


def by_fault(text: str) -> Judgement:
    for word, judged in {
        "killed": failed("tests/guest/test_x.py::test_y", kernel=f"of {text}"),
        "survives": Judgement(Outcome.PASSED, kernel="other"),
        "unused": PASSED,
        "hangs": Judgement(Outcome.NOT_BOOTED, why="panic"),
        "typo": Judgement(Outcome.NOT_BUILT, why="no semicolon"),
    }.items():
        if word in text:
            return judged
    return PASSED


@pytest.mark.parametrize(
    ("fault", "told", "fine"),
    [
        ("killed", "killed by test_x.py::test_y: why", True),
        ("hangs", "killed: panic", True),
        ("survives", "SURVIVED", False),
        ("unused", "SURVIVED", False),
        ("in a driver", "killed by KUnit/drivers: why", True),
        ("typo", "does not build: no semicolon", False),
    ],
)
def test_what_becomes_of_a_fault(
    tree: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fault: str,
    told: str,
    fine: bool,
) -> None:
    planted(tmp_path, 5, fault)
    planted(tmp_path, 8, "killed")
    judging = results(FakeTrial(tree, by_fault, by_kunit))
    if fine:
        mutants._faults(judging, tmp_path, [])
    else:
        with pytest.raises(TestsFailed, match=r"not killed: fault-5$"):
            mutants._faults(judging, tmp_path, [])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("series    2 tests pass")
    assert lines[1].split("  ")[-1].startswith(told), lines
    assert ("           Breaks 5." in lines) == (not fine)
    assert f"{2 if fine else 1} of 2 killed" in lines[-1]


def test_a_fault_in_the_encoding_is_given_to_the_host_first(
    tree: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("harness.series.mutants.ENCODING", (Path("x"),))
    planted(tmp_path, 5, "seen on the host, killed")
    planted(tmp_path, 8, "killed")
    trial = FakeTrial(tree, by_fault, of_encoding=by_host)
    mutants._faults(results(trial), tmp_path, [])
    lines = capsys.readouterr().out.splitlines()
    assert "killed by host: why" in lines[1]
    assert "killed by test_x.py::test_y: why" in lines[2]
    assert len(trial.judged) == 2  # the series, and the fault that the host did not see


def by_host(text: str) -> Judgement:
    return failed("host") if "seen on the host" in text else Judgement(Outcome.PASSED)


def test_a_fault_beside_the_encoding_is_not_only_the_encodings(tmp_path: Path) -> None:
    both = tmp_path / "both.patch"
    both.write_text("".join(f"--- a/{name}\n+++ b/{name}\n" for name in (*ENCODING, "net/x.c")))
    assert not mutants.is_encodings(both)
    both.write_text(f"--- a/{ENCODING[1]}\n+++ b/{ENCODING[1]}\n")
    assert mutants.is_encodings(both)


def test_two_faults_are_not_one_kernel(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted(tmp_path, 5, "killed")
    planted(tmp_path, 8, "killed")
    trial = FakeTrial(tree, lambda text: failed("t") if "killed" in text else PASSED)
    with pytest.raises(TestsFailed, match=r"not killed: fault-8$"):
        mutants._faults(results(trial), tmp_path, [])
    assert "the same kernel as that of fault-5" in capsys.readouterr().out


def test_a_fault_that_has_lost_its_place_is_not_killed(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted(tmp_path, 5, "killed")
    path = tmp_path / "fault-5.patch"
    path.write_text(path.read_text().replace("-5\n", "-five\n"))
    with pytest.raises(TestsFailed, match="not killed: fault-5"):
        mutants._faults(results(FakeTrial(tree, by_fault)), tmp_path, [])
    assert "does not apply: fault-5.patch: x, hunk #1 of 1" in capsys.readouterr().out


def test_nothing_is_judged_over_a_series_that_fails(tree: Path, tmp_path: Path) -> None:
    planted(tmp_path, 5, "killed")
    trial = FakeTrial(tree, lambda _: failed("t"))
    with pytest.raises(TestsFailed, match="the series itself failed: t"):
        mutants._faults(results(trial), tmp_path, [])
    assert len(trial.judged) == 1


def test_a_series_that_failed_is_judged_again(tree: Path, tmp_path: Path) -> None:
    planted(tmp_path, 5, "killed")
    with pytest.raises(TestsFailed, match="the series itself failed"):
        mutants._faults(results(FakeTrial(tree, lambda _: failed("t"))), tmp_path, [])
    mended = FakeTrial(tree, by_fault)
    mutants._faults(results(mended, left=True), tmp_path, [])
    assert len(mended.judged) == 2


def test_only_what_is_named_and_a_name_that_is_not_there(tree: Path, tmp_path: Path) -> None:
    for number in (3, 5):
        planted(tmp_path, number, "killed")
    trial = FakeTrial(tree, by_fault)
    mutants._faults(results(trial), tmp_path, ["fault-5"])
    assert len(trial.judged) == 2
    with pytest.raises(BadCall, match="no fault 'fault-6'") as caught:
        mutants._faults(results(trial), tmp_path, ["fault-6"])
    assert caught.value.hint == "fault-3, fault-5"


def test_what_is_left_is_what_was_not_judged_of_the_same_source(tree: Path, tmp_path: Path) -> None:
    planted(tmp_path, 3, "killed")
    first = FakeTrial(tree, by_fault)
    mutants._faults(results(first), tmp_path, [])
    planted(tmp_path, 5, "killed")
    second = FakeTrial(tree, by_fault)
    mutants._faults(results(second, left=True), tmp_path, [])
    assert len(second.judged) == 1
    third = FakeTrial(tree, by_fault)
    mutants._faults(results(third), tmp_path, [])
    assert len(third.judged) == 3
    planted(tmp_path, 5, "killed, and how")
    fourth = FakeTrial(tree, by_fault)
    mutants._faults(results(fourth, left=True), tmp_path, [])
    assert len(fourth.judged) == 1


def test_a_judgement_comes_back_as_it_was_kept(tree: Path) -> None:
    judged = Judgement(Outcome.FAILED, ("a",), {"b": "why"}, "w", "k", 1.5)
    case = Case("name", lambda: "HEAD")
    assert results(FakeTrial(tree, lambda _: judged)).judge(case) == judged
    again = results(FakeTrial(tree, lambda _: PASSED), left=True).judge(case)
    assert again == judged


def test_which_tests_fall_with_a_patch(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`old` passes always, `t4` from 4 on; 7 breaks `gone`; the kernel knows 1 to 7, drivers 10."""

    def verdict(text: str) -> Judgement:
        numbers = [int(word) for word in text.split()]
        passing = ["old"]
        passing += ["t4"] if 4 in numbers else []
        passing += ["gone"] if 7 not in numbers else []
        kernel = str([number for number in numbers if number <= 7])
        missing = {"t4": "why"} if "t4" not in passing else {}
        outcome = Outcome.FAILED if missing else Outcome.PASSED
        return Judgement(outcome, tuple(passing), missing, kernel=kernel)

    def of_drivers(text: str) -> Judgement:
        return Judgement(Outcome.PASSED) if "10" in text.split() else failed("KUnit/drivers")

    trial = FakeTrial(tree, verdict, of_drivers)
    with pytest.raises(TestsFailed, match=r"no test needs 0003, 0007$"):
        per_patch.run(results(trial), ["3", "4", "7", "8", "10"])
    lines = capsys.readouterr().out.splitlines()
    assert "0 first pass with it, does not apply (0004: x, hunk #1 of 1" in lines[1]
    assert "1 first pass with it, does not apply" in lines[2]
    assert "1 LOST by it" in lines[3]
    assert "not in this kernel" in lines[4]
    assert "0 first pass with it, 1 without" in lines[5]


def passing(*numbers: int) -> Callable[[str], Judgement]:
    """The test passes in these commits, does not build in 100 + N."""

    def verdict(text: str) -> Judgement:
        number = last(text)
        if number + 100 in numbers:
            return Judgement(Outcome.NOT_BUILT)
        return PASSED if number in numbers else failed("t")

    return verdict


@pytest.fixture
def search(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    def run(words: Sequence[str], verdict: Callable[[str], Judgement]) -> str:
        bisect._Search(FakeTrial(tree, verdict), words).run(  # type: ignore[arg-type]
            git(tree, "rev-parse", BASE_TAG).strip(), git(tree, "rev-parse", "HEAD").strip()
        )
        return capsys.readouterr().out.splitlines()[-1]

    yield run


@pytest.mark.parametrize("first", range(1, 11))
def test_bisect_finds_the_patch_that_breaks_a_test(search: Callable[..., str], first: int) -> None:
    told = search(["-k", "t"], passing(*range(first)))
    assert told.startswith("bisect    -k t: fail from ")
    assert told.endswith(f" on: patch {first}")


def test_bisect_finds_the_patch_that_makes_a_test_pass(search: Callable[..., str]) -> None:
    assert search(["t"], passing(*range(6, 11))).endswith(" on: patch 6")


def test_bisect_goes_around_what_does_not_build(search: Callable[..., str]) -> None:
    assert search(["t"], passing(0, 1, 2, 3, 105, 106)).endswith(" on: patch 4")
    with pytest.raises(LabError, match="between 3 commits it can't be told"):
        search(["t"], passing(0, 1, 2, 3, 4, 105, 106))


@pytest.mark.parametrize(("numbers", "word"), [((), "fail"), (range(11), "pass")])
def test_bisect_needs_two_verdicts(
    search: Callable[..., str], numbers: Sequence[int], word: str
) -> None:
    with pytest.raises(BadCall, match=f"the tests {word} at both ends"):
        search(["t"], passing(*numbers))


@pytest.mark.parametrize(
    "words", [[], ["a", "--", "t"], ["a", "b", "c", "--", "t"], ["a", "b", "--"]]
)
def test_bisect_called_wrongly(words: list[str]) -> None:
    with pytest.raises(BadCall, match="bisect takes tests"):
        bisect.bisect(Selection(), words)
    with pytest.raises(BadCall, match="between which revisions"):
        bisect.bisect(Selection(tree="/x"), ["t"])


@pytest.mark.parametrize("path", sorted(SERIES_ROOT.glob("*/mutants/*")), ids=lambda p: p.name)
def test_each_fault_says_what_it_breaks(path: Path) -> None:
    assert path.suffix == ".patch"
    told = mutants.breaks(path)
    assert told.endswith(".") and len(told) > 25
    assert path.stem not in (mutants.LEFT, mutants.PATCHES)
    lines = path.read_text().splitlines()
    assert sum(line[:1] in "+-" and line[:3] not in ("+++", "---") for line in lines if line) <= 12
