# SPDX-License-Identifier: GPL-2.0-only
"""`patches export`: the same bytes each time, the comments kept, nobody's work written over."""

import os
import shutil
from pathlib import Path

import pytest

from harness.artefacts.patches import apply, parse_series
from harness.artefacts.source import BASE_TAG
from harness.core.errors import LabError
from harness.core.git import git
from harness.core.workspace import Layout
from harness.series.export import export, renew

SUBJECTS = ["net: xdp: first", "net: xdp: second", "net: xdp: third"]


class Tree:
    """A base with one commit for each of SUBJECTS, made from the files of a series."""

    def __init__(self, directory: Path) -> None:
        self.layout = Layout(directory, directory / "6.12", directory / "6.12")
        self.linux = self.layout.linux
        self.linux.mkdir(parents=True)
        self.root = directory / "series-dir"
        self.series = self.root / "all"
        self.series.mkdir(parents=True)
        (self.root / "series").write_text("all\n")
        git(self.linux, "init", "--quiet", "--initial-branch=series")
        self.commit("Linux 6.12", "Makefile")
        git(self.linux, "tag", BASE_TAG)
        for number, subject in enumerate(SUBJECTS):
            self.commit(subject, f"{number}.c")
        (self.series / "series").write_text("")
        export(self.layout, self.root)
        names = self.names()
        (self.series / "series").write_text(
            f"# head\n{names[0]}  # why\n\n# rest\n{names[1]}\n{names[2]}\n# end\n"
        )

    def commit(self, subject: str, file: str, text: str = "text\n") -> None:
        (self.linux / file).write_text(text)
        git(self.linux, "add", "--all")
        git(self.linux, "commit", "--quiet", f"--message={subject}\n\nBody of {file}.")

    def rebase(self, editor: str, *options: str) -> None:
        """git rebase -i from the base, whose list of commits is edited by that command."""
        editors = {"GIT_SEQUENCE_EDITOR": editor, "GIT_EDITOR": "true"}
        git(self.linux, "rebase", "--quiet", "-i", *options, BASE_TAG, env=editors)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.series.glob("*.patch"))

    def files(self) -> dict[str, tuple[bytes, int]]:
        return {
            path.name: (path.read_bytes(), path.stat().st_mtime_ns)
            for path in self.series.iterdir()
        }

    def text(self) -> str:
        return (self.series / "series").read_text()


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_a_commit_is_a_file_and_an_untouched_series_is_not_written_to(tree: Tree) -> None:
    assert tree.names() == [
        "0001-net-xdp-first.patch",
        "0002-net-xdp-second.patch",
        "0003-net-xdp-third.patch",
    ]
    before = tree.files()
    export(tree.layout, tree.root)
    assert tree.files() == before


def test_the_trees_own_configuration_changes_nothing(tree: Tree) -> None:
    lines = [f"line {number}" for number in range(40)]
    tree.commit("net: xdp: long", "long.c", "\n".join(lines))
    lines[20] = "another"
    tree.commit("net: xdp: longer", "long.c", "\n".join(lines))
    export(tree.layout, tree.root)
    before = tree.files()
    for key, value in {
        "format.subjectPrefix": "PATCH net-next",
        "format.signature": "somebody",
        "format.coverLetter": "true",
        "format.numbered": "true",
        "format.attach": "true",
        "format.thread": "true",
        "format.to": "netdev@vger.kernel.org",
        "format.headers": "X-Mine: 1",
        "format.useAutoBase": "true",
        "diff.noprefix": "true",
        "diff.context": "7",
        "diff.algorithm": "patience",
        "core.abbrev": "20",
    }.items():
        git(tree.linux, "config", key, value)
    export(tree.layout, tree.root)
    assert tree.files() == before


