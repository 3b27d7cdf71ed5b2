# SPDX-License-Identifier: GPL-2.0-only
"""Where things are built, also below a path that make can't take; what may be asked for at once."""

import subprocess
from pathlib import Path

import pytest

from harness.artefacts.tree import source_tree
from harness.core import workspace
from harness.core.errors import BadCall, LabError
from harness.core.workspace import Lane, Layout, Selection, build_root, unfit

SHA256 = "0123456789abcdef" * 4


@pytest.fixture(params=[*" :#%'$\\\";&*?()[]{}<>|`!^,\n\t", "\udcff", "\u00a0"])
def spaced(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / f"a{request.param}checkout"
    root.mkdir()
    monkeypatch.setattr(workspace, "ROOT", root)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return root


def test_a_path_that_kbuild_takes_has_its_build_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "ROOT", tmp_path)
    assert build_root() == tmp_path / "build"


@pytest.mark.parametrize(
    "name", ["linux-6.12", "net_next", "~user", "me@home", "a+b", "a=b", "josé", "核"]
)
def test_such_a_path_is_built_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.setattr(workspace, "ROOT", tmp_path / name)
    assert build_root() == tmp_path / name / "build"
    assert not unfit(tmp_path / name)


def test_a_path_with_a_space_builds_in_the_cache(spaced: Path, tmp_path: Path) -> None:
    root = build_root()
    assert root.parent == tmp_path / "cache/kernel-patch-lab"
    assert (spaced / "build").readlink() == root


def test_another_home_later_means_the_same_folder(
    spaced: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = build_root()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert build_root() == root


def test_a_cache_that_was_emptied_is_made_again(spaced: Path) -> None:
    root = build_root()
    root.rmdir()
    assert build_root() == root
    assert root.is_dir()


def test_a_checkout_that_was_moved_keeps_what_was_built(spaced: Path, tmp_path: Path) -> None:
    (spaced / "build").mkdir()
    (spaced / "build/work").touch()
    with pytest.raises(LabError, match="make can't take") as told:
        build_root()
    subprocess.run(["sh", "-c", told.value.hint.partition(", or ")[0]], check=True, timeout=10)
    assert (build_root() / "work").exists()


def test_a_tree_that_make_can_not_take_is_refused(spaced: Path) -> None:
    (spaced / "Kconfig").touch()
    with pytest.raises(BadCall, match=r"make can't take .* in a tree's path") as told:
        source_tree(Selection(tree=str(spaced)))
    assert told.value.status == 2


def test_a_cache_with_a_space_is_no_way_out(
    spaced: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a cache"))
    monkeypatch.setattr(workspace, "FALLBACK_CACHE", tmp_path / "fallback")
    assert build_root().parent == tmp_path / "fallback/kernel-patch-lab"


def test_each_selection_has_a_folder_of_its_own() -> None:
    selections = [
        Selection(),
        Selection(bare=True),
        Selection(lane=Lane.DEBUG),
        Selection(bare=True, lane=Lane.DEBUG),
        Selection(tree="/src/linux"),
        Selection(tree="/src/other"),
        Selection(tarball="/linux.tar.xz", sha256=SHA256),
    ]
    assert len({selection.variant for selection in selections}) == len(selections)


@pytest.mark.parametrize(
    "given",
    [
        {"tree": "/src/linux", "bare": True},
        {"tree": "/src/linux", "tarball": "/linux.tar.xz", "sha256": SHA256},
        {"tarball": "/linux.tar.xz"},
        {"sha256": SHA256},
        {"tarball": "/linux.tar.xz", "sha256": "abc"},
    ],
)
def test_what_makes_no_sense_together_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(BadCall):
        Selection(**given)  # type: ignore[arg-type]


def test_the_selection_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "ROOT", tmp_path)
    assert Selection.load() == Selection()
    chosen = Selection(fragment="/my.config", lane=Lane.DEBUG)
    chosen.save()
    assert Selection.load() == chosen
    assert isinstance(Selection.load().lane, Lane)
    for other in ("{half", '{"lane": "of another version"}'):
        (tmp_path / "build/selection.json").write_text(other)
        assert Selection.load() == Selection()


def test_a_steps_log_starts_empty(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path / "6.12", tmp_path / "6.12")
    layout.log("kernel").write_text("of the last build")
    assert layout.log("kernel").read_text() == ""


def test_a_lane_shares_its_kernels_tree_and_nothing_else() -> None:
    plain, debug = Layout.of(Selection()), Layout.of(Selection(lane=Lane.DEBUG))
    assert debug.linux == plain.linux
    assert debug.objects != plain.objects
