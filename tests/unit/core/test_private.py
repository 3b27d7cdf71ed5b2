# SPDX-License-Identifier: GPL-2.0-only
"""Keys, guests' memory and consoles are their owner's alone, whatever the umask."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.artefacts import image
from harness.core import artefact, private, workspace
from harness.core.errors import LabError
from harness.core.workspace import Layout, Selection, build_root, machine_dir

pytestmark = pytest.mark.usefixtures("umask")


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o777


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setattr(workspace, "ROOT", tmp_path)
    return Layout.of(Selection())


def test_a_folder_is_closed_and_one_that_was_open_is_too(tmp_path: Path) -> None:
    path = tmp_path / "above/it"
    for _ in range(2):
        assert private.folder(path) == path
        assert mode(path) == 0o700
        path.chmod(0o777)


def test_what_is_made_is_closed_while_it_is_made(tmp_path: Path) -> None:
    def fill(path: Path) -> None:
        assert mode(path) == 0o700
        (path / "key").touch()

    artefact.make(tmp_path / "step", "one", fill)
    assert mode(tmp_path / "step") == 0o700


def test_keys_are_and_those_that_were_open_are_too(layout: Layout) -> None:
    for _ in range(2):
        keys = image.keys(layout)
        assert mode(keys.client.parent) == 0o700
        assert mode(keys.client) == 0o600
        keys.client.parent.chmod(0o755)


def test_the_folder_of_consoles_and_sockets_is(layout: Layout) -> None:
    assert machine_dir() == layout.root / "vm"
    assert mode(layout.root / "vm") == 0o700


@pytest.fixture
def fallback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that has nowhere else to build than among the temporary files."""
    root, cache = tmp_path / "a checkout", tmp_path / "cache-0"
    root.mkdir()
    monkeypatch.setattr(workspace, "ROOT", root)
    monkeypatch.setattr(workspace, "FALLBACK_CACHE", cache)
    monkeypatch.setenv("XDG_CACHE_HOME", str(root))
    return cache


def test_a_cache_among_the_temporary_files_is_ones_own(fallback: Path) -> None:
    for _ in range(2):
        assert build_root().is_relative_to(fallback)
        assert mode(fallback) == 0o700


def test_one_that_another_user_made_first_is_refused(
    fallback: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_root()
    monkeypatch.setattr(os, "geteuid", lambda: fallback.stat().st_uid + 1)
    with pytest.raises(LabError, match="is another user's") as refused:
        build_root()
    assert "XDG_CACHE_HOME" in refused.value.hint


def test_one_that_others_can_write_to_is_refused(fallback: Path) -> None:
    for loose in (0o720, 0o702, 0o777):
        fallback.mkdir(exist_ok=True)
        fallback.chmod(loose)
        with pytest.raises(LabError, match="can be written to by others"):
            build_root()
    fallback.chmod(0o755)
    build_root()


@pytest.mark.parametrize("to", ["elsewhere", "missing"])
def test_one_that_is_a_link_is_refused(fallback: Path, to: str) -> None:
    fallback.with_name("elsewhere").mkdir()
    fallback.symlink_to(fallback.with_name(to))
    with pytest.raises(LabError, match="is no folder"):
        build_root()
    assert list(fallback.with_name("elsewhere").iterdir()) == []
