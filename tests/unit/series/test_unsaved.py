# SPDX-License-Identifier: GPL-2.0-only
"""`clean` removes what can be made anew, and no work that is nowhere else; git is git itself."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.artefacts import patches, scratch_tree
from harness.artefacts.source import BASE_TAG
from harness.commands import lab
from harness.core import workspace
from harness.core.errors import BadCall
from harness.core.git import git
from harness.core.workspace import Layout
from harness.machine import keeper
from harness.series.export import FORMAT, export

USER = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "A User"), ("EMAIL", "user@example.org"))
}
PART = "all"
LINES = [f"line {number}\n" for number in range(1, 41)]


def user(tree: Path, *arguments: str) -> str:
    """git as the user runs it in a tree."""
    return git(tree, *arguments, env=USER)


def change(tree: Path, line: int, text: str = "changed\n", name: str = "xdp.c") -> None:
    lines = (tree / name).read_text().splitlines(keepends=True)
    lines[line - 1] = text
    (tree / name).write_text("".join(lines))


def commit(tree: Path, line: int) -> None:
    change(tree, line)
    user(tree, "commit", "--quiet", "--all", f"--message=net: line {line}")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build folder, as a build of a series of two patches leaves it; no VM runs."""
    series = tmp_path / "kernel-patches/6.12"
    series.mkdir(parents=True)
    monkeypatch.setattr(workspace, "ROOT", tmp_path)
    monkeypatch.setattr("harness.series.unsaved.SERIES_ROOT", series.parent)
    monkeypatch.setattr(keeper, "stop", lambda *_: False)
    (tmp_path / ".gitignore").write_text("build\n")
    git(tmp_path, "init", "--quiet")  # where git looks that finds none further down
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message=the lab")
    root = tmp_path / "build"
    tree = root / "6.12/linux"
    tree.mkdir(parents=True)
    for name in ("xdp.c", "dev.c"):
        (tree / name).write_text("".join(LINES))
    (tree / ".gitignore").write_text(".*\n*.patch\n*.o\n!.gitignore\n/out/\ntags\ncscope.*\n")
    git(tree, "init", "--quiet", "--initial-branch=series")
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message=Linux 6.12")
    git(tree, "tag", BASE_TAG)
    (tree / ".git/lab-origin").write_text("6.12")
    for name in ("xdp.c", "dev.c"):
        change(tree, 3, name=name)
        git(tree, "commit", "--quiet", "--all", f"--message=net: {name}")
    git(tree, *FORMAT, "-2", "--output-directory", str(series / PART))
    names = [f"{path.name}\n" for path in sorted(series.glob("*/*.patch"))]
    (series / PART / "series").write_text("".join(names))
    (series / "series").write_text(f"{PART}\n")
    git(tree, "reset", "--quiet", "--hard", BASE_TAG)
    patches.apply(layout(root), patches.parse_series(series))
    (root / "6.12/obj").mkdir()
    (root / "6.12/obj/vmlinux").touch()
    (root / "6.12/linux/xdp.o").touch()
    (root / "downloads").mkdir()
    return root


def layout(root: Path) -> Layout:
    return Layout(root, root / "6.12", root / "6.12")


def series_of(root: Path) -> Path:
    return root.parent / "kernel-patches/6.12"


def files(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if ".git" not in path.parts}


def refused(root: Path) -> str:
    """What `clean` says; it has removed nothing."""
    before = files(root) | {root / "lock", root / "used"}
    with pytest.raises(BadCall) as told:
        lab.clean(True)
    assert files(root) == before
    assert told.value.status == 2
    assert "./lab patches export" in told.value.hint
    return told.value.message


def cleaned(root: Path) -> bool:
    lab.clean(False)
    return sorted(path.name for path in root.iterdir()) == ["downloads", "lock"]


def test_what_was_built_goes(root: Path) -> None:
    assert cleaned(root)


