# SPDX-License-Identifier: GPL-2.0-only
"""A kernel is made of the files that are there, whatever their times say; make is make itself.

The tree is a stand-in that puts on record what it read, as Kbuild does. What is right is what
a build from nothing gives.
"""

import itertools
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.artefacts import kbuild, stale
from harness.core.errors import LabError
from harness.core.workspace import Layout

MAKEFILE = """\
objects := $(O)/net/xdp.o $(O)/net/dev.o
vmlinux: $(O)/vmlinux
tinyconfig olddefconfig:
	echo CONFIG_NET=y >$(O)/.config
$(O)/vmlinux: $(objects) scripts/link.sh
	sh scripts/link.sh $(objects) >$@
	mkdir -p $(O)/usr && touch $(O)/usr/gen_init_cpio $(O)/vmlinux.o
$(O)/net/%.o: net/%.c scripts/flags.sh
	mkdir -p $(@D)
	cpp -P -Iarch -Iinclude -D FLAGS="$$(sh scripts/flags.sh)" -MD -MP -MF $@.d -MT $@ $< $@
	{ echo "savedcmd_$@ := sh scripts/flags.sh"; cat $@.d; } >$(@D)/.$(@F).cmd
	echo "  CC      $@"
# Without its record an object is nothing, as in scripts/Kbuild.include.
lost := $(foreach o,$(objects),$(if $(wildcard $(dir $o).$(notdir $o).cmd),,$o))
$(lost): FORCE
FORCE:
-include $(wildcard $(O)/net/*.d)
"""
FILES = {
    "Makefile": MAKEFILE,
    "net/xdp.c": '#include "xdp.h"\nxdp.c: first FLAGS\n',
    "net/dev.c": '#include "dev.h"\n#include "asm.h"\ndev.c: first FLAGS\n',
    "net/README": "first\n",
    "include/xdp.h": "xdp.h: first\n",
    "include/dev.h": "dev.h: first\n",
    "arch/asm.h": "asm.h: first\n",
    "scripts/flags.sh": "echo first\n",
    "scripts/link.sh": 'grep fail net/README && exit 1; cat "$@"; echo linked: first\n',
}
TOOLS = ("gcc", "as", "ld.lld", "pahole")
HOUR_NS = 3600 * 10**9


