# SPDX-License-Identifier: GPL-2.0-only
"""Which words have a machine started before they are understood, and who gets it."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.commands.cli import early_start
from harness.core import workspace
from harness.core.errors import LabError
from harness.core.workspace import ROOT, Selection
from harness.machine import plan, prestart


class Guess:
    """A plan that is the same machine as itself."""

    def is_same_machine(self, other: object) -> bool:
        return other is self


GUESS: Any = Guess()


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("shell", True),
        ("shell true", True),
        ("test -- tests/guest/test_x.py::test_y", True),
        ("test", False),
        ("test -- tests/guest", False),
        ("boot", False),
        ("build shell", False),
        ("", False),
    ],
)
def test_words_that_want_a_machine(line: str, wanted: bool) -> None:
    assert early_start.want_one(line.split()) == wanted


def test_the_others_import_nothing_for_it() -> None:
    code = "\n".join(
        (
            "import sys; from harness.commands.cli import early_start",
            "with early_start.of(['build']): print(len(sys.modules))",
        )
    )
    bare = "import sys; import contextlib, collections.abc; print(len(sys.modules))"
    counts = [
        int(subprocess.run([sys.executable, "-c", line], cwd=ROOT, capture_output=True).stdout)
        for line in (code, bare)
    ]
    assert counts[0] <= counts[1] + 4  # its packages and itself


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What was done with machines, in a lab that has a build."""
    done: list[str] = []

    @contextlib.contextmanager
    def start(_: object) -> Iterator[object]:
        done.append("started")
        yield object()
        done.append("ended")

    monkeypatch.setattr(workspace, "ROOT", tmp_path)
    monkeypatch.setattr(plan, "last", lambda _: GUESS)
    monkeypatch.setattr(prestart, "start", start)
    monkeypatch.setattr(prestart, "_begun", [])
    return done


def test_who_wants_that_machine_gets_the_one_that_was_begun(starts: list[str]) -> None:
    with early_start.of(["shell"]):
        assert starts == ["started"]
        with prestart.early(Selection.load()) as early, contextlib.ExitStack() as stack:
            assert early.take(stack, GUESS)
            assert starts == ["started"]
        assert starts == ["started", "ended"]
        with prestart.early(Selection.load()):
            assert starts == ["started", "ended", "started"]


def test_who_wants_another_one_gets_another_one(starts: list[str]) -> None:
    with early_start.of(["shell"]), prestart.early(replace(Selection.load(), bare=True)):
        assert starts == ["started", "started"]
    assert sorted(starts) == ["ended", "ended", "started", "started"]


def test_none_is_begun_beside_one_that_boot_left(starts: list[str], tmp_path: Path) -> None:
    (workspace.machine_dir() / "keeper.sock").touch()
    with early_start.of(["shell"]):
        assert starts == []


@pytest.mark.parametrize("error", [LabError("no tap"), FileNotFoundError("no QEMU")])
def test_one_that_cannot_be_started_is_none(
    starts: list[str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(prestart, "start", fail)
    with early_start.of(["shell"]), prestart.early(Selection.load()) as early:
        assert early.take(contextlib.ExitStack(), GUESS) is None