def test_what_programs_make_of_a_tree_goes(root: Path) -> None:
    tree = root / "6.12/linux"
    for name in ("xdp.o", ".xdp.o.cmd", "tags", "cscope.out"):
        (tree / name).touch()
    (tree / ".cache").mkdir()
    (tree / ".cache/index").touch()
    assert cleaned(root)


def _committed(tree: Path) -> None:
    commit(tree, 10)


def _detached(tree: Path) -> None:
    user(tree, "checkout", "--quiet", "--detach")
    commit(tree, 10)


def _branch(tree: Path) -> None:
    user(tree, "checkout", "--quiet", "-b", "mine")
    commit(tree, 10)
    user(tree, "checkout", "--quiet", "series")


def _kept(tree: Path) -> None:
    commit(tree, 10)
    root = tree.parents[1]
    patches.apply(layout(root), patches.parse_series(series_of(root))[:1])


def _stashed(tree: Path) -> None:
    change(tree, 10)
    user(tree, "stash", "--quiet")


def _merged(tree: Path) -> None:
    """What a merge brought, between two commits of the series' files."""
    user(tree, "checkout", "--quiet", "-b", "side", "HEAD^")
    user(tree, "merge", "--quiet", "--no-ff", "--no-commit", "series")
    change(tree, 10)
    user(tree, "commit", "--quiet", "--all", "--message=both")


def _amended(tree: Path) -> None:
    user(tree, "commit", "--quiet", "--amend", "--message=net: xdp: better words")


def _in_a_worktree(tree: Path) -> None:
    user(tree, "worktree", "add", "--quiet", "--detach", "../../../worktree")
    commit(tree.parents[2] / "worktree", 10)


def _dropped(tree: Path) -> None:
    user(tree, "rebase", "--quiet", "--onto", "HEAD~2", "HEAD~1")


def _reordered(tree: Path) -> None:
    tip = user(tree, "rev-parse", "HEAD").strip()
    user(tree, "reset", "--quiet", "--hard", BASE_TAG)
    user(tree, "cherry-pick", tip, f"{tip}~1")


def _edited(tree: Path) -> None:
    change(tree, 10)


def _staged(tree: Path) -> None:
    change(tree, 10)
    user(tree, "add", "xdp.c")
    change(tree, 10, LINES[9])


def _new(tree: Path) -> None:
    (tree / "new.c").touch()


def _ignored(tree: Path) -> None:
    (tree / "0001-mine.patch").touch()  # as git format-patch leaves it


def _ignored_folder(tree: Path) -> None:
    (tree / "out").mkdir()
    (tree / "out/note").touch()


def _hidden(tree: Path) -> None:
    (tree / ".note").touch()


def _merging(tree: Path) -> None:
    (tree / ".git/MERGE_HEAD").write_text(user(tree, "rev-parse", "HEAD"))


def _broken(tree: Path) -> None:
    (tree / ".git/HEAD").unlink()


def _no_repository(tree: Path) -> None:
    shutil.rmtree(tree / ".git")


def _no_base(tree: Path) -> None:
    user(tree, "tag", "--delete", BASE_TAG)


def _own_repository(tree: Path) -> None:
    (tree.parent / "own").mkdir()
    user(tree.parent / "own", "init", "--quiet")
    (tree.parent / "own/note").touch()


@pytest.mark.parametrize(
    ("work", "told"),
    [
        (_committed, "net: line 10"),
        (_detached, "net: line 10"),
        (_branch, "net: line 10"),
        (_kept, "net: line 10"),
        (_in_a_worktree, "net: line 10"),
        (_stashed, "WIP on series"),
        (_merged, "both"),
        (_amended, "better words"),
        (_dropped, "in the order of"),
        (_reordered, "in the order of"),
        (_edited, "not committed: xdp.c"),
        (_staged, "not committed: xdp.c"),
        (_new, "not committed: new.c"),
        (_ignored, "not committed: 0001-mine.patch"),
        (_ignored_folder, "not committed: out/"),
        (_hidden, "not committed: .note"),
        (_merging, "MERGE_HEAD"),
        (_broken, "it can't be told"),
        (_no_repository, "it can't be told"),
        (_no_base, "it can't be told"),
        (_own_repository, "not committed: note"),
    ],
)
def test_work_is_never_removed(root: Path, work: Callable[[Path], None], told: str) -> None:
    work(root / "6.12/linux")
    assert told in refused(root)


