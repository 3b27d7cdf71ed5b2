# SPDX-License-Identifier: GPL-2.0-only
"""The series: its file, its commits, and a patch that does not apply."""

import shutil
from pathlib import Path

import pytest

from harness.artefacts.patches import apply, parse_series
from harness.artefacts.source import BASE_TAG
from harness.core.errors import LabError
from harness.core.git import git
from harness.core.workspace import Layout

PART = "all"
LINES = [f"line {number}" for number in range(1, 41)]


def write(path: Path, changes: dict[int, str]) -> None:
    lines = [changes.get(number, line) for number, line in enumerate(LINES, 1)]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path, tmp_path / "6.12", tmp_path / "6.12")
    tree = layout.linux
    (tree / "net").mkdir(parents=True)
    write(tree / "net/xdp.c", {})
    git(tree, "init", "--quiet", "--initial-branch=series")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "--message=base")
    git(tree, "tag", BASE_TAG)
    return layout


def make_series(layout: Layout, directory: Path, steps: list[dict[int, str]]) -> Path:
    """Patches 0001.., each of which changes these lines of net/xdp.c on top of the one before."""
    scratch = directory / "scratch"
    shutil.copytree(layout.linux, scratch)
    changes: dict[int, str] = {}
    for number, step in enumerate(steps, 1):
        changes |= step
        write(scratch / "net/xdp.c", changes)
        git(scratch, "commit", "--all", "--quiet", f"--message=net: xdp: change {number}")
    series = directory / "series-dir" / PART
    series.mkdir(parents=True)
    (series.parent / "series").write_text(f"{PART}\n")
    git(scratch, "format-patch", "--quiet", "--zero-commit", f"-{len(steps)}", "-o", str(series))
    names = sorted(path.name for path in series.glob("*.patch"))
    (series / "series").write_text("# ours\n\n" + "".join(f"{name}  # why\n" for name in names))
    return series.parent


def subjects(layout: Layout) -> list[str]:
    return git(layout.linux, "log", "--reverse", "--format=%s").splitlines()


def series_of(directory: Path, text: str) -> Path:
    """A series of one sub-series, whose `series` says this, and a patch a.patch."""
    (directory / PART).mkdir()
    (directory / "series").write_text(f"# ours\n{PART}\n")
    (directory / PART / "a.patch").write_text("a")
    (directory / PART / "series").write_text(text)
    return directory


def test_comments_and_blank_lines_are_no_patches(tmp_path: Path) -> None:
    series = series_of(tmp_path, "# comment\n\na.patch # why\n")
    assert [str(patch) for patch in parse_series(series)] == [f"{PART}/a.patch"]


def test_a_patch_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"names lost\.patch, which is not there"):
        parse_series(series_of(tmp_path, "lost.patch\n"))


def test_a_patch_that_is_named_twice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"names a\.patch twice"):
        parse_series(series_of(tmp_path, "a.patch\na.patch\n"))


def test_a_sub_series_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "series").write_text("lost\n")
    with pytest.raises(LabError, match=r"lost/series: No such file"):
        parse_series(tmp_path)


def test_each_patch_is_a_commit(layout: Layout, tmp_path: Path) -> None:
    series = parse_series(make_series(layout, tmp_path, [{3: "three"}, {30: "thirty"}]))
    apply(layout, series)
    assert subjects(layout) == ["base", "net: xdp: change 1", "net: xdp: change 2"]
    assert "thirty" in (layout.linux / "net/xdp.c").read_text()


def test_the_same_series_gives_the_same_commits(layout: Layout, tmp_path: Path) -> None:
    series = parse_series(make_series(layout, tmp_path, [{3: "three"}]))
    apply(layout, series)
    head = git(layout.linux, "rev-parse", "HEAD")
    apply(layout, ())
    assert subjects(layout) == ["base"]
    apply(layout, series)
    assert git(layout.linux, "rev-parse", "HEAD") == head


def test_the_beginning_that_two_series_share_stays(layout: Layout, tmp_path: Path) -> None:
    series = parse_series(make_series(layout, tmp_path, [{3: "three"}, {30: "thirty"}]))
    apply(layout, series)
    first = git(layout.linux, "rev-parse", "HEAD~1")
    apply(layout, series[:1])
    assert git(layout.linux, "rev-parse", "HEAD") == first