@dataclass(frozen=True)
class Lab:
    """A tree, and what builds it."""

    tree: Path
    layout: Layout

    def build(self) -> bytes:
        """Build; the kernel."""
        return kbuild.kernel(self.layout, self.tree, (), 1).vmlinux.read_bytes()

    def right(self) -> bytes:
        """What a build from nothing gives."""
        at = self.layout.root / "from-nothing"
        shutil.rmtree(at, ignore_errors=True)
        return kbuild.kernel(Layout(at, at, at), self.tree, (), 1).vmlinux.read_bytes()

    def compiled(self) -> int:
        """Compiler runs of the last build that had something to do."""
        return (self.layout.logs / "kernel.log").read_text().count("\n  CC  ")

    def edit(self, name: str, word: str = "again", was: str = "first") -> None:
        """As an editor does: the file has the time of now. By default it is as long as it was."""
        path = self.tree / name
        text = path.read_text()
        assert was in text
        path.write_text(text.replace(was, word))

    def write(self, name: str, text: str) -> None:
        """Write a file that has an old time."""
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        before = path.stat().st_mtime_ns - HOUR_NS
        os.utime(path, ns=(before, before))


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A tree that was written a while ago, and built."""
    monkeypatch.setattr(kbuild, "require_space", lambda *_: None)
    variant = tmp_path / "build/6.12"
    lab = Lab(tmp_path / "linux", Layout(tmp_path / "build", variant, variant))
    for name, text in FILES.items():
        lab.write(name, text)
    lab.build()
    assert lab.compiled() == 2
    return lab


def copied(file: Path) -> Callable[[], object]:
    """cp -p aside; what it returns is cp -p back."""
    aside = file.parent.parent / "aside"
    shutil.copy2(file, aside)
    return lambda: shutil.copy2(aside, file)


def moved(file: Path) -> Callable[[], object]:
    """mv aside, and a copy of it to edit; what it returns is mv back."""
    aside = file.parent.parent / "aside"
    file.rename(aside)
    shutil.copyfile(aside, file)
    return lambda: aside.replace(file)


def folder_moved(file: Path) -> Callable[[], object]:
    """mv of the folder: of its files not even the time of their last change tells it."""
    aside = file.parent.parent / "aside"
    file.parent.rename(aside)
    shutil.copytree(aside, file.parent)

    def back() -> None:
        shutil.rmtree(file.parent)
        aside.rename(file.parent)

    return back


WAYS = pytest.mark.parametrize("way", [copied, moved, folder_moved])


@WAYS
@pytest.mark.parametrize(
    ("name", "objects"),
    [
        ("include/xdp.h", 1),
        ("net/xdp.c", 1),
        ("scripts/flags.sh", 2),
        ("scripts/link.sh", 2),  # nowhere on record: all is made anew
    ],
)
def test_what_is_put_back_is_built(
    lab: Lab, name: str, objects: int, way: Callable[[Path], Callable[[], object]]
) -> None:
    first = lab.build()
    back = way(lab.tree / name)
    lab.edit(name)
    assert lab.build() == lab.right() != first
    back()
    assert lab.build() == lab.right() == first
    assert lab.compiled() == objects
    assert lab.build() == first
    assert lab.compiled() == objects


def test_a_usual_edit_reads_no_record_and_removes_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stale, "_remove", lambda *_: pytest.fail("looked for what is stale"))
    for _ in range(2):
        lab.edit("net/xdp.c", "once and first")
        (lab.tree / "net/.xdp.c.swp").write_text("first")
        (lab.tree / "net/new.c").write_text("first")
        assert lab.build() == lab.right()
        assert lab.compiled() == 1
        (lab.tree / "net/.xdp.c.swp").unlink()


def test_a_header_in_front_of_another_is_read(lab: Lab) -> None:
    lab.write("arch/xdp.h", "in front\n")
    assert b"in front" in lab.build() == lab.right()
    assert lab.compiled() == 1
    (lab.tree / "arch/xdp.h").unlink()
    assert b"in front" not in lab.build() == lab.right()


def test_another_file_of_an_older_time_is_built(lab: Lab) -> None:
    """As after rsync -t or tar: never built before, of the same length."""
    lab.write("include/dev.h", "dev.h: other\n")
    assert b"dev.h: other" in lab.build() == lab.right()
    assert lab.compiled() == 1


def test_what_was_gone_for_a_build_that_failed(lab: Lab) -> None:
    (lab.tree / "include/xdp.h").rename(lab.tree / "include/aside.h")
    with pytest.raises(LabError):
        lab.build()
    lab.write("include/xdp.h", "xdp.h: other\n")
    assert b"xdp.h: other" in lab.build() == lab.right()


def _fail_behind_the_objects(lab: Lab) -> None:
    """A build that compiles what was edited, and comes to no end."""
    lab.edit("net/README", "fail")
    with pytest.raises(LabError):
        lab.build()
    lab.edit("net/README", "first", was="fail")


@WAYS
def test_put_back_after_a_build_that_came_to_no_end(
    lab: Lab, way: Callable[[Path], Callable[[], object]]
) -> None:
    first = lab.build()
    back = way(lab.tree / "include/xdp.h")
    lab.edit("include/xdp.h")
    _fail_behind_the_objects(lab)
    assert lab.compiled() == 1
    back()
    assert lab.build() == lab.right() == first


def test_what_a_failed_build_compiled_stays(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stale, "SECOND_NS", -1)  # or it counts as half-written
    lab.edit("include/xdp.h")
    _fail_behind_the_objects(lab)
    assert lab.compiled() == 1
    assert lab.build() == lab.right()
    assert lab.compiled() == 0


def _killed(real: Callable[..., object], calls: int) -> Callable[..., object]:
    """A function that is killed in its last of so many calls, before it does anything."""
    counter = itertools.count(1)

    def function(*arguments: object, **named: object) -> object:
        if next(counter) == calls:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    return function


@pytest.mark.parametrize(
    ("killed_in", "calls"), [("_write", 1), ("_write", 2), ("_remove", 1), ("_configure", 1)]
)
def test_a_kill_before_make_loses_nothing(lab: Lab, killed_in: str, calls: int) -> None:
    first = lab.build()
    back = copied(lab.tree / "include/xdp.h")
    lab.edit("include/xdp.h")
    lab.build()
    back()
    with pytest.MonkeyPatch.context() as patch:
        where = kbuild if killed_in == "_configure" else stale
        patch.setattr(where, killed_in, _killed(getattr(where, killed_in), calls))
        with pytest.raises(KeyboardInterrupt):
            lab.build()
    assert lab.build() == lab.right() == first


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("then", ["put back", "another"])
def test_what_was_another_while_make_read_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, ends: bool, then: str
) -> None:
    """Edited after the lab looked, compiled, and put back: the lab finds it as it was.

    Another: older than what was compiled, and newer than the lab's last look.
    """
    monkeypatch.setattr(stale, "SECOND_NS", -1)  # or it counts as half-written
    header, looked = lab.tree / "include/xdp.h", lab.layout.objects / stale.SEEN
    real = kbuild._make

    def make(layout: Layout, tree: Path, words: list[str], *rest: object) -> None:
        if words != ["vmlinux"]:
            real(layout, tree, words, *rest)  # type: ignore[arg-type]
            return
        back = copied(header)
        lab.edit("include/xdp.h", "of that time")
        real(layout, tree, words, *rest)  # type: ignore[arg-type]
        back()
        if then == "another":
            lab.edit("include/xdp.h", "another")
            since = looked.stat().st_mtime_ns + 1
            os.utime(header, ns=(since, since))
        if not ends:
            raise KeyboardInterrupt

    (lab.tree / "net/README").write_text("so that make is called")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kbuild, "_make", make)
        if ends:
            assert b"of that time" in lab.build()
        else:
            with pytest.raises(KeyboardInterrupt):
                lab.build()
    assert b"of that time" not in lab.build() == lab.right()


def test_a_changed_tool_of_the_host_makes_all_anew(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linker = tmp_path / "bin/ld.lld"
    linker.parent.mkdir()
    for version in ("1", "22"):
        linker.write_text(version)
        linker.chmod(0o755)
        monkeypatch.setenv("PATH", f"{linker.parent}:{os.environ['PATH']}")
        lab.build()
        assert lab.compiled() == 2
    (lab.tree / "net/README").write_text("so that make is called")
    lab.build()
    assert lab.compiled() == 0


def test_a_lab_without_a_record_begins_one(lab: Lab) -> None:
    (lab.layout.objects / stale.SEEN).unlink()
    lab.edit("net/dev.c")
    assert lab.build() == lab.right()
    assert lab.compiled() == 1
    lab.write("include/dev.h", "dev.h: other\n")
    assert lab.build() == lab.right()
