# SPDX-License-Identifier: GPL-2.0-only
"""Which of the kernel's own tests are chosen, and what is compiled for them."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.artefacts import inputs, selftest_programs, selftests
from harness.artefacts.selftests import BPF, BPF_SOURCES, NET, TESTS, Part
from harness.core.errors import BadCall
from harness.core.run import CommandFailed
from harness.core.workspace import Layout

MAKEFILE = """
LINKED_SKELS := test_linked.skel.h		\\
		other_linked.skel.h

LSKELS := light.c heavy.c	\\
	fentry.c
LSKELS_EXTRA := both.c

test_linked.skel.h-deps := test_linked1.bpf.o test_linked2.bpf.o
"""
SOURCES = {
    TESTS / "xdp_info.c": 'void serial_test_xdp_info(void)\n{ load("./xdp_dummy.bpf.o"); }',
    TESTS
    / "tc_opts.c": '#include "tc_link.skel.h"\nvoid test_tc_opts_a(void)\nvoid test_tc_opts_b()\n',
    TESTS
    / "links.c": '#include "test_linked.skel.h"\n#include "light.lskel.h"\nvoid test_links(void)',
    TESTS / "synproxy.c": 'void test_synproxy(void)\n{ SYS("./synproxy --iface"); SYS("./none"); }',
    TESTS / "helpers.h": "",
    TESTS / "tests.h": "of a build in the tree",
    BPF_SOURCES / "btf_data.c": "",
    BPF_SOURCES / "xdp_dummy.c": "",
    BPF_SOURCES / "tc_link.c": '#include "common.c"',
    BPF_SOURCES / "common.c": "",
    BPF_SOURCES / "light.c": "",
    BPF_SOURCES / "test_linked1.c": "",
    BPF_SOURCES / "test_linked2.c": "",
    BPF_SOURCES / "synproxy_kern.c": "",
    BPF_SOURCES / "unused.c": "",
    BPF_SOURCES / "header.h": "",
    BPF / "synproxy.c": "",
    BPF / "test_progs.c": "",
    BPF / "Makefile": MAKEFILE,
    NET / "gro.sh": "./gro --rx\nip link set xdp object dummy.bpf.o",
    NET / "veth.sh": "./nothing.sh",
    NET / "gro.c": "",
    NET / "dummy.bpf.c": "",
    Path("tools/lib/bpf/libbpf.c"): "",
    Path("Kconfig"): "",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for path, text in SOURCES.items():
        (tmp_path / "linux" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "linux" / path).write_text(text)
    return tmp_path / "linux"


def chosen(tree: Path, *names: str) -> list[str]:
    return [test.name for test in selftests.choose(selftests.all_of(tree), names)]


def test_a_name_is_a_part_of_a_tests_or_a_scripts_whole(tree: Path) -> None:
    assert chosen(tree, "tc_") == ["tc_opts_a", "tc_opts_b"]
    assert chosen(tree, "gro.sh", "xdp", "xdp_info") == ["xdp_info", "gro.sh"]
    assert chosen(tree, "*.sh") == ["gro.sh", "veth.sh"]
    assert chosen(tree, "opts_b", "veth.sh") == ["tc_opts_b", "veth.sh"]


@pytest.mark.parametrize("name", ["xdp_none", "gro", "eth.sh", "links.c", "", ".sh"])
def test_a_name_of_nothing_is_refused(tree: Path, name: str) -> None:
    with pytest.raises(BadCall, match=f"with the name {name!r}"):
        chosen(tree, "xdp_info", name)


def test_an_editors_files_are_none(tree: Path) -> None:
    (tree / TESTS / ".#xdp_info.c").symlink_to("somebody@host.1")
    (tree / NET / ".#gro.sh").symlink_to("somebody@host.1")
    assert chosen(tree, "xdp", "*.sh") == ["xdp_info", "gro.sh", "veth.sh"]


def of_runner(tree: Path, *names: str) -> Part:
    (part,) = selftests.parts(tree, selftests.choose(selftests.all_of(tree), names))
    return part


def linked(tree: Path, part: Part) -> dict[Path, set[str]]:
    links = tree.parent / "links"
    selftest_programs._link(tree, links, part)
    assert (links / "tools/lib").readlink() == tree / "tools/lib"
    return {
        folder: {path.name for path in (links / folder).iterdir()}
        for folder in (BPF, TESTS, BPF_SOURCES)
    }


def test_only_what_a_test_names_is_compiled(tree: Path) -> None:
    part = of_runner(tree, "xdp_info")
    assert part.programs == ("test_progs",)
    assert part.objects == ("btf_data.bpf.o", "xdp_dummy.bpf.o")
    assert part.settings[:3] == ("LSKELS=", "LSKELS_EXTRA=", "LINKED_SKELS=")
    assert linked(tree, part) == {
        BPF: {"prog_tests", "progs", "synproxy.c", "test_progs.c", "Makefile"},
        # Not tests.h: make would write it through the link into the tree.
        TESTS: {"xdp_info.c", "helpers.h"},
        BPF_SOURCES: {"btf_data.c", "xdp_dummy.c", "header.h"},
    }


def test_the_tree_of_links_follows_another_choice(tree: Path) -> None:
    linked(tree, of_runner(tree, "xdp_info"))
    found = linked(tree, of_runner(tree, "tc_"))
    assert found[TESTS] == {"tc_opts.c", "helpers.h"}
    assert found[BPF_SOURCES] == {"btf_data.c", "tc_link.c", "common.c", "header.h"}


def test_linked_and_light_skeletons_are_asked_for(tree: Path) -> None:
    part = of_runner(tree, "links")
    assert part.settings[:3] == (
        "LSKELS=light.c",
        "LSKELS_EXTRA=",
        "LINKED_SKELS=test_linked.skel.h",
    )
    assert {"light.c", "test_linked1.c", "test_linked2.c"} < part.sources


@pytest.mark.parametrize(
    "named",
    [*(f'#include "light.{kind}.h"' for kind in ("skel", "lskel", "subskel")), '"./light.bpf.o"'],
)
def test_a_bpf_program_is_named_in_several_ways(tree: Path, named: str) -> None:
    (tree / TESTS / "mine.c").write_text(f"{named}\nvoid test_mine(void)\n")
    assert of_runner(tree, "mine").sources == {"btf_data.c", "light.c"}


def test_a_program_that_a_test_starts_is_made_with_what_it_loads(tree: Path) -> None:
    part = of_runner(tree, "synproxy")
    assert part.programs == ("test_progs", "synproxy")
    assert "synproxy_kern.c" in part.sources


def test_of_net_what_its_scripts_start_and_load(tree: Path) -> None:
    assert of_runner(tree, "*.sh") == Part(NET, ("gro",), ("dummy.bpf.o",))


OBJECTS = ("xdp_dummy.bpf.o", "common.bpf.o", "xdp_info.test.o", "test_progs.o")


@pytest.fixture
def objects(tree: Path) -> Path:
    """What a whole build left."""
    begin(tree)
    made = tree.parent / "obj"
    (made / "bpf").mkdir()
    for name in OBJECTS:
        (made / "bpf" / name).touch()
    (made / selftest_programs.UNFINISHED).unlink()
    return made


def begin(tree: Path, made_by: str = "clang") -> None:
    read = inputs.below(tree, str(BPF), str(NET), "tools/lib")
    selftest_programs._begin(tree, tree.parent / "obj", made_by, read)


def left(objects: Path) -> set[str]:
    return {path.name for path in objects.glob("bpf/*")}


def put(path: Path, text: str) -> None:
    """Replace a file's content by what is older, as cp -p does."""
    path.write_text(text)
    os.utime(path, (10**9, 10**9))


