# SPDX-License-Identifier: GPL-2.0-only
"""How many processes run the tests that are named, and how pytest is told of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness import suite


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "usable_processors", lambda: 2)


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ([], 2),
        (["-m", "slow"], 2),
        (["a", "-x"], 2),
        (["a/test_one.py", "a/test_two.py"], 2),
        (["a/test_one.py"], 0),
        (["a/test_one.py::test_it", "a/test_two.py"], 0),
        (["-k", "it"], 0),
        (["-n", "7"], 7),
        (["-n2", "a/test_one.py"], 2),
        (["--numprocesses=9"], 9),
        (["-n", "0"], 0),
    ],
)
def test_modules_run_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], count: int
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    for name in ("one", "two", "three"):
        (tmp_path / f"a/test_{name}.py").touch()
    assert suite.side_by_side(arguments) == count


@pytest.mark.parametrize("place", ["a[b]c", 'it\'s #1 ("50%" & $more;\\*?)'])
def test_pytest_takes_the_checkouts_tests_by_any_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    root = tmp_path / place
    (root / "tests").mkdir(parents=True)
    (root / "tests/test_one.py").write_text("def test_it(): pass\n")
    monkeypatch.setattr(suite, "ROOT", root)
    monkeypatch.chdir(root)
    for word in (f"{root}/tests", f"{root}/tests/test_one.py::test_it", "tests"):
        words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", suite._from_here(word)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert "1 passed" in done.stdout, done.stdout
