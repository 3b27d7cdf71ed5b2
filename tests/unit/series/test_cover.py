# SPDX-License-Identifier: GPL-2.0-only
"""`patches cover`: a sub-series as e-mails, and which commits are of one."""

import json
from pathlib import Path

import pytest

from harness.artefacts import patches
from harness.artefacts.source import BASE_TAG
from harness.core.errors import BadCall, LabError
from harness.core.git import git
from harness.core.host import versioned
from harness.core.workspace import Base, Layout
from harness.series.cover import commits_of, cover, refuse_unknown
from harness.series.export import export

LETTER = """Subject: net: {{ kernel }}: hints
Tree: bpf-next

What {{ 1 + 1 }} patches do.
"""


class Series:
    """Three patches of the sub-series fixes (one) and hints (two), applied to a tree."""

    def __init__(self, directory: Path) -> None:
        self.layout = Layout(directory, directory / "6.12", directory / "6.12")
        self.tree = self.layout.linux
        self.tree.mkdir(parents=True)
        package, version = "linux-source-6.12", "6.12.1-1~deb12u1"
        patches_dir = directory / "patches"
        self.base = Base(package, version, "", (), versioned("clang"), 1, patches_dir)
        self.fixes, self.hints = (self.base.series_dir / name for name in ("fixes", "hints"))
        for folder in (self.fixes, self.hints):
            folder.mkdir(parents=True)
        (self.base.series_dir / "series").write_text("fixes\nhints\n")
        (self.hints / "series").write_text("")
        (self.fixes / "series").write_text("")
        git(self.tree, "init", "--quiet", "--initial-branch=series")
        self.commit("Linux 6.12")
        git(self.tree, "tag", BASE_TAG)
        for subject in ("mend", "carry", "apply"):
            self.commit(subject)
        export(self.layout, self.base.series_dir)
        for name in ("0002-carry.patch", "0003-apply.patch"):
            (self.fixes / name).rename(self.hints / name)
        (self.fixes / "series").write_text("0001-mend.patch\n")
        (self.hints / "series").write_text("0002-carry.patch\n0003-apply.patch\n")
        export(self.layout, self.base.series_dir)
        (self.hints / "cover.j2").write_text(LETTER)

    def commit(self, subject: str) -> None:
        (self.tree / f"{subject}.c").write_text(f"{subject}\n")
        git(self.tree, "add", "--all")
        git(self.tree, "commit", "--quiet", f"--message={subject}")

    def cover(self) -> dict[str, str]:
        folder = cover(self.layout, self.base, "hints")
        return {path.name: path.read_text() for path in sorted(folder.iterdir())}


@pytest.fixture
def series(tmp_path: Path) -> Series:
    return Series(tmp_path)


def test_each_e_mail_has_the_tree_and_its_number(series: Series) -> None:
    written = series.cover()
    assert [*written] == ["0000-cover-letter.patch", "0001-carry.patch", "0002-apply.patch"]
    letter = written["0000-cover-letter.patch"]
    assert "Subject: [PATCH bpf-next 0/2] net: 6.12.1: hints\n" in letter
    assert "\nWhat 2 patches do.\n" in letter
    assert "2 files changed, 2 insertions(+)" in letter
    assert "***" not in letter
    assert "Subject: [PATCH bpf-next 2/2] apply\n" in written["0002-apply.patch"]


def test_it_is_the_same_each_time_and_nothing_else_is_left(series: Series) -> None:
    first = series.cover()
    (series.layout.source / "cover/hints/0003-old.patch").touch()
    assert series.cover() == first
    assert [path.name for path in (series.layout.source / "cover").iterdir()] == ["hints"]


def test_the_patches_apply_behind_those_before(series: Series) -> None:
    series.cover()
    files = sorted((series.layout.source / "cover/hints").glob("000[1-9]*"))
    wanted = git(series.tree, "rev-parse", "HEAD^{tree}")
    git(series.tree, "reset", "--quiet", "--hard", "HEAD~2")
    git(series.tree, "am", "--quiet", *map(str, files))
    assert git(series.tree, "rev-parse", "HEAD^{tree}") == wanted


def test_figures_must_be_of_this_kernel(series: Series) -> None:
    (series.hints / "cover.j2").write_text(LETTER + "{{ bench.packets[0].redirect }}\n")
    with pytest.raises(LabError, match=r"has a table, and .*bench\.json is not there"):
        series.cover()
    now = git(series.tree, "rev-parse", "HEAD^{tree}").strip()
    figures = {"packets": [{"redirect": 705}], "tree": now}
    (series.hints / "bench.json").write_text(json.dumps(figures))
    assert "\n705\n" in series.cover()["0000-cover-letter.patch"]
    (series.hints / "bench.json").write_text(json.dumps({**figures, "tree": "0" * 40}))
    with pytest.raises(LabError, match=r"of another kernel than the series'") as told:
        series.cover()
    assert "./lab bench" in told.value.hint


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Subject: a\n\ntext\n", "fields Subject and Tree"),
        ("Subject: a\nTree: \n\ntext\n", "fields Subject and Tree"),
        ("Subject: a\nTree: net\n\n", "and then a text"),
        ("Subject: a\nTree: net\n\n{{ bnech }}\n", "'bnech' is undefined"),
        ("Subject: a\nTree: net\n\n{% if %}\n", "cover.j2: "),
    ],
)
def test_a_letter_that_can_not_be_filled_in(series: Series, text: str, why: str) -> None:
    (series.hints / "cover.j2").write_text(text)
    with pytest.raises(LabError, match=why):
        series.cover()


def test_a_sub_series_ends_where_the_next_begins(series: Series) -> None:
    subjects = [each.subject for each in commits_of(series.tree, series.base.series_dir, "hints")]
    assert subjects == ["carry", "apply"]
    (first,) = commits_of(series.tree, series.base.series_dir, "fixes")
    assert first == patches.commits(series.tree)[0]


def test_a_name_that_none_has(series: Series) -> None:
    with pytest.raises(BadCall, match="no sub-series 'hint'") as told:
        refuse_unknown(series.base.series_dir, ["hints", "hint"])
    assert told.value.hint == "one of fixes, hints"


def test_a_commit_that_is_not_exported(series: Series) -> None:
    series.commit("mine")
    with pytest.raises(LabError, match=r"\(mine\) is in no file of the series") as told:
        series.cover()
    assert told.value.hint == "./lab patches export"
