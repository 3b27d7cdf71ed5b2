# SPDX-License-Identifier: GPL-2.0-only
"""Steps are skipped only when nothing changed, and are complete or absent."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.artefact import fingerprint, is_current, make, opened
from harness.core.workspace import ROOT

HOLD = """
import sys
from pathlib import Path
from harness.core.artefact import opened
with opened(Path(sys.argv[1])):
    print("opened", flush=True)
    sys.stdin.read()
"""


def test_where_one_input_ends_matters() -> None:
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint("a", "b") != fingerprint("b", "a")
    assert fingerprint("ab", b"c") == fingerprint(b"ab", "c")


def test_a_file_counts_with_name_and_content(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("x")
    two.write_text("x")
    before = fingerprint(one)
    assert before != fingerprint(two)
    one.write_text("y")
    assert fingerprint(one) != before


def test_a_folder_counts_with_all_below_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/file").write_text("x")
    before = fingerprint(tmp_path)
    (tmp_path / "sub/file").rename(tmp_path / "sub/other")
    assert fingerprint(tmp_path) != before


def test_made_once_for_the_same_inputs(tmp_path: Path) -> None:
    target = tmp_path / "step"
    assert make(target, "one", lambda path: (path / "result").touch())
    assert not make(target, "one", lambda path: pytest.fail("made twice"))
    assert make(target, "two", lambda path: (path / "other").touch())
    assert [path.name for path in sorted(target.iterdir())] == [".fingerprint", "other"]
    assert [path.name for path in tmp_path.iterdir()] == ["step"]


def test_a_step_that_fails_leaves_the_old_result(tmp_path: Path) -> None:
    target = tmp_path / "step"
    make(target, "one", lambda path: (path / "result").touch())

    def fail(path: Path) -> None:
        (path / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(target, "two", fail)
    assert is_current(target, "one")
    assert (target / "result").exists()
    assert not (target / "half").exists()
    make(target, "two", lambda path: (path / "whole").touch())
    assert not (target / "half").exists()


def test_what_lost_a_file_is_made_anew(tmp_path: Path) -> None:
    target = tmp_path / "tools"
    assert make(target, "one", lambda path: (path / "bpftool").touch())
    assert is_current(target, "one")
    (target / "bpftool").unlink()
    assert make(target, "one", lambda path: (path / "bpftool").touch())
    assert (target / "bpftool").exists()


def test_a_folder_that_is_in_use_stays_as_it_is_until_then(tmp_path: Path) -> None:
    target = tmp_path / "step"
    make(target, "one", lambda path: (path / "first").touch())
    with opened(target) as descriptor:
        there = Path(f"/proc/self/fd/{descriptor}")
        for wanted in ("two", "three"):
            make(target, wanted, lambda path: (path / "other").touch())
            assert sorted(path.name for path in there.iterdir()) == [".fingerprint", "first"]
            assert (target / "other").exists()
    make(target, "four", lambda path: (path / "other").touch())
    assert [path.name for path in tmp_path.iterdir()] == ["step"]


def test_what_a_kill_left_of_it_goes_with_the_next(tmp_path: Path) -> None:
    target = tmp_path / "step"
    make(target, "one", lambda path: (path / "first").touch())
    with opened(target):
        make(target, "two", lambda path: None)
        assert len(list(tmp_path.iterdir())) == 2
        child = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(target)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert child.stdout and child.stdout.readline() == b"opened\n"
    make(target, "three", lambda path: None)
    child.kill()
    child.communicate()
    assert len(list(tmp_path.iterdir())) == 2
    make(target, "four", lambda path: None)
    assert [path.name for path in tmp_path.iterdir()] == ["step"]


def test_a_folder_that_can_not_be_renamed_is_replaced_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a container image's layer, that is."""
    target = tmp_path / "step"
    rename = Path.rename

    def refuse(path: Path, to: Path) -> Path:
        if path == target:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return rename(path, to)

    make(target, "one", lambda path: (path / "first").touch())
    monkeypatch.setattr(Path, "rename", refuse)
    assert make(target, "two", lambda path: (path / "other").touch())
    assert [path.name for path in sorted(target.iterdir())] == [".fingerprint", "other"]


def test_a_file_of_the_host_that_changes_while_it_is_read_counts_as_another(tmp_path: Path) -> None:
    target, library = tmp_path / "image", tmp_path / "libc.so"
    library.write_text("old")
    made = []

    def fill(path: Path) -> list[Path]:
        made.append(library.read_text())
        begun = path.stat().st_ctime_ns
        while made == ["old"] and library.stat().st_ctime_ns <= begun:
            library.write_text("new")
        return [library, tmp_path / "gone.so"]

    for _ in range(3):
        make(target, "one", fill)
    assert made == ["old", "new"]


@pytest.mark.parametrize("killed", [False, True])
def test_one_of_another_layer_is_replaced_also_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    """overlayfs renames no folder of a lower layer: rename(2) gives EXDEV."""
    target = tmp_path / "tools"
    make(target, "one", lambda path: (path / "old").touch())
    rename = Path.rename

    def as_overlayfs(self: Path, to: Path) -> Path:
        if self == target:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        if killed:
            raise KeyboardInterrupt
        return rename(self, to)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "rename", as_overlayfs)
        if killed:
            with pytest.raises(KeyboardInterrupt):
                make(target, "two", lambda path: (path / "new").touch())
            assert not is_current(target, "one")
        else:
            make(target, "two", lambda path: (path / "new").touch())
    make(target, "two", lambda path: (path / "new").touch())
    assert sorted(path.name for path in target.iterdir()) == [".fingerprint", "new"]
