# SPDX-License-Identifier: GPL-2.0-only
"""bpftool and libbpf's headers, from the kernel's own tree: a distribution's may be too old."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.artefacts import inputs
from harness.artefacts.make import make
from harness.core import artefact
from harness.core.host import libraries, programs
from harness.core.progress import step
from harness.core.run import run
from harness.core.workspace import Layout

COMPILERS = ("gcc", "as", "ld", "ar", "strip", "make")
FEATURES = ("feature-llvm=0", "feature-libbfd=0", "feature-clang-bpf-co-re=0")


@dataclass(frozen=True)
class Tools:
    """bpftool of the kernel's tree, libbpf, and the include folder that has bpf/bpf_helpers.h."""

    bpftool: Path
    include: Path
    libbpf: Path


def tools(layout: Layout, tree: Path) -> Tools:
    """Have bpftool built from the tree, without LLVM: it needs only libelf, zlib and libc."""
    directory = layout.source / "tools"
    listing = inputs.below(
        tree,
        "tools/bpf",
        "tools/lib",
        "tools/include",
        "tools/scripts",
        "tools/build",
        "kernel/bpf/disasm.c",
        "kernel/bpf/disasm.h",
    )
    compilers = programs(*COMPILERS)
    wanted = artefact.fingerprint("\n".join(listing), Path(__file__), *map(str, compilers))

    def fill(path: Path) -> list[Path]:
        return [*compilers, *_bpftool(layout, tree, path)]

    artefact.make(directory, wanted, fill)
    return Tools(directory / "bpftool", directory / "include", directory / "libbpf.a")


def _bpftool(layout: Layout, tree: Path, directory: Path) -> list[Path]:
    """Build it into a folder; returns the host's headers and libraries that it is made with."""
    log = layout.log("bpftool")
    work = directory / "work"
    work.mkdir()
    with step("bpftool", "building") as current:
        settings = (f"OUTPUT={work}/", *FEATURES)
        make(tree, settings, part="tools/bpf/bpftool", deadline=600, log=log)
        run(["strip", "-o", directory / "bpftool", work / "bpftool"], deadline=60, log=log)
        shutil.copytree(work / "libbpf/include", directory / "include")
        shutil.copy(work / "libbpf/libbpf.a", directory)
        current.note = "built without LLVM"
    notes = [path for end in ("d", "cmd") for path in work.rglob(f"*.{end}")]
    read = artefact.named_in(notes, tree, directory)
    shutil.rmtree(work)
    return [*read, *libraries(directory / "bpftool")]
