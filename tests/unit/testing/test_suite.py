# SPDX-License-Identifier: GPL-2.0-only
"""How many processes run the tests that are named, how pytest is told of them; boot's machine."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.core import workspace
from harness.core.errors import BadCall
from harness.core.workspace import Selection
from harness.machine import keeper
from harness.machine.options import OWN, Options
from harness.testing import suite


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


def test_what_holds_the_booted_machine_sees_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or what an interrupted test had started would run on in it."""
    seen: list[str] = []

    @contextmanager
    def attached(*_: object) -> Iterator[object]:
        try:
            yield object()
        except KeyboardInterrupt:
            seen.append("interrupted")
            raise

    current = SimpleNamespace(fingerprint="current")
    monkeypatch.setattr(suite, "locked", lambda *_: nullcontext())
    monkeypatch.setattr(suite, "built", lambda selection: nullcontext(current))
    monkeypatch.setattr(suite, "equipment", lambda artefacts: None)
    monkeypatch.setattr(keeper, "ask", lambda directory: current)
    monkeypatch.setattr(suite, "attached", attached)
    with pytest.raises(KeyboardInterrupt), suite.booted_machine(Selection()):
        raise KeyboardInterrupt
    assert seen == ["interrupted"]


class Begun(Exception):
    """A run that a test lets come no further."""


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Options]:
    """What the machines of runs were asked to have."""
    seen: list[Options] = []

    def own_machines(_: Selection, at_once: int, options: Options) -> None:
        seen.append(options)
        raise Begun

    def booted_machine(_: Selection) -> None:
        raise Begun

    monkeypatch.setattr(suite, "own_machines", own_machines)
    monkeypatch.setattr(suite, "booted_machine", booted_machine)
    monkeypatch.setattr(workspace, "ROOT", tmp_path)
    return seen


def test_the_machines_have_what_was_asked_for(begun: list[Options]) -> None:
    for asked in (None, Options(cpus=4)):
        with pytest.raises(Begun):
            suite.guest([], asked)
    with pytest.raises(Begun):
        suite.guest([], Options(cpus=4), dump=True)
    assert begun == [OWN, Options(cpus=4), Options(cpus=4, stays=True)]


def test_the_machine_that_boot_left_is_as_it_is(begun: list[Options]) -> None:
    """Words for QEMU may still be in the environment."""
    with pytest.raises(BadCall, match="--here and --cpus 4 exclude each other"):
        suite.guest([], Options(cpus=4, qemu=("-s",)), here=True)
    with pytest.raises(Begun):
        suite.guest([], Options(qemu=("-s",)), here=True)