def test_objects_are_kept(tree: Path, objects: Path) -> None:
    begin(tree)
    assert left(objects) == set(OBJECTS)


def test_after_a_kill_or_by_another_compiler_none_is(tree: Path, objects: Path) -> None:
    begin(tree, "another clang")
    assert left(objects) == set()
    (objects / "bpf").mkdir()
    (objects / "bpf" / "half.o").touch()
    begin(tree, "another clang")
    assert left(objects) == set(), "the last one came to no end"


def test_a_source_that_is_another_one_takes_its_object_with_it(tree: Path, objects: Path) -> None:
    put(tree / BPF_SOURCES / "xdp_dummy.c", "int another;")
    put(tree / TESTS / "xdp_info.c", "void test_xdp_info(void) { another(); }")
    begin(tree)
    assert left(objects) == {"common.bpf.o", "test_progs.o"}


@pytest.mark.parametrize(
    "name", [BPF_SOURCES / "header.h", BPF_SOURCES / "common.c", BPF / "Makefile", NET / "gro.c"]
)
def test_what_others_are_made_of_takes_all(tree: Path, objects: Path, name: Path) -> None:
    put(tree / name, "int another;")
    begin(tree)
    assert left(objects) == set()


def test_what_is_removed_counts_as_well(tree: Path, objects: Path) -> None:
    (tree / BPF_SOURCES / "xdp_dummy.c").unlink()
    begin(tree)
    assert left(objects) == {"common.bpf.o", "xdp_info.test.o", "test_progs.o"}
    (objects / selftest_programs.UNFINISHED).unlink()
    (tree / BPF_SOURCES / "header.h").unlink()
    begin(tree)
    assert left(objects) == set()