def test_a_patch_that_does_not_apply_is_named_with_file_and_hunk(
    layout: Layout, tmp_path: Path
) -> None:
    directory = make_series(layout, tmp_path, [{3: "three", 30: "thirty"}])
    write(layout.linux / "net/xdp.c", {30: "somebody else's"})
    git(layout.linux, "commit", "--all", "--quiet", "--message=base moved on")
    git(layout.linux, "tag", "--force", BASE_TAG)
    with pytest.raises(LabError) as caught:
        apply(layout, parse_series(directory))
    assert caught.value.message == (
        f"{PART}/0001-net-xdp-change-1.patch does not apply: net/xdp.c, hunk #2 of 2 (line 27)"
    )
    assert caught.value.log is not None
    assert "patch failed" in caught.value.log.read_text()


def test_a_file_that_is_not_there_is_named(layout: Layout, tmp_path: Path) -> None:
    directory = make_series(layout, tmp_path, [{3: "three"}])
    git(layout.linux, "mv", "net/xdp.c", "net/other.c")
    git(layout.linux, "commit", "--quiet", "--message=base moved on")
    git(layout.linux, "tag", "--force", BASE_TAG)
    with pytest.raises(LabError, match=r"does not apply: net/xdp\.c: does not exist in index"):
        apply(layout, parse_series(directory))


def test_after_a_failure_a_mended_series_applies(layout: Layout, tmp_path: Path) -> None:
    directory = make_series(layout, tmp_path, [{3: "three"}])
    patch = next(directory.glob(f"{PART}/*.patch"))
    good = patch.read_text()
    patch.write_text(good.replace("-line 3", "-line 33"))
    with pytest.raises(LabError):
        apply(layout, parse_series(directory))
    patch.write_text(good)
    apply(layout, parse_series(directory))
    assert subjects(layout) == ["base", "net: xdp: change 1"]


@pytest.mark.parametrize(
    ("content", "why"),
    [("", "Patch format"), ("\x80garbage\n", "Patch format"), ("cut", "corrupt patch at")],
)
def test_what_is_no_patch_is_named(layout: Layout, tmp_path: Path, content: str, why: str) -> None:
    directory = make_series(layout, tmp_path, [{3: "three"}, {30: "thirty"}])
    patch = sorted(directory.glob(f"{PART}/*.patch"))[1]
    good = patch.read_text()
    patch.write_text(content if content != "cut" else good[: good.index("+thirty")])
    with pytest.raises(LabError, match=rf"{patch.name} does not apply: .*{why}"):
        apply(layout, parse_series(directory))
    assert subjects(layout) == ["base", "net: xdp: change 1"]


def test_work_in_the_tree_after_a_failure_is_not_lost(layout: Layout, tmp_path: Path) -> None:
    directory = make_series(layout, tmp_path, [{3: "three"}])
    patch = next(directory.glob(f"{PART}/*.patch"))
    good = patch.read_text()
    patch.write_text(good.replace("-line 3", "-line 33"))
    with pytest.raises(LabError):
        apply(layout, parse_series(directory))
    (layout.linux / "net/xdp.c").write_text("rebased by hand\n")
    patch.write_text(good)
    with pytest.raises(LabError, match="has uncommitted changes"):
        apply(layout, parse_series(directory))
    assert (layout.linux / "net/xdp.c").read_text() == "rebased by hand\n"


def test_what_a_killed_git_left_is_no_obstacle(layout: Layout, tmp_path: Path) -> None:
    series = parse_series(make_series(layout, tmp_path, [{3: "three"}]))
    (layout.linux / ".git/index.lock").touch()
    (layout.linux / ".git/rebase-apply").mkdir()
    apply(layout, series)
    assert subjects(layout) == ["base", "net: xdp: change 1"]


def test_uncommitted_changes_stop_a_new_series(layout: Layout, tmp_path: Path) -> None:
    series = parse_series(make_series(layout, tmp_path, [{3: "three"}, {30: "thirty"}]))
    apply(layout, series[:1])
    (layout.linux / "net/xdp.c").write_text("an evening's work\n")
    apply(layout, series[:1])
    with pytest.raises(LabError, match="has uncommitted changes"):
        apply(layout, series)
    assert (layout.linux / "net/xdp.c").read_text() == "an evening's work\n"


def test_commits_are_kept_on_a_branch(layout: Layout, tmp_path: Path) -> None:
    series = parse_series(make_series(layout, tmp_path, [{3: "three"}, {30: "thirty"}]))
    apply(layout, series[:1])
    (layout.linux / "net/xdp.c").write_text("an evening's work\n")
    git(layout.linux, "commit", "--all", "--quiet", "--message=mine")
    mine = git(layout.linux, "rev-parse", "HEAD").strip()
    apply(layout, series)
    assert subjects(layout) == ["base", "net: xdp: change 1", "net: xdp: change 2"]
    assert git(layout.linux, "rev-parse", f"kept-{mine[:12]}").strip() == mine