def test_work_in_the_tree_of_a_former_base_is_never_removed(root: Path) -> None:
    tree = root / "6.12/linux"
    _committed(tree)
    tree.rename(tree.with_name("linux-6.12.100"))
    assert "6.12/linux-6.12.100\n" in refused(root)


def test_what_was_exported_is_no_work(root: Path) -> None:
    tree, series = root / "6.12/linux", series_of(root)
    commit(tree, 10)
    export(layout(root), series)
    user(tree, "branch", "mine")
    user(tree, "rebase", "--quiet", "--force-rebase", BASE_TAG)  # the same, by other hashes
    shutil.rmtree(tree / ".git/rebase-merge", ignore_errors=True)
    assert cleaned(root)


def test_what_was_exported_and_is_gone_from_the_files_is_work(root: Path) -> None:
    tree, series = root / "6.12/linux", series_of(root)
    before = (series / PART / "series").read_text()
    commit(tree, 10)
    export(layout(root), series)
    (series / PART / "series").write_text(before)
    (series / PART / "0003-net-line-10.patch").unlink()
    assert "net: line 10" in refused(root)


def test_what_a_remote_has_is_no_work(root: Path, tmp_path: Path) -> None:
    tree = root / "6.12/linux"
    _branch(tree)
    (tmp_path / "elsewhere").mkdir()
    user(tmp_path / "elsewhere", "init", "--quiet")
    user(tree, "remote", "add", "elsewhere", str(tmp_path / "elsewhere"))
    user(tree, "push", "--quiet", "elsewhere", "mine")
    assert cleaned(root)


def test_what_the_lab_made_of_former_files_is_no_work(root: Path) -> None:
    """As after git pull: the files are others, and the tree is not yet made of them."""
    series = series_of(root)
    for path in series.glob("*/*.patch"):
        path.write_text(path.read_text().replace("changed", "changed again"))
    assert cleaned(root)


def test_what_the_labs_own_kill_left_is_no_work(root: Path) -> None:
    tree = root / "6.12/linux"
    (tree / ".git/lab-series.json").unlink()
    (tree / ".git/rebase-apply").mkdir()
    user(tree, "reset", "--quiet", "--hard", "HEAD~1")
    change(tree, 10)
    (root / "6.12/linux.new/.git").mkdir(parents=True)
    (root / "6.12/empty").mkdir()
    assert cleaned(root)


def test_a_clone_for_trials_is_nobodys_work(root: Path) -> None:
    trial = root / "6.12-trial/linux"
    scratch_tree.clone(trial, root / "6.12/linux")
    scratch_tree.check_out(trial, user(root / "6.12/linux", "rev-parse", "HEAD").strip())
    commit(trial, 10)
    change(trial, 20)
    assert cleaned(root)


def test_a_build_folder_that_is_empty_is_cleaned(root: Path) -> None:
    shutil.rmtree(root / "6.12")
    assert cleaned(root)


def test_of_much_work_some_is_told(root: Path) -> None:
    for number in range(1, 9):
        (root / f"6.12/linux/{number}.c").touch()
    told = refused(root)
    assert "not committed: 5.c" in told
    assert "not committed: 6.c" not in told
    assert "and 3 more" in told


def test_the_settings_of_a_tree_hide_nothing(root: Path) -> None:
    tree = root / "6.12/linux"
    user(tree, "config", "status.showUntrackedFiles", "no")
    user(tree, "config", "log.excludeDecoration", "refs/*")
    _new(tree)
    assert "not committed: new.c" in refused(root)
