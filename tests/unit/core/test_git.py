# SPDX-License-Identifier: GPL-2.0-only
"""git works on the tree that it is told, by the lab's settings, whatever else is set anywhere."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.artefacts.patches import apply, commits, is_dirty, parse_series
from harness.artefacts.scratch_tree import check_out, clone, compose, diff_of
from harness.artefacts.source import BASE_TAG
from harness.core.git import git, look
from harness.core.run import CommandFailed, run
from harness.core.workspace import ROOT, Layout, Selection
from harness.series import bisect
from harness.series.export import export
from harness.testing import provenance


def make_tree(tree: Path) -> Path:
    """A repository with a base and two commits."""
    tree.mkdir(parents=True)
    git(tree, "init", "--quiet", "--initial-branch=series")
    for number, subject in enumerate(("base", "net: one", "net: two")):
        (tree / "Makefile").write_text("".join(f"line {at}\n" for at in range(10 + number)))
        git(tree, "add", "--all")
        git(tree, "commit", "--quiet", f"--message={subject}\n\nBody.")
        if not number:
            git(tree, "tag", BASE_TAG)
    return tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "6.12" / "linux")


def contents(directory: Path) -> dict[str, bytes | str]:
    """Every file of it, and every link."""
    return {
        str(path): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in directory.rglob("*")
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A user's repository, in a hook of whose linked worktree git is."""
    victim = make_tree(tmp_path / "victim" / "repository")
    git(victim, "worktree", "add", "--quiet", str(tmp_path / "victim" / "worktree"))
    (tmp_path / "victim/worktree/mine").write_text("not committed")
    return tmp_path / "victim"


def of_a_hook(victim: Path) -> dict[str, str]:
    """What git exports there, and more that would lead to it."""
    place = str(victim / "repository/.git/worktrees/worktree")
    return {
        "GIT_DIR": place,
        "GIT_WORK_TREE": str(victim / "worktree"),
        "GIT_INDEX_FILE": f"{place}/index",
        "GIT_PREFIX": "",
        "GIT_COMMON_DIR": str(victim / "repository/.git"),
        "GIT_OBJECT_DIRECTORY": str(victim / "repository/.git/objects"),
        "GIT_AUTHOR_NAME": "Somebody",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.worktree",
        "GIT_CONFIG_VALUE_0": str(victim / "worktree"),
    }


def use_everything(directory: Path) -> None:
    """What the lab does with git: a tree is made, cloned, exported, and its series applied."""
    tree = make_tree(directory / "6.12" / "linux")
    layout = Layout(directory, tree.parent, tree.parent)
    copy = directory / "copy"
    clone(copy, tree)
    series = commits(tree)
    check_out(copy, series[0].hash)
    compose(copy, series[0].hash, [diff_of(copy, series[1], "0002")], "made")
    files = directory / "series"
    exported(layout, files)
    git(tree, "reset", "--quiet", "--hard", BASE_TAG)
    (tree / ".git/lab-series.json").unlink()
    apply(layout, parse_series(files))
    assert [each.subject for each in commits(tree)] == ["net: one", "net: two"]
    assert not is_dirty(tree)
    assert provenance._commit(tree) == look(tree, "rev-parse", "--short=12", "HEAD").strip()


