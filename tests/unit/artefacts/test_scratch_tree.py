# SPDX-License-Identifier: GPL-2.0-only
"""Trees that nobody edits: any commit of another tree, and a series without some of its patches."""

import shutil
from pathlib import Path

import pytest

from harness.artefacts.patches import Commit, commits
from harness.artefacts.scratch_tree import DoesNotApply, check_out, clone, compose, listed, without
from harness.artefacts.source import BASE_TAG
from harness.core.errors import BadCall
from harness.core.git import git

LINES = [f"line {number}\n" for number in range(1, 41)]


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A base, and four commits: lines 3, 20, 21 of the same file; then a line of a document."""
    tree = tmp_path / "origin"
    (tree / "Documentation").mkdir(parents=True)
    git(tree, "init", "--quiet", "--initial-branch=series")
    (tree / "Makefile").write_text("".join(LINES))
    (tree / "Documentation/list").write_text("one\n")
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message=base")
    git(tree, "tag", BASE_TAG)
    for line, text in ((3, "three"), (20, "twenty"), (21, "twenty-one")):
        lines = (tree / "Makefile").read_text().splitlines(keepends=True)
        lines[line - 1] = f"{text}\n"
        (tree / "Makefile").write_text("".join(lines))
        (tree / "Documentation/list").write_text(f"{line}\n")
        git(tree, "commit", "--quiet", "--all", f"--message={text}")
    return tree


@pytest.fixture
def tree(origin: Path, tmp_path: Path) -> Path:
    tree = tmp_path / "clone"
    clone(tree, origin)
    return tree


def head(tree: Path, name: str = "Makefile") -> str:
    return (tree / name).read_text()


def hashes(series: tuple[Commit, ...]) -> list[str]:
    return [commit.hash for commit in series]


def test_any_commit_of_the_origin_is_there_and_the_origin_is_only_read(
    origin: Path, tree: Path
) -> None:
    def state() -> dict[str, int]:
        return {str(path): path.lstat().st_mtime_ns for path in origin.rglob("*")}

    before = state()
    for commit in hashes(commits(origin)):
        check_out(tree, commit)
        assert git(tree, "rev-parse", "HEAD").strip() == commit
    assert state() == before


def test_a_commit_that_is_made_later_is_there_too(origin: Path, tree: Path) -> None:
    git(origin, "commit", "--quiet", "--allow-empty", "--message=later")
    clone(tree, origin)
    check_out(tree, git(origin, "rev-parse", "HEAD").strip())


def test_only_files_that_differ_are_touched(origin: Path, tree: Path) -> None:
    (origin / "other").write_text("other")
    git(origin, "add", "other")
    git(origin, "commit", "--quiet", "--message=other")
    check_out(tree, git(origin, "rev-parse", "HEAD").strip())
    written = (tree / "Makefile").stat().st_mtime_ns, (tree / "other").stat().st_mtime_ns
    check_out(tree, compose(tree, git(origin, "rev-parse", "HEAD").strip(), [], "same"))
    check_out(tree, without(tree, commits(origin), {1}))
    assert (tree / "Makefile").stat().st_mtime_ns != written[0]
    assert (tree / "other").stat().st_mtime_ns == written[1]


def test_what_a_kill_left_is_put_right(origin: Path, tree: Path) -> None:
    first, _, last = hashes(commits(origin))
    check_out(tree, first)
    (tree / ".git/index.lock").touch()
    (tree / "half").write_text("written by a checkout that was killed")
    (tree / "Makefile").write_text("half")
    clone(tree, origin)
    check_out(tree, last)
    assert not (tree / "half").exists()
    assert head(tree) == git(origin, "show", f"{last}:Makefile")


def test_a_clone_of_something_else_is_made_anew(origin: Path, tree: Path, tmp_path: Path) -> None:
    check_out(tree, git(origin, "rev-parse", "HEAD").strip())
    moved = tmp_path / "moved"
    shutil.copytree(origin, moved)
    shutil.rmtree(origin)
    clone(tree, moved)
    check_out(tree, git(moved, "rev-parse", "HEAD").strip())


def test_a_worktree_can_be_the_origin(origin: Path, tmp_path: Path) -> None:
    worktree = tmp_path / "worktree"
    git(origin, "worktree", "add", "--quiet", "--detach", str(worktree), BASE_TAG)
    clone(tmp_path / "of-worktree", worktree)
    check_out(tmp_path / "of-worktree", git(worktree, "rev-parse", "HEAD").strip())
    assert head(tmp_path / "of-worktree") == "".join(LINES)


def test_what_is_no_repository_is_a_bad_call(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(BadCall, match="is no git repository"):
        clone(tmp_path / "clone", tmp_path / "plain")


def test_without_a_patch_the_others_are_there_and_documents_are_left_out(
    origin: Path, tree: Path
) -> None:
    check_out(tree, without(tree, commits(origin), {1}))
    assert head(tree) == git(origin, "show", "HEAD:Makefile").replace("three", "line 3")
    assert head(tree, "Documentation/list") == "one\n"
    assert git(tree, "log", "-1", "--format=%s").strip() == "the series without 0001"


def test_a_patch_that_needs_another_is_named(origin: Path, tree: Path) -> None:
    with pytest.raises(DoesNotApply) as caught:
        without(tree, commits(origin), {2})
    assert (caught.value.name, caught.value.why) == ("0003", "Makefile, hunk #1 of 1 (line 18)")
    check_out(tree, without(tree, commits(origin), {2, 3}))
    assert head(tree) == "".join(LINES).replace("line 3\n", "three\n", 1)


def test_without_the_last_ones_it_is_the_commit_itself(origin: Path, tree: Path) -> None:
    series = commits(origin)
    made = without(tree, series, {3})
    assert git(tree, "diff", made, series[1].hash) == ""
    assert without(tree, series, ()) == series[-1].hash


def test_nothing_is_written_to_the_tree_that_others_look_at(origin: Path, tree: Path) -> None:
    check_out(tree, commits(origin)[-1].hash)
    status = git(tree, "status", "--porcelain")
    without(tree, commits(origin), {1})
    assert status == ""
    assert git(tree, "status", "--porcelain") == ""


def test_patches_in_a_row_are_told_by_their_ends() -> None:
    assert listed({3}) == "0003"
    assert listed({1, 2}) == "0001, 0002"
    assert listed({12, 1, 4, 5, 6, 7, 13, 43}) == "0001, 0004 to 0007, 0012, 0013, 0043"
