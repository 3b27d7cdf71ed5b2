# SPDX-License-Identifier: GPL-2.0-only
"""The programs of the kernel's own tests, as far as the chosen ones need them.

The Makefile of selftests/bpf compiles whatever it finds in two folders, so it is run in a tree of
links in which these have only that. The kernel's tree itself is not written to.
"""

import re
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from harness.artefacts import inputs, selftests, toolchain
from harness.artefacts.make import make
from harness.artefacts.selftests import BPF, BPF_SOURCES, FOLDER, TESTS, Part, Selftest
from harness.core import artefact
from harness.core.errors import LabError
from harness.core.host import libraries, require_space
from harness.core.progress import step
from harness.core.run import CommandFailed, run
from harness.core.workspace import Layout

BUILD_DEADLINE = 3600.0  # seconds
# What they are compiled from, besides the kernel's types.
READ = (
    *(
        str(FOLDER / name)
        for name in ("bpf", "net", "lib.mk", "kselftest.h", "kselftest_harness.h")
    ),
    *("tools/bpf", "tools/build", "tools/include", "tools/lib", "tools/scripts"),
    *("include/uapi/linux/bpf.h", "scripts/bpf_doc.py"),
)
# A file of which no other is made, but what has its name; all else counts for all.
OWN = re.compile(rf"^(?:{TESTS}|{BPF_SOURCES})/(\w+)\.c$")
GENERATED = "tests.h"  # which test_progs includes; a build in the tree may have left one there
COMPILED = re.compile(r"^\s+(?:CLNG-BPF|GEN-SKEL|TEST-OBJ|EXT-OBJ)\b")
# What make, compilers and linkers say of what can't be made.
REFUSED = re.compile(r"\berror: |undefined reference|\*\*\* |: not found")
# Beside the objects: whether they are whole, and what they were made from.
UNFINISHED, MADE_BY, MADE_OF = "unfinished", "made-by", "made-of"
LIBRARIES = "lib"


def programs(
    layout: Layout, vmlinux: Path, types: Path, tree: Path, tests: Sequence[Selftest], clang: str
) -> Path:
    """Have these tests compiled against the types of a kernel.

    types: its vmlinux.h, so that a kernel which only does something else compiles nothing anew.
    clang: its name in PATH, of the version that the tests of this kernel need.
    Returns a folder: bpf/ and net/ as in the tree, and lib/, the libraries that programs load.
    Raises DoesNotCompile. The caller holds the build lock.
    """
    compilers = toolchain.identities([clang, "gcc"])
    made_by = artefact.fingerprint(Path(__file__), str(tree), *compilers)
    read = inputs.below(tree, *READ)
    chosen = [f"{test.name} {test.source}" for test in tests]
    wanted = artefact.fingerprint(made_by, "\n".join(read), types, *chosen)
    folder = layout.variant / "selftests"

    def fill(target: Path) -> Collection[Path]:
        require_space(layout.root, 1.0, "compiling the kernel's own tests")
        objects = layout.variant / "selftests.obj"
        _begin(tree, objects, made_by, read)
        log, loaded = layout.log("selftests"), set[Path]()
        (target / LIBRARIES).mkdir()
        with step("selftests", f"compiling {len(tests)} tests") as current:
            for part in selftests.parts(tree, tests):
                source = tree
                if part.folder == BPF:
                    source = layout.variant / "selftests.tree"
                    _link(tree, source, part)
                output = objects / part.folder.name
                output.mkdir(exist_ok=True)
                settings = [f"OUTPUT={output}", f"CLANG={clang}", f"VMLINUX_BTF={vmlinux}"]
                names = [str(output / name) for name in (*part.programs, *part.objects)]
                try:
                    make(
                        source,
                        [*settings, *part.settings],
                        *names,
                        part=str(part.folder),
                        log=log,
                        deadline=BUILD_DEADLINE,
                    )
                except CommandFailed as error:
                    raise _explained(error) from None
                loaded |= _pack(tree, part, output, target)
            (objects / UNFINISHED).unlink()
            current.note = f"{len(tests)} compiled"
        return loaded

    artefact.make(folder, wanted, fill)
    return folder