def test_a_users_repository_is_left_alone(
    victim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(victim)
    for name, value in of_a_hook(victim).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(victim / "worktree")
    use_everything(tmp_path / "ours")
    assert contents(victim) == before


def test_the_labs_tests_leave_it_alone_too(victim: Path) -> None:
    before = contents(victim)
    words = [sys.executable, "-m", "pytest", "-q", "-x"]
    names = [
        "tests/unit/artefacts/test_patches.py",
        "tests/unit/artefacts/test_scratch_tree.py",
        "tests/unit/series/test_export.py",
    ]
    environment = {**os.environ, **of_a_hook(victim)}
    done = subprocess.run(
        [*words, *names], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert contents(victim) == before
    assert done.returncode == 0, done.stdout


def test_no_test_calls_git_past_the_labs() -> None:
    """It would obey what a hook of the user's exports."""
    for source in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.List | ast.Tuple) and node.elts:
                first = node.elts[0]
                assert not (isinstance(first, ast.Constant) and first.value == "git"), (
                    f"{source.name}:{node.lineno}"
                )


def test_no_repository_above_is_taken(tree: Path) -> None:
    inner = tree / "inner"
    inner.mkdir()
    before = contents(tree)
    for arguments in (["rev-parse", "HEAD"], ["commit", "--allow-empty", "--message=mine"]):
        with pytest.raises(CommandFailed, match="not a git repository"):
            git(inner, *arguments)
    (inner / ".git").write_text("gitdir: nowhere\n")
    with pytest.raises(CommandFailed, match="not a git repository"):
        git(inner, "status")
    (inner / ".git").unlink()
    assert provenance._commit(inner) == "not in git"
    assert contents(tree) == before


def nasty(tree: Path, directory: Path) -> Path:
    """Set what a user may have set, there; returns the file that any hook or program would make."""
    ran = directory / "ran"
    program = directory / "program"
    program.write_text(f"#!/bin/sh\ntouch {ran}\nexit 1\n")
    program.chmod(0o755)
    hooks = directory / "hooks"
    hooks.mkdir()
    known = ("applypatch-msg", "pre-applypatch", "post-applypatch", "pre-commit", "commit-msg",
             "prepare-commit-msg", "post-commit", "post-checkout", "post-index-change",
             "reference-transaction", "post-merge", "pre-auto-gc", "post-rewrite")  # fmt: skip
    for name in known:
        (hooks / name).symlink_to(program)
    (tree / ".git/hooks").mkdir(exist_ok=True)
    for name in known:
        (tree / ".git/hooks" / name).symlink_to(program)
    (directory / "attributes").write_text("* text eol=crlf\n*.c binary\n")
    (directory / "excludes").write_text("*\n")
    (directory / "order").write_text("z*\n")
    (tree / ".git/info").mkdir(exist_ok=True)
    for key, value in {
        "core.hooksPath": hooks,
        "core.fsmonitor": program,
        "core.editor": program,
        "core.pager": program,
        "core.attributesFile": directory / "attributes",
        "core.excludesFile": directory / "excludes",
        "core.autocrlf": "true",
        "core.eol": "crlf",
        "core.quotePath": "false",
        "core.abbrev": "40",
        "core.worktree": directory,
        "commit.gpgSign": "true",
        "tag.gpgSign": "true",
        "gpg.program": program,
        "log.showSignature": "true",
        "log.decorate": "full",
        "color.ui": "always",
        "color.diff": "always",
        "i18n.commitEncoding": "ISO-8859-1",
        "i18n.logOutputEncoding": "ISO-8859-1",
        "am.threeWay": "true",
        "am.keepcr": "true",
        "apply.whitespace": "error-all",
        "mailinfo.scissors": "true",
        "user.name": "Somebody Else",
        "author.email": "else@example.org",
        "diff.external": program,
        "diff.cpp.command": program,
        "diff.cpp.textconv": program,
        "diff.cpp.xfuncname": "^nothing$",
        "diff.noprefix": "true",
        "diff.mnemonicPrefix": "true",
        "diff.context": "0",
        "diff.interHunkContext": "50",
        "diff.algorithm": "patience",
        "diff.orderFile": directory / "order",
        "diff.renames": "false",
        "diff.relative": "true",
        "diff.statGraphWidth": "1",
        "diff.suppressBlankEmpty": "true",
        "diff.indentHeuristic": "false",
        "diff.colorMoved": "plain",
        "format.suffix": ".mbox",
        "format.signOff": "true",
        "format.signature": "somebody",
        "format.subjectPrefix": "PATCH net-next",
        "format.numbered": "true",
        "format.coverLetter": "true",
        "format.coverFromDescription": "subject",
        "format.attach": "true",
        "format.thread": "deep",
        "format.to": "netdev@vger.kernel.org",
        "format.cc": "netdev@vger.kernel.org",
        "format.headers": "X-Mine: 1",
        "format.from": "Else <else@example.org>",
        "format.forceInBodyFrom": "true",
        "format.useAutoBase": "true",
        "format.notes": "true",
        "format.filenameMaxLength": "8",
        "format.outputDirectory": directory / "elsewhere",
        "format.encodeEmailHeaders": "false",
        "format.pretty": "raw",
        "format.noprefix": "true",
    }.items():
        git(tree, "config", "--file", str(tree / ".git/config"), key, str(value))
    (tree / ".git/info/attributes").write_text("*.c -diff\nMakefile diff=cpp\n")
    return ran


def exported(layout: Layout, directory: Path) -> dict[str, bytes]:
    part = directory / "all"
    part.mkdir(parents=True)
    (directory / "series").write_text("all\n")
    (part / "series").write_text("")
    (layout.linux / ".git/lab-series.json").unlink(missing_ok=True)
    export(layout, directory)
    return {path.name: path.read_bytes() for path in part.iterdir()}


def test_an_export_has_the_same_bytes_whatever_the_tree_is_told(tree: Path, tmp_path: Path) -> None:
    """Long hunks, a new file, one that moved, a name and a message that are not ASCII."""
    body = "{\n\tgoto out;\n\n\nout:\n\n\n\n"
    text = "".join(f"int f{number}(void)\n{body}\treturn {number};\n}}\n" for number in range(30))
    (tree / "net.c").write_text(text)
    (tree / "z\u00fc.c").write_text("int z;\n")
    (tree / ".gitattributes").write_text("*.c diff=cpp\n")
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message=net: files\n\nM\u00fcller wants them.")
    git(tree, "mv", "net.c", "xdp.c")
    (tree / "xdp.c").write_text(text.replace("return 7", "return 70").replace("return 9;", "\n"))
    git(tree, "commit", "--quiet", "--all", "--message=net: xdp: \u00fcber\n\nBody.")
    git(tree, "notes", "add", "--message=mine", "HEAD")
    layout = Layout(tmp_path, tree.parent, tree.parent)
    before = exported(layout, tmp_path / "before")
    assert b"similarity index" in before["0004-net-xdp-ber.patch"]
    assert b"@@ int f7(void)\n" in before["0004-net-xdp-ber.patch"]  # by the attribute, not out:
    ran = nasty(tree, tmp_path)
    assert exported(layout, tmp_path / "after") == before
    assert not ran.exists()


def test_a_series_is_applied_the_same_whatever_the_tree_is_told(tree: Path, tmp_path: Path) -> None:
    layout = Layout(tmp_path, tree.parent, tree.parent)
    exported(layout, tmp_path / "series")
    before = [each.hash for each in commits(tree)]
    ran = nasty(tree, tmp_path)
    (tree / ".git/info/attributes").unlink()
    git(tree, "reset", "--quiet", "--hard", BASE_TAG)
    (tree / ".git/lab-series.json").unlink()
    apply(layout, parse_series(tmp_path / "series"))
    assert [each.hash for each in commits(tree)] == before
    assert not is_dirty(tree)
    copy = tmp_path / "copy"
    clone(copy, tree)
    base, diff = f"{before[0]}^", diff_of(tree, commits(tree)[0], "0001")
    check_out(copy, compose(copy, base, [diff], "made"))
    assert (copy / "Makefile").read_bytes() == b"".join(b"line %d\n" % at for at in range(11))
    assert not ran.exists()


def test_a_users_own_files_are_not_read(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".config/git").mkdir(parents=True)
    (home / ".gitconfig").write_text("no configuration")  # at which a git that reads it ends
    (home / ".config/git/attributes").write_text("* eol=crlf\n")
    (home / ".config/git/ignore").write_text("*\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    made = make_tree(tmp_path / "made")
    assert git(made, "rev-parse", "HEAD") == git(tree, "rev-parse", "HEAD")
    check_out(made, BASE_TAG)
    assert b"\r" not in (made / "Makefile").read_bytes()
    assert not (made / ".git/hooks").exists()  # what the system's templates have


def test_replaced_and_grafted_commits_are_what_they_were(tree: Path) -> None:
    before = commits(tree)
    git(tree, "replace", before[1].hash, before[0].hash)
    (tree / ".git/info").mkdir(exist_ok=True)
    (tree / ".git/info/grafts").write_text(f"{before[1].hash}\n")
    assert commits(tree) == before


@pytest.fixture
def anothers(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree that git takes for another owner's, as its own tests have it do."""
    real = shutil.which("git")
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin/git"
    wrapper.write_text(f'#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {real} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    with pytest.raises(CommandFailed, match="dubious ownership"):
        by_hand = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        run(["sh", "-c", "git status"], cwd=tree, env=by_hand, deadline=30)
    return tree


def test_anothers_tree_is_read(anothers: Path, tmp_path: Path) -> None:
    last = commits(anothers)[-1].hash
    os.utime(anothers / "Makefile", (0, 0))  # which has a git that may write renew the index
    before = contents(anothers)
    assert provenance._commit(anothers) == last[:12]
    copy = tmp_path / "copy"
    clone(copy, anothers)
    check_out(copy, last)

    class Place:
        origin = anothers
        selection = Selection()

    assert bisect._commit(Place(), "HEAD") == last  # type: ignore[arg-type]
    assert contents(anothers) == before


def test_the_labs_own_trees_may_be_anothers(anothers: Path, tmp_path: Path) -> None:
    """Root of a container works on a user's checkout."""
    use_everything(tmp_path / "ours")
