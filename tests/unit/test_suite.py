# SPDX-License-Identifier: GPL-2.0-only
"""How many processes run the tests that are named."""

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