def test_what_was_written_applies_to_the_base_and_gives_the_same_tree(tree: Tree) -> None:
    tree.commit("net: 'quoted' [bracket] \u00fcml\u00e4ut: a subject longer than any line of a mail"
                " may be without being folded", "3.c")  # fmt: skip
    export(tree.layout, tree.root)
    wanted = git(tree.linux, "log", "--format=%T %an %ad%n%B", f"{BASE_TAG}..HEAD")
    git(tree.linux, "checkout", "--quiet", "-B", "series", BASE_TAG)
    (tree.linux / ".git/lab-series.json").unlink()
    apply(tree.layout, parse_series(tree.root))
    assert git(tree.linux, "log", "--format=%T %an %ad%n%B", f"{BASE_TAG}..HEAD") == wanted


def test_after_an_export_nothing_is_applied_again(tree: Tree) -> None:
    tree.commit("net: xdp: fourth", "3.c")
    export(tree.layout, tree.root)
    head = git(tree.linux, "rev-parse", "HEAD")
    apply(tree.layout, parse_series(tree.root))
    assert git(tree.linux, "rev-parse", "HEAD") == head
    assert "kept-" not in git(tree.linux, "branch")


def test_a_patch_that_was_taken_out_loses_its_file_and_the_others_move_up(tree: Tree) -> None:
    tree.rebase("sed -i 1d")
    export(tree.layout, tree.root)
    assert tree.names() == ["0001-net-xdp-second.patch", "0002-net-xdp-third.patch"]
    assert tree.text() == (
        "# head\n\n# rest\n0001-net-xdp-second.patch\n0002-net-xdp-third.patch\n# end\n"
    )


def test_other_files_stay(tree: Tree) -> None:
    (tree.series / "0009-idea.patch").write_text("mine")
    tree.rebase("sed -i 1d")
    export(tree.layout, tree.root)
    assert (tree.series / "0009-idea.patch").read_text() == "mine"


def test_a_fixup_is_refused_until_it_is_squashed(tree: Tree) -> None:
    before = tree.files()
    tree.commit("fixup! net: xdp: first", "0.c", "better\n")
    with pytest.raises(LabError, match="still to be squashed") as caught:
        export(tree.layout, tree.root)
    assert caught.value.hint.endswith(f"rebase -i --autosquash {BASE_TAG}")
    assert tree.files() == before
    tree.rebase("true", "--autosquash")
    export(tree.layout, tree.root)
    changed = [name for name, file in tree.files().items() if file != before[name]]
    assert changed == ["0001-net-xdp-first.patch"]
    assert "+better" in (tree.series / changed[0]).read_text()


@pytest.mark.parametrize("line", ["---", "--- a/x.c", "diff --git a/x b/x", "Index: x.c"])
def test_a_message_that_git_am_would_cut_off_is_refused(tree: Tree, line: str) -> None:
    git(tree.linux, "commit", "--amend", "--quiet", f"--message=subject\n\nbody\n\n{line}\nrest")
    with pytest.raises(LabError, match="would cut its message off at the line"):
        export(tree.layout, tree.root)
    git(tree.linux, "commit", "--amend", "--quiet", f"--message=subject\n\nbody\n\n {line}\n-----")
    export(tree.layout, tree.root)


def test_merges_other_trees_and_empty_commits_are_no_series(tree: Tree) -> None:
    before = tree.files()
    git(tree.linux, "commit", "--quiet", "--allow-empty", "--message=nothing")
    with pytest.raises(LabError, match=r"\(nothing\) changes nothing"):
        export(tree.layout, tree.root)
    git(tree.linux, "checkout", "--quiet", "-b", "side", BASE_TAG)
    tree.commit("side", "side.c")
    git(tree.linux, "checkout", "--quiet", "series")
    git(tree.linux, "merge", "--quiet", "--no-edit", "side")
    with pytest.raises(LabError, match="does not follow on the one before it"):
        export(tree.layout, tree.root)
    git(tree.linux, "checkout", "--quiet", "--orphan", "other")
    git(tree.linux, "commit", "--quiet", "--message=other")
    with pytest.raises(LabError):
        export(tree.layout, tree.root)
    assert tree.files() == before