class DoesNotCompile(LabError):
    """A test of the kernel's own does not compile; the message has the compiler's words."""


def _explained(error: CommandFailed) -> LabError:
    lines = error.output.splitlines()
    at = next((number for number, line in enumerate(lines) if REFUSED.search(line)), None)
    if at is None or error.hint:
        return error
    words = "\n".join(f"    {line}" for line in lines[max(0, at - 1) : at + 8])
    return DoesNotCompile(f"the kernel's own tests do not compile\n{words}", log=error.log)


def _begin(tree: Path, objects: Path, made_by: str, read: Sequence[str]) -> None:
    """Have a folder of objects that make may go on from, without those that it would keep wrongly.

    All, if another compiler made them, or if what made them came to no end, after which half an
    object looks like one. Those of a test or BPF program that is another now, whatever its time is;
    and all, if it is a header, a Makefile or a source that others include: of which of these the
    objects were made is not on record for each.
    """
    notes = (objects / MADE_BY, objects / MADE_OF)
    was_by, was_of = (note.read_text() if note.exists() else "" for note in notes)
    changed = {line.rsplit(" ", 2)[0] for line in set(read) ^ set(was_of.splitlines())}
    own = {name: found[1] for name in changed if (found := OWN.match(name))}
    others = changed - own.keys()
    if (
        (objects / UNFINISHED).exists()
        or was_by != made_by
        or others
        or _included(tree, set(own.values()))
    ):
        shutil.rmtree(objects, ignore_errors=True)
    objects.mkdir(parents=True, exist_ok=True)
    (objects / UNFINISHED).touch()
    for name in own.values():
        for kind in (".bpf.o", ".test.o"):
            (objects / BPF.name / f"{name}{kind}").unlink(missing_ok=True)
    for note, text in zip(notes, (made_by, "\n".join(read)), strict=True):
        note.write_text(text)


def _included(tree: Path, names: Collection[str]) -> bool:
    """Whether one of these sources is a part of another one."""
    if not names:
        return False
    include = re.compile(rf'^#include "(?:{"|".join(sorted(names))})\.c"', re.MULTILINE)
    sources = selftests.files_of(tree / BPF_SOURCES, "*.c")
    return any(include.search(path.read_text(errors="replace")) for path in sources)


def _link(tree: Path, links: Path, part: Part) -> None:
    """Make the tree of links: only this part's tests and BPF sources, and all else."""
    shutil.rmtree(links, ignore_errors=True)
    chosen = {TESTS: part.tests, BPF_SOURCES: part.sources}
    opened = {folder for path in chosen for folder in path.parents}
    for folder in sorted(opened | chosen.keys()):
        (links / folder).mkdir(parents=True)
    for folder in opened | chosen.keys():
        for path in (tree / folder).iterdir():
            place = folder / path.name
            left_out = path.suffix == ".c" and path.name not in chosen.get(folder, [path.name])
            left_out |= path.name == GENERATED
            if place not in opened and place not in chosen and not left_out:
                (links / place).symlink_to(path)


def _pack(tree: Path, part: Part, made: Path, target: Path) -> set[Path]:
    """Copy what runs: programs without what debuggers read, what they load, and scripts.

    Returns the libraries of the host that are among it.
    """
    place = target / part.folder.name
    place.mkdir()
    for name in part.programs:
        run(["strip", "--strip-debug", "-o", place / name, made / name], deadline=60)
    for name in part.objects:
        shutil.copy(made / name, place)
    for script in selftests.files_of(tree / part.folder, "*.sh"):
        shutil.copy(script, place)
    loaded = {library for name in part.programs for library in libraries(made / name)}
    for library in loaded:
        shutil.copy(library, target / LIBRARIES)
    return loaded
