# SPDX-License-Identifier: GPL-2.0-only
"""git am, git send-email and b4 take what `patches cover` writes. Run by its name.

The last two are these tests' alone: apt-get install git-email libmailtools-perl, pip install b4.
Nothing is sent.
"""

from pathlib import Path

import pytest

from harness.artefacts import patches
from harness.artefacts.scratch_tree import clone
from harness.artefacts.source import BASE_TAG
from harness.core.git import git
from harness.core.run import run
from harness.core.workspace import DEFAULT_BASE, ROOT, SERIES_ROOT, Layout, Selection

SECONDS = 120.0
PARTS = patches.parts(SERIES_ROOT / DEFAULT_BASE)


@pytest.fixture(scope="module")
def letters() -> dict[str, list[Path]]:
    """The files of each sub-series, its letter first."""
    run([ROOT / "lab", "build"], deadline=3600)
    for part in PARTS:
        run([ROOT / "lab", "patches", "cover", part], deadline=SECONDS)
    source = Layout.of(Selection()).source
    return {part: sorted((source / "cover" / part).iterdir()) for part in PARTS}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A repository at the base, without the series."""
    scratch = tmp_path / "linux"
    tag = git(Layout.of(Selection()).linux, "rev-parse", BASE_TAG).strip()
    clone(scratch, Layout.of(Selection()).linux)
    git(scratch, "checkout", "--quiet", "-B", "posted", tag)
    return scratch


def test_in_order_they_make_the_series(letters: dict[str, list[Path]], base: Path) -> None:
    for part in PARTS:
        git(base, "am", "--quiet", *map(str, letters[part][1:]))
    wanted = git(Layout.of(Selection()).linux, "rev-parse", "HEAD^{tree}")
    assert git(base, "rev-parse", "HEAD^{tree}") == wanted


@pytest.mark.parametrize("part", PARTS)
def test_git_send_email_takes_them(letters: dict[str, list[Path]], part: str) -> None:
    options = ["--dry-run", "--to=list@example.org", "--from=user@example.org", "--confirm=never"]
    tree = Layout.of(Selection()).linux
    said = git(tree, "send-email", *options, "--suppress-cc=all", *map(str, letters[part]))
    assert said.count("\nResult: OK") == len(letters[part])


def test_b4_takes_the_first(letters: dict[str, list[Path]], base: Path, tmp_path: Path) -> None:
    files = letters[PARTS[0]][1:]
    git(base, "am", "--quiet", *map(str, files))
    git(base, "config", "user.name", "A User")
    git(base, "config", "user.email", "user@example.org")
    for words in (
        ["prep", "--enroll", "HEAD~" + str(len(files))],
        ["prep", "--format-patch", tmp_path / "out"],
    ):
        run(["b4", "--offline-mode", *words], cwd=base, deadline=SECONDS)
    assert len([*(tmp_path / "out").iterdir()]) >= len(files)
