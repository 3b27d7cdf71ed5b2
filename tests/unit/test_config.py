# SPDX-License-Identifier: GPL-2.0-only
"""Where things are built, also below a path that Kbuild refuses; what may be asked for together."""

from pathlib import Path

import pytest

from harness import config
from harness.config import Layout, Selection, build_root
from harness.errors import BadCall

SHA256 = "0123456789abcdef" * 4


@pytest.fixture
def spaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "a checkout"
    root.mkdir()
    monkeypatch.setattr(config, "ROOT", root)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return root


def test_a_path_that_kbuild_takes_has_its_build_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "ROOT", tmp_path)
    assert build_root() == tmp_path / "build"


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


def test_a_cache_with_a_space_is_no_way_out(
    spaced: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a cache"))
    monkeypatch.setattr(config, "FALLBACK_CACHE", tmp_path / "fallback")
    assert build_root().parent == tmp_path / "fallback/kernel-patch-lab"


def test_each_selection_has_a_folder_of_its_own() -> None:
    selections = [
        Selection(),
        Selection(bare=True),
        Selection(lane="debug"),
        Selection(bare=True, lane="debug"),
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
    monkeypatch.setattr(config, "ROOT", tmp_path)
    assert Selection.load() == Selection()
    chosen = Selection(fragment="/my.config")
    chosen.save()
    assert Selection.load() == chosen
    (tmp_path / "build/selection.json").write_text("{half")
    assert Selection.load() == Selection()


def test_a_steps_log_starts_empty(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path / "6.12", tmp_path / "6.12")
    layout.log("kernel").write_text("of the last build")
    assert layout.log("kernel").read_text() == ""


def test_a_lane_shares_its_kernels_tree_and_nothing_else() -> None:
    plain, debug = Layout.of(Selection()), Layout.of(Selection(lane="debug"))
    assert debug.linux == plain.linux
    assert debug.objects != plain.objects