def test_a_tree_without_commits_empties_no_series(tree: Tree) -> None:
    before = tree.files()
    git(tree.linux, "reset", "--quiet", "--hard", BASE_TAG)
    with pytest.raises(LabError, match="has no commit since its tag base") as caught:
        export(tree.layout, tree.root)
    assert caught.value.hint.endswith("reflog has what was there")
    assert tree.files() == before


def test_nothing_is_removed_for_files_that_git_did_not_write(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it wrote others than the lab looked for."""
    before = tree.files()
    real = shutil.which("git")
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin/git"
    wrapper.write_text(
        f'#!/bin/sh\n{real} "$@" || exit\n'
        'for word; do test "$directory" != next || rm "$word/0002-net-xdp-second.patch"\n'
        "case $word in --output-directory) directory=next ;; *) directory= ;; esac; done\n"
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    tree.commit("net: xdp: fourth", "3.c")
    with pytest.raises(LabError, match="made 3 files of 4 commits"):
        export(tree.layout, tree.root)
    assert tree.files() == before


def test_in_the_middle_of_a_rebase_nothing_is_written(tree: Tree) -> None:
    before = tree.files()
    tree.rebase("sed -i 1s/pick/edit/")
    with pytest.raises(LabError, match="in the middle of something"):
        export(tree.layout, tree.root)
    assert tree.files() == before


def test_files_that_changed_since_are_not_written_over(tree: Tree) -> None:
    patch = tree.series / "0002-net-xdp-second.patch"
    patch.write_text(patch.read_text().replace("Body", "A better body"))
    tree.commit("net: xdp: fourth", "3.c")
    with pytest.raises(LabError, match=r"not those that .* was made from"):
        export(tree.layout, tree.root)
    assert "A better body" in patch.read_text()
    git(tree.linux, "reset", "--quiet", "--hard", "HEAD~1")
    apply(tree.layout, parse_series(tree.root))
    export(tree.layout, tree.root)
    assert "A better body" in patch.read_text()


def test_a_line_that_was_taken_out_of_the_series_is_not_put_back(tree: Tree) -> None:
    (tree.series / "series").write_text("0001-net-xdp-first.patch\n")
    with pytest.raises(LabError, match=r"not those that .* was made from"):
        export(tree.layout, tree.root)


def test_a_killed_export_can_be_called_again(tree: Tree) -> None:
    tree.commit("fixup! net: xdp: first", "0.c", "better\n")
    tree.commit("fixup! net: xdp: third", "2.c", "better\n")
    tree.rebase("true", "--autosquash")
    killed = tree.layout.source / "killed"
    killed.mkdir()
    git(tree.linux, "format-patch", "-q", "--zero-commit", "--no-signature", "--abbrev=9",
        "--no-numbered", "-o", str(killed), f"{BASE_TAG}..HEAD")  # fmt: skip
    first = tree.series / tree.names()[0]
    first.write_bytes((killed / first.name).read_bytes())
    (tree.series / f"{first.name}.lab-new").write_text("half")
    export(tree.layout, tree.root)
    for path in killed.iterdir():
        assert (tree.series / path.name).read_bytes() == path.read_bytes()
    assert sorted(path.name for path in tree.series.iterdir()) == [*tree.names(), "series"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["1-a", "2-b", "3-c", "4-d"], "#A\n1-a\n2-b # why\n\n#C\n3-c\n4-d\n#end\n"),
        (
            ["1-a", "2-new", "3-b", "4-c", "5-d"],
            "#A\n1-a\n2-new\n3-b # why\n\n#C\n4-c\n5-d\n#end\n",
        ),
        (["1-b", "2-c", "3-d"], "#A\n1-b # why\n\n#C\n2-c\n3-d\n#end\n"),
        (["1-a", "2-b", "3-d"], "#A\n1-a\n2-b # why\n\n#C\n3-d\n#end\n"),
        (["1-a", "2-b"], "#A\n1-a\n2-b # why\n\n#C\n#end\n"),
        (["1-a", "2-b", "3-renamed", "4-d"], "#A\n1-a\n2-b # why\n\n#C\n3-renamed\n4-d\n#end\n"),
        (["1-b", "2-a", "3-c", "4-d"], "1-b # why\n#A\n2-a\n\n#C\n3-c\n4-d\n#end\n"),
        ([], "#A\n\n#C\n#end\n"),
    ],
)
def test_comments_stay_with_their_patches(names: list[str], expected: str) -> None:
    assert renew("#A\n1-a\n2-b # why\n\n#C\n3-c\n4-d\n#end\n", names) == expected


def cut(tree: Tree, **parts: str) -> None:
    """Have the series consist of these sub-series, with a file for each letter of `123`."""
    files = {name[3]: tree.series / name for name in tree.names()}
    for part, numbers in parts.items():
        (tree.root / part).mkdir()
        for number in numbers:
            files[number].rename(tree.root / part / files[number].name)
        (tree.root / part / "series").write_text(
            "".join(f"{files[number].name}\n" for number in numbers)
        )
    (tree.root / "series").write_text("".join(f"{part}\n" for part in parts))


def by_part(tree: Tree) -> list[str]:
    return [str(patch) for patch in parse_series(tree.root)]


FIRST, SECOND, THIRD = (f"net-xdp-{word}.patch" for word in ("first", "second", "third"))


def test_a_commit_stays_in_its_sub_series_and_a_new_one_goes_with_that_before(tree: Tree) -> None:
    cut(tree, fixes="12", hints="3")
    tree.commit("net: xdp: fourth", "4.c")
    export(tree.layout, tree.root)
    four = "net-xdp-fourth.patch"
    assert by_part(tree) == [
        f"fixes/0001-{FIRST}", f"fixes/0002-{SECOND}", f"hints/0001-{THIRD}", f"hints/0002-{four}",
    ]  # fmt: skip
    tree.rebase("sed -i '1{h;d};2{G}'")
    export(tree.layout, tree.root)
    assert by_part(tree)[:2] == [f"fixes/0001-{SECOND}", f"fixes/0002-{FIRST}"]
    git(tree.linux, "checkout", "--quiet", "-B", "series", BASE_TAG)
    (tree.linux / ".git/lab-series.json").unlink()
    apply(tree.layout, parse_series(tree.root))
    log = git(tree.linux, "log", "--reverse", "--format=%s", f"{BASE_TAG}..HEAD").splitlines()
    assert log == [SUBJECTS[1], SUBJECTS[0], SUBJECTS[2], "net: xdp: fourth"]


def test_a_file_that_was_moved_to_another_sub_series_stays_there(tree: Tree) -> None:
    cut(tree, fixes="1", hints="23")
    (tree.root / f"hints/0002-{SECOND}").rename(tree.root / f"fixes/0002-{SECOND}")
    (tree.root / "fixes/series").write_text(f"0001-{FIRST}\n0002-{SECOND}\n")
    (tree.root / "hints/series").write_text(f"0003-{THIRD}\n")
    export(tree.layout, tree.root)
    assert by_part(tree) == [f"fixes/0001-{FIRST}", f"fixes/0002-{SECOND}", f"hints/0001-{THIRD}"]


def test_sub_series_do_not_mix(tree: Tree) -> None:
    cut(tree, fixes="12", hints="3")
    tree.rebase("sed -i '1{h;d};$G'")
    before = by_part(tree)
    with pytest.raises(LabError, match=f"{FIRST} is of the sub-series fixes, and comes behind"):
        export(tree.layout, tree.root)
    assert by_part(tree) == before


def test_a_sub_series_has_no_more_patches_than_reviewers_take(tree: Tree) -> None:
    for number in range(3, 15):
        tree.commit(f"net: xdp: number {number}", f"{number}.c")
    export(tree.layout, tree.root)
    assert len(tree.names()) == 15
    tree.commit("net: xdp: one more", "more.c")
    with pytest.raises(LabError, match="the sub-series all would have 16 patches"):
        export(tree.layout, tree.root)
    extra = tree.series / "0016-extra.patch"
    extra.write_text("one")
    (tree.series / "series").write_text(tree.text() + f"{extra.name}\n")
    with pytest.raises(LabError, match="names 16 patches"):
        parse_series(tree.root)
