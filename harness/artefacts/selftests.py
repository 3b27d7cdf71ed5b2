# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's own tests of BPF and of its network: which there are, and what they need.

tools/testing/selftests/bpf has a runner, test_progs, of several hundred tests and a thousand BPF
programs; tools/testing/selftests/net has scripts, and programs that they start.
"""

import fnmatch
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import BadCall

FOLDER = Path("tools/testing/selftests")
BPF, NET = FOLDER / "bpf", FOLDER / "net"
TESTS, BPF_SOURCES = BPF / "prog_tests", BPF / "progs"
RUNNER = "test_progs"
# As the Makefile finds the tests for tests.h.
DEFINED = re.compile(r"^void (?:serial_)?test_(\w+)\((?:void)?\)", re.MULTILINE)
# Of a BPF program: its skeletons, the object that is loaded by its name, or its source.
NAMED = re.compile(r"\b(\w+)\.(?:skel\.h|lskel\.h|subskel\.h|bpf\.o|c\")")
STARTED = re.compile(r"\./(\w+)")
LINKED = re.compile(r"^(\w+)\.skel\.h-deps := (.*)$", re.MULTILINE)
# Into the runner's own BTF goes what resolve_btfids finds in this one's.
ALWAYS = "btf_data"
# Lists of the Makefile, of programs for which it makes other skeletons.
LISTS = {"LSKELS": ".c", "LSKELS_EXTRA": ".c", "LINKED_SKELS": ".skel.h"}


@dataclass(frozen=True)
class Selftest:
    """One of the kernel's own tests.

    name: of one of test_progs; or of a script, with its .sh.
    source: its file, from the tree's top.
    """

    name: str
    source: Path

    def __str__(self) -> str:
        return self.name

    @property
    def of_runner(self) -> bool:
        """Whether test_progs has it, which tells what came of each of its parts."""
        return self.source.parent == TESTS


@dataclass(frozen=True)
class Part:
    """What is to be made in one folder of the tree.

    programs, objects: by their names; objects of BPF only.
    tests, sources: files of prog_tests and of progs that the Makefile is to find.
    settings: for the Makefile.
    """

    folder: Path
    programs: tuple[str, ...]
    objects: tuple[str, ...]
    tests: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    settings: tuple[str, ...] = ()


def files_of(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder, without an editor's own."""
    found = (path for path in folder.glob(pattern) if not path.name.startswith("."))
    return sorted(path for path in found if path.is_file())


def all_of(tree: Path) -> list[Selftest]:
    """The tests of a tree, sorted, those of test_progs first."""
    runner = [
        Selftest(test, path.relative_to(tree))
        for path in files_of(tree / TESTS, "*.c")
        for test in DEFINED.findall(path.read_text(errors="replace"))
    ]
    scripts = [Selftest(path.name, NET / path.name) for path in files_of(tree / NET, "*.sh")]
    return [*sorted(runner, key=str), *sorted(scripts, key=str)]


def choose(tests: Sequence[Selftest], names: Sequence[str]) -> list[Selftest]:
    """Those of them that these names mean, in the same order.

    A name that ends in .sh is a script of net/, and may be a pattern, as udpgro*.sh; another one
    is a part of the name of a test of test_progs, as its -t takes it.
    Raises BadCall for one that means nothing.
    """
    chosen: set[Selftest] = set()
    for name in names:
        meant = meaning(tests, name)
        if not meant:
            raise BadCall(
                f"the kernel has no test of its own with the name {name!r}",
                hint=f"a part of the name of one of {TESTS}, or a script of {NET}, as veth.sh",
            )
        chosen |= meant
    return [test for test in tests if test in chosen]


def meaning(tests: Iterable[Selftest], name: str) -> set[Selftest]:
    """What one name means, see choose."""
    if not name:
        return set()
    if name.endswith(".sh"):
        scripts = (test for test in tests if not test.of_runner)
        return {test for test in scripts if fnmatch.fnmatchcase(test.name, name)}
    return {test for test in tests if test.of_runner and name in test.name}


def parts(tree: Path, tests: Sequence[Selftest]) -> Iterator[Part]:
    """What has to be made for these tests."""
    sources = sorted({test.source for test in tests if test.of_runner})
    if sources:
        yield _of_runner(tree, sources)
    scripts = [test.source for test in tests if not test.of_runner]
    if scripts:
        loaded = {name for name in _names(tree, scripts) if (tree / NET / f"{name}.bpf.c").exists()}
        objects = tuple(f"{name}.bpf.o" for name in sorted(loaded))
        yield Part(NET, _started(tree, NET, scripts), objects)


def _of_runner(tree: Path, tests: Sequence[Path]) -> Part:
    started = _started(tree, BPF, tests)
    named = _names(tree, [*tests, *(BPF / f"{name}.c" for name in started)])
    # A started program may load what has its own name, "%s_kern.bpf.o".
    needed = _needed(tree, {ALWAYS, *named, *(f"{name}_kern" for name in started)})
    sources = frozenset(
        f"{name}.c" for name in needed if (tree / BPF_SOURCES / f"{name}.c").exists()
    )
    makefile = (tree / BPF / "Makefile").read_text()
    lists = [
        f"{name}={' '.join(_listed(makefile, name, end, needed))}" for name, end in LISTS.items()
    ]
    return Part(
        BPF,
        (RUNNER, *started),
        tuple(f"{name.removesuffix('.c')}.bpf.o" for name in sorted(sources)),
        frozenset(path.name for path in tests),
        sources,
        # Without libraries that the host may have, and the guest has not.
        (*lists, "TRUNNER_EXTRA_FILES=", "feature-llvm=0", "PCAP_CFLAGS=", "PCAP_LIBS="),
    )


def _started(tree: Path, folder: Path, sources: Iterable[Path]) -> tuple[str, ...]:
    """The programs of this folder that tests start by ./NAME."""
    words = {word for path in sources for word in STARTED.findall(_text(tree / path))}
    return tuple(sorted(word for word in words if (tree / folder / f"{word}.c").exists()))


def _needed(tree: Path, names: Collection[str]) -> set[str]:
    """These BPF programs, and those that they include or are linked from."""
    linked = dict(LINKED.findall(_text(tree / BPF / "Makefile")))
    needed: set[str] = set()
    left = set(names)
    while left:
        name = left.pop()
        if name in needed:
            continue
        needed.add(name)
        left |= set(NAMED.findall(linked.get(name, "")))
        source = BPF_SOURCES / f"{name}.c"
        if (tree / source).exists():
            left |= _names(tree, [source]) - needed
    return needed


def _names(tree: Path, sources: Iterable[Path]) -> set[str]:
    return {name for path in sources for name in NAMED.findall(_text(tree / path))}


def _listed(makefile: str, name: str, end: str, needed: Collection[str]) -> list[str]:
    found = re.search(rf"^{name} := ((?:.*\\\n)*.*)$", makefile, re.MULTILINE)
    words = found[1].replace("\\\n", " ").split() if found else []
    return [word for word in words if word.removesuffix(end) in needed]


def _text(path: Path) -> str:
    return path.read_text(errors="replace")
