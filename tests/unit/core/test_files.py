# SPDX-License-Identifier: GPL-2.0-only
"""A file is replaced as a whole, or it is as it was."""

import os
import stat
from pathlib import Path

import pytest

from harness.core import files


@pytest.mark.parametrize("content", ["words\n", b"\0\xff"])
def test_the_content_is_the_new_one(tmp_path: Path, content: str | bytes) -> None:
    (tmp_path / "file").write_text("something longer than that")
    files.replace(tmp_path / "file", content)
    expected = content.encode() if isinstance(content, str) else content
    assert (tmp_path / "file").read_bytes() == expected
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(("mode", "expected"), [(0o600, 0o600), (0o666, 0o640)])
def test_the_mode_is_what_was_asked_for(tmp_path: Path, mode: int, expected: int) -> None:
    before = os.umask(0o027)
    try:
        files.replace(tmp_path / "file", "", mode=mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == expected


def test_what_is_interrupted_leaves_the_old_one_and_nothing_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(beside: Path, _: Path) -> None:
        assert beside.read_text() == "new"
        raise KeyboardInterrupt

    (tmp_path / "file").write_text("old")
    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.replace(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
