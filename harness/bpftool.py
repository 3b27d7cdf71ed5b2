# SPDX-License-Identifier: GPL-2.0-only
"""bpftool and libbpf's headers, from the kernel's own tree: a distribution's may be too old."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness import artefact, inputs
from harness.config import Layout
from harness.make import make
from harness.progress import step
from harness.run import run


@dataclass(frozen=True)
class Tools:
    """bpftool of the kernel's tree, and the include folder that has bpf/bpf_helpers.h."""

    bpftool: Path
    include: Path


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
    wanted = artefact.fingerprint("\n".join(listing))
    artefact.make(directory, wanted, _bpftool(layout, tree))
    return Tools(directory / "bpftool", directory / "include")


def _bpftool(layout: Layout, tree: Path) -> Callable[[Path], None]:
    def fill(directory: Path) -> None:
        log = layout.log("bpftool")
        work = directory / "work"
        work.mkdir()
        features = ["feature-llvm=0", "feature-libbfd=0", "feature-clang-bpf-co-re=0"]
        with step("bpftool", "building") as current:
            settings = (f"OUTPUT={work}/", *features)
            make(tree, settings, part="tools/bpf/bpftool", deadline=600, log=log)
            run(["strip", "-o", directory / "bpftool", work / "bpftool"], deadline=60, log=log)
            shutil.copytree(work / "libbpf/include", directory / "include")
            current.note = "built without LLVM"
        shutil.rmtree(work)

    return fill
