# SPDX-License-Identifier: GPL-2.0-only
"""Repositories as kernels are had: partial, shallow, of SHA-256, worktrees of bare ones."""

import subprocess
from pathlib import Path

import pytest

from harness.artefacts.scratch_tree import check_out, clone
from harness.core.errors import LabError
from harness.core.git import git

GIT = "/usr/bin/git"


def users(*words: str | Path) -> str:
    """What git prints as its user runs it."""
    env = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": "/dev/null"}
    done = subprocess.run(
        [GIT, *map(str, words)], env=env, check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout


@pytest.fixture(params=["sha1", "sha256"])
def upstream(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Three commits, each with a file changed, in folders."""
    tree = tmp_path / "upstream"
    (tree / "net/core").mkdir(parents=True)
    git(tree, "init", "--quiet", "--initial-branch=main", f"--object-format={request.param}")
    git(tree, "config", "uploadpack.allowFilter", "true")
    git(tree, "config", "uploadpack.allowAnySHA1InWant", "true")
    for number in range(3):
        (tree / "Makefile").write_text(f"commit {number}\n")
        (tree / "net/core/xdp.c").write_text(f"/* {number} */\n")
        git(tree, "add", "--all")
        git(tree, "commit", "--quiet", f"--message=commit {number}")
    return tree


def cloned(upstream: Path, target: Path, *words: str) -> Path:
    users("clone", "--quiet", *words, f"file://{upstream}", target)
    return target


def check_each(origin: Path, upstream: Path, tree: Path) -> None:
    """Each commit can be had in a scratch tree of the origin's, the newest one last."""
    clone(tree, origin)
    commits = git(upstream, "rev-list", "--reverse", "main").split()
    for number, commit in enumerate(commits):
        check_out(tree, commit)
        assert (tree / "Makefile").read_text() == f"commit {number}\n"
        assert (tree / "net/core/xdp.c").read_text() == f"/* {number} */\n"


@pytest.mark.parametrize("what", ["blob:none", "tree:0"])
def test_what_a_partial_clone_lacks_is_fetched(upstream: Path, tmp_path: Path, what: str) -> None:
    origin = cloned(upstream, tmp_path / "origin", f"--filter={what}")
    before = (origin / ".git/index").stat().st_mtime_ns
    check_each(origin, upstream, tmp_path / "scratch")
    assert (origin / ".git/index").stat().st_mtime_ns == before
    assert not (origin / ".git/FETCH_HEAD").exists()


def test_nothing_is_fetched_that_is_there(upstream: Path, tmp_path: Path) -> None:
    origin = cloned(upstream, tmp_path / "origin", "--filter=blob:none")
    check_each(origin, upstream, tmp_path / "scratch")
    upstream.rename(tmp_path / "gone")
    check_each(origin, tmp_path / "gone", tmp_path / "another")


def test_each_remote_is_asked(upstream: Path, tmp_path: Path) -> None:
    """The first one is gone, the second one has it."""
    origin = cloned(upstream, tmp_path / "origin", "--filter=blob:none")
    users("-C", origin, "remote", "set-url", "origin", f"file://{tmp_path}/gone")
    users("-C", origin, "config", "remote.stable.promisor", "true")
    users("-C", origin, "config", "remote.stable.url", f"file://{upstream}")
    check_each(origin, upstream, tmp_path / "scratch")


def test_a_worktree_of_a_bare_partial_clone(upstream: Path, tmp_path: Path) -> None:
    bare = cloned(upstream, tmp_path / "bare.git", "--filter=blob:none", "--bare")
    users("--git-dir", bare, "worktree", "add", "--quiet", "--detach", tmp_path / "tree", "main")
    check_each(tmp_path / "tree", upstream, tmp_path / "scratch")


def test_without_the_remote_it_is_one_error_with_the_command(
    upstream: Path, tmp_path: Path
) -> None:
    origin = cloned(upstream, tmp_path / "origin", "--filter=blob:none")
    upstream.rename(tmp_path / "gone")
    clone(tmp_path / "scratch", origin)
    oldest = git(tmp_path / "gone", "rev-list", "--max-parents=0", "main").strip()
    with pytest.raises(LabError, match="partial clone: 2 objects are still to be") as caught:
        check_out(tmp_path / "scratch", oldest)
    assert caught.value.hint.endswith(f"git --git-dir {origin}/.git fetch origin")


def test_a_shallow_clone(upstream: Path, tmp_path: Path) -> None:
    origin = cloned(upstream, tmp_path / "origin", "--depth=1")
    clone(tmp_path / "scratch", origin)
    check_out(tmp_path / "scratch", git(origin, "rev-parse", "HEAD").strip())
    assert (tmp_path / "scratch/Makefile").read_text() == "commit 2\n"
