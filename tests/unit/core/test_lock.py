# SPDX-License-Identifier: GPL-2.0-only
"""Two commands at once: the second waits, and says for what."""

import contextlib
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.commands import lab, repeat, trace
from harness.core import lock, workspace
from harness.core.errors import LabError
from harness.core.lock import Busy, locked, unused, used
from harness.core.workspace import ROOT, Selection, build_root
from harness.machine import keeper
from harness.series import trial
from harness.testing import suite

# Says when it has it, and has it until its stdin ends.
OTHER = """
import sys
from pathlib import Path
from harness.core import lock
context = getattr(lock, sys.argv[1])(Path(sys.argv[2]), *sys.argv[3:])
with context:
    print("has it", flush=True)
    sys.stdin.read()
"""


class Other:
    """Another command, which takes a lock."""

    def __init__(self, kind: str, directory: Path, *does: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-c", OTHER, kind, str(directory), *does],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self) -> str:
        """Its next line; which it says at once, or it will not."""
        assert self._process.stdout
        assert select.select([self._process.stdout], [], [], 20)[0]
        return self._process.stdout.readline().strip()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lab of this test's own."""
    monkeypatch.setattr(workspace, "ROOT", tmp_path)


@contextlib.contextmanager
def other(kind: str, directory: Path, *does: str) -> Iterator[Other]:
    started = Other(kind, directory, *does)
    try:
        yield started
    finally:
        started.kill()


def is_locked(directory: Path) -> bool:
    with contextlib.suppress(Busy), locked(directory, wait=False):
        return False
    return True


def is_used(directory: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    with monkeypatch.context() as patch:
        patch.setattr(lock, "DEADLINE", 0.01)
        with contextlib.suppress(Busy), unused(directory):
            return False
    return True


def test_the_second_waits_and_says_for_what(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        with locked(tmp_path):
            second = stack.enter_context(other("locked", tmp_path, "does this"))
            assert second.says() == "waiting for another command that does this"
        assert second.says() == "has it"
        assert is_locked(tmp_path)
        with pytest.raises(Busy, match="another command does that"):
            stack.enter_context(locked(tmp_path, "does that", wait=False))


def test_one_that_is_killed_has_nothing(tmp_path: Path) -> None:
    with other("locked", tmp_path) as killed:
        assert killed.says() == "has it"
        killed.kill()
        assert not is_locked(tmp_path)


def test_many_use_what_is_built_and_one_that_removes_it_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.ExitStack() as stack:
        with used(tmp_path):
            user = stack.enter_context(other("used", tmp_path))
            assert user.says() == "has it"
            remover = stack.enter_context(other("unused", tmp_path))
            assert remover.says() == "waiting for another command that uses what is built"
        assert is_used(tmp_path, monkeypatch)
        user.kill()
        assert remover.says() == "has it"


def test_clean_waits_for_who_uses_what_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = build_root() / "6.12"
    kept.mkdir()
    monkeypatch.setattr(lock, "DEADLINE", 0.01)
    with used(build_root()), pytest.raises(Busy, match="uses what is built"):
        lab.clean(everything=True)
    assert kept.exists()


ARTEFACTS: Any = object()


class Reached(Exception):
    """What was to be looked at is looked at."""


def test_tests_in_the_vm_have_it_for_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(directory: Path) -> None:
        assert is_locked(directory)
        raise Reached

    monkeypatch.setattr(suite, "built", lambda _: contextlib.nullcontext(ARTEFACTS))
    monkeypatch.setattr(keeper, "ask", ask)
    with pytest.raises(Reached), suite.booted_machine(Selection()):
        pass
    assert not is_locked(workspace.machine_dir())


def test_boot_replaces_no_vm_in_which_tests_run(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = workspace.machine_dir()
    stopped: list[Path] = []
    monkeypatch.setattr(keeper, "stop", stopped.append)
    with locked(directory, keeper.TESTED):
        with pytest.raises(LabError, match="another command tests in the VM") as error:
            lab._replace(directory)
        assert "./lab down" in error.value.hint
        assert stopped == []
    lab._replace(directory)
    assert stopped == [directory]


def test_folders_of_results_are_filled_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[list[str]] = []

    def machines(*_: object) -> None:
        folders = [path.parent for path in build_root().glob("*/lock")]
        looked.append([folder.name for folder in folders if is_locked(folder)])
        raise Reached

    monkeypatch.setattr(suite, "own_machines", machines)
    monkeypatch.setattr(repeat, "build_selected", machines)
    with pytest.raises(Reached):
        suite.guest([], pcap=True)
    with pytest.raises(Reached):
        trace.trace(["function", "--", "test"])
    with pytest.raises(Reached):
        repeat.repeat(1, 1, 1)
    assert looked == [["pcap"], ["trace"], ["repeat"]]


def test_a_trial_makes_what_it_shares_under_the_build_lock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And not the rest, which takes hours."""
    done: list[str] = []

    def shared(name: str) -> Any:
        def do(*_: object) -> Path:
            assert is_locked(build_root())
            done.append(name)
            return tmp_path

        return do

    monkeypatch.setattr(trial, "source_tree", shared("tree"))
    monkeypatch.setattr(trial, "_committed", shared("commits"))
    monkeypatch.setattr(trial, "keys", shared("keys"))
    monkeypatch.setattr(trial, "clone", lambda *_: None)
    with trial.trial(Selection()) as place:
        assert done == ["tree", "commits", "keys"]
        assert not is_locked(build_root())
        assert is_locked(place.tree.parent)
        assert is_used(build_root(), monkeypatch)
    assert not is_used(build_root(), monkeypatch)
