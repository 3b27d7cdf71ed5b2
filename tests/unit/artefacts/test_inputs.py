# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel was made of counts, what it was not made of doesn't; Kbuild is a stand-in."""

import os
from pathlib import Path

import pytest

from harness.artefacts import inputs

READ = {
    "net/core/xdp.c": "read",
    "net/core/dev.h": "in a folder that was read from",
    "include/net/xdp.h": "read, through another folder's name",
    "net/Makefile": "of a folder that was entered",
    "drivers/rtc/Makefile": "of a folder with nothing to compile",
    "drivers/nfc/Kconfig": "of a folder that was never entered",
    "scripts/gdb/linux/utils.py": "of a tool",
    "kernel/configs/tiny.config": "of all that is configured",
    "Makefile": "the first",
}
NOT_READ = ("drivers/nfc/core.c", "drivers/rtc/class.c", "Documentation/bpf/index.rst", ".git/HEAD")
LATER = 10**18  # ns, of every file of the tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "linux"
    for name in (*READ, *NOT_READ):
        _write(tree / name)
    return tree


@pytest.fixture(params=["absolute", "relative"])
def obj(request: pytest.FixtureRequest, tmp_path: Path, tree: Path) -> Path:
    """A build's folder after a first kernel; its paths are relative with CCACHE_BASEDIR."""
    obj = tmp_path / "obj"
    (obj / "drivers/rtc").mkdir(parents=True)
    at = tree if request.param == "absolute" else "../linux"
    _kbuild(obj, "net/core/.xdp.o.cmd", f"{at}/net/core/xdp.c {at}/net/../include/net/xdp.h")
    _kbuild(obj, "include/config/auto.conf.cmd", "drivers/nfc/Kconfig \\\n $(wildcard x/y)")
    return obj


def _write(path: Path, text: str = "x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(0, LATER))


def _kbuild(obj: Path, command: str, words: str) -> None:
    path = obj / command
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"savedcmd_{command} := gcc -I{words} -c\n\ndeps := \\\n  {words} \\\n /usr/x.h"
    )


def _names(lines: list[str]) -> set[str]:
    return {os.path.normpath(line.split()[0]) for line in lines}


def test_all_that_a_kernel_was_made_of_counts(tree: Path, obj: Path) -> None:
    assert not inputs.known(obj)
    places = inputs.learn(obj, tree)
    assert inputs.known(obj) == places
    assert _names(inputs.listing(tree, places)) == set(READ)


@pytest.mark.parametrize("change", ["content", "time", "new", "removed", "folder removed"])
def test_each_change_of_what_was_read_shows(tree: Path, obj: Path, change: str) -> None:
    places = inputs.learn(obj, tree)
    before = inputs.listing(tree, places)
    for name in NOT_READ:
        _write(tree / name, "longer")
    assert inputs.listing(tree, places) == before
    match change:
        case "content":
            _write(tree / "net/core/xdp.c", "longer")
        case "time":
            os.utime(tree / "net/core/xdp.c", ns=(0, LATER + 1))
        case "new":
            _write(tree / "net/core/bpf.h")
        case "removed":
            (tree / "drivers/nfc/Kconfig").unlink()
        case "folder removed":
            for path in (tree / "net/core").iterdir():
                path.unlink()
            (tree / "net/core").rmdir()
    assert inputs.listing(tree, places) != before


def test_a_later_build_adds_what_it_read(tree: Path, obj: Path) -> None:
    first = inputs.learn(obj, tree)
    assert inputs.learn(obj, tree) == first
    _kbuild(obj, "drivers/nfc/.core.o.cmd", f"{tree}/drivers/nfc/core.c")
    assert inputs.learn(obj, tree) - first == {"./drivers/nfc"}


def test_a_lost_record_is_made_anew(tree: Path, obj: Path) -> None:
    first = inputs.learn(obj, tree)
    (obj / inputs.RECORD).unlink()
    assert inputs.learn(obj, tree) == first


def test_a_path_to_the_tree_may_be_another_one(tree: Path, obj: Path, tmp_path: Path) -> None:
    """make(1) writes the folder's true path."""
    link = tmp_path / "link"
    link.symlink_to(tree)
    assert inputs.learn(obj, link) == inputs.learn(obj, tree)
    assert "./net/core" in inputs.known(obj)


def test_what_changed_during_a_build_is_unsure(tree: Path, obj: Path, tmp_path: Path) -> None:
    """Also if it got an older time: mv(1) and rsync(1) keep it."""
    started = tmp_path / "started"
    started.touch()
    _write(tree / "net/core/xdp.c")
    while (tree / "net/core/xdp.c").stat().st_ctime_ns <= started.stat().st_mtime_ns:
        _write(tree / "net/core/xdp.c")
    places = inputs.learn(obj, tree)
    since = inputs.listing(tree, places, since=started)
    assert set(since) - set(inputs.listing(tree, places)) == {f"./net/core/xdp.c {inputs.UNSURE}"}
    assert len(since) == len(inputs.listing(tree, places))
    (obj / inputs.RECORD).unlink()
    assert f"./net/core/xdp.c {inputs.UNSURE}" in inputs.look(obj, tree, since=started)


def test_all_files_below(tree: Path) -> None:
    assert _names(inputs.below(tree)) == {*READ, *NOT_READ} - {".git/HEAD"}
    assert _names(inputs.below(tree, "net", "missing")) == {n for n in READ if n.startswith("net/")}


def test_a_link_counts_as_the_file_that_it_leads_to(tmp_path: Path) -> None:
    tree, file = tmp_path / "tree", tmp_path / "xdp.c"
    tree.mkdir()
    file.write_text("one\n")
    (tree / "xdp.c").symlink_to(file)
    (tree / "gone.h").symlink_to("nowhere")
    mark = tmp_path / "mark"
    mark.touch()
    os.utime(mark, (2**31, 2**31))
    before = inputs.below(tree)
    assert [line.split()[0] for line in before] == ["./xdp.c"]
    assert inputs.below(tree, since=mark) == before
    file.write_text("another\n")
    assert inputs.below(tree) != before
    os.utime(mark, (1, 1))
    assert inputs.listing(tree, ["."], mark) == [f"./xdp.c {inputs.UNSURE}"]