class Make:
    """A stand-in for make, which makes what it is told to; until it refuses."""

    def __init__(self, tree: Path) -> None:
        self.called = 0
        self.refuses = False
        self._output = tree.parent / "variant/selftests.obj/bpf"

    def __call__(self, source: Path, settings: Sequence[str], *targets: str, **_: object) -> None:
        self.called += 1
        if self.refuses:
            (self._output / "half.bpf.o").touch()
            raise CommandFailed("make failed", output="a.c:1: error: no such type", log=None)
        for target in targets:
            Path(target).touch()


@pytest.fixture
def make(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    made = Make(tree)
    monkeypatch.setattr(selftest_programs, "make", made)
    monkeypatch.setattr(selftest_programs, "run", lambda argv, **_: Path(argv[3]).touch())
    monkeypatch.setattr(selftest_programs, "libraries", lambda _: [])
    monkeypatch.setattr(selftest_programs, "require_space", lambda *_: None)
    return made


@pytest.fixture
def programs(tree: Path) -> Callable[..., set[str]]:
    """Have the chosen tests compiled; the names of what is packed of bpf/."""
    top = tree.parent
    layout = Layout(top, top, top / "variant")
    (top / "vmlinux.h").touch()

    def have(*names: str, types: str = "") -> set[str]:
        (top / "vmlinux.h").write_text(types)
        tests = selftests.choose(selftests.all_of(tree), names)
        folder = selftest_programs.programs(
            layout, top / "vmlinux", top / "vmlinux.h", tree, tests, "clang"
        )
        return {path.name for path in (folder / "bpf").iterdir()}

    return have


def test_another_choice_or_a_kernel_with_other_types_has_its_own(
    make: Make, programs: Callable[..., set[str]]
) -> None:
    assert programs("xdp_info") == {"test_progs", "btf_data.bpf.o", "xdp_dummy.bpf.o"}
    programs("xdp_info")
    assert make.called == 1
    of_tc = {"test_progs", "btf_data.bpf.o", "tc_link.bpf.o", "common.bpf.o"}
    assert programs("tc_") == of_tc
    assert programs("tc_", types="struct xdp_md;") == of_tc
    assert make.called == 3


def test_what_came_to_no_end_leaves_no_object(
    tree: Path, make: Make, programs: Callable[..., set[str]]
) -> None:
    make.refuses = True
    with pytest.raises(selftest_programs.DoesNotCompile, match="no such type"):
        programs("xdp_info")
    half = tree.parent / "variant/selftests.obj/bpf/half.bpf.o"
    assert half.exists()
    make.refuses = False
    programs("xdp_info")
    assert not half.exists()


def test_only_what_is_chosen_is_packed(
    tree: Path, objects: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what an earlier choice left, which may be old."""
    target, library = tree.parent / "packed", tree.parent / "libelf.so.1"
    (target / selftest_programs.LIBRARIES).mkdir(parents=True)
    for name in ("btf_data.bpf.o", "test_progs"):
        (objects / "bpf" / name).touch()
    library.touch()
    monkeypatch.setattr(selftest_programs, "run", lambda argv, **_: Path(argv[3]).touch())
    monkeypatch.setattr(selftest_programs, "libraries", lambda _: [library])
    (tree / BPF / "with_addr.sh").touch()
    part = of_runner(tree, "xdp_info")
    assert selftest_programs._pack(tree, part, objects / "bpf", target) == {library}
    packed = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert packed == {
        *("bpf/test_progs", "bpf/btf_data.bpf.o", "bpf/xdp_dummy.bpf.o", "bpf/with_addr.sh"),
        "lib/libelf.so.1",
    }


def test_the_first_error_is_shown_and_no_other_trouble_is_one() -> None:
    lines = [*map(str, range(30)), "progs/a.c:3:1: error: unknown type", *map(str, range(30, 60))]
    failed = CommandFailed("make failed", output="\n".join(lines), log=None)
    message = selftest_programs._explained(failed).message
    assert "unknown type" in message and "29" in message and "0\n" not in message.split("29")[0]
    late = CommandFailed(
        "make did not end in 3600 s", output="\n".join(map(str, range(9))), log=None
    )
    assert selftest_programs._explained(late) is late
    full = CommandFailed(
        "make failed", output="a.c:9: error: write: No space left on device", log=None
    )
    assert full.hint and selftest_programs._explained(full) is full
