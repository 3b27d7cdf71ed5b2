# SPDX-License-Identifier: GPL-2.0-only
"""vmlinux.h and the BPF programs, compiled against the kernel that they will run on."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness import artefact
from harness.bpftool import Tools
from harness.config import ROOT, Layout
from harness.environment import COMPILER
from harness.errors import LabError
from harness.host import usable_processors
from harness.kbuild import Kernel
from harness.progress import step
from harness.run import CommandFailed, run

SOURCES = ROOT / "bpf-progs"


@dataclass(frozen=True)
class Programs:
    """The folder of *.bpf.o and of the helpers, and the folders that their sources include."""

    objects: Path
    includes: tuple[Path, ...]


def programs(layout: Layout, kernel: Kernel, tools: Tools) -> Programs:
    """Have vmlinux.h of the kernel and every bpf-progs/*.c compiled.

    What they are made from is the kernel's types, not the kernel: one that only
    does something else compiles no program anew.
    Raises LabError with the compiler's words for the first that does not compile.
    """
    headers = layout.variant / "headers"
    objects = layout.variant / "progs"
    artefact.make(headers, kernel.fingerprint, lambda path: _vmlinux_h(path, kernel, tools))
    includes = (SOURCES, headers, tools.include)
    wanted = artefact.fingerprint(headers / "vmlinux.h", tools.include, tools.bpftool, SOURCES)

    def fill(directory: Path) -> None:
        sources = sorted(SOURCES.glob("*.bpf.c"))
        log = layout.log("progs")

        def compile_one(source: Path) -> None:
            compile_program(source, directory / f"{source.stem}.o", includes, log)
            _drop_dwarf(directory / f"{source.stem}.o", tools, log)

        with step("programs", f"compiling {len(sources)}") as current:
            pool = ThreadPoolExecutor(usable_processors())
            try:
                list(pool.map(compile_one, sources))  # the list raises what one of them raised
            finally:
                pool.shutdown(cancel_futures=True)
            # Against the host's libc, as all programs of the guest are.
            gcc = ["gcc", "-O2", "-Wall", "-Werror"]
            for source in sorted(set(SOURCES.glob("*.c")) - set(sources)):
                run([*gcc, "-o", directory / source.stem, source], COMPILER, deadline=60, log=log)
            current.note = f"{len(sources)} compiled"

    artefact.make(objects, wanted, fill)
    return Programs(objects, includes)


def _drop_dwarf(program: Path, tools: Tools, log: Path) -> None:
    """Keep code, maps and BTF: a fortieth of the bytes, which go to an emulated CPU by SSH."""
    whole = program.with_suffix(".dwarf")
    program.rename(whole)
    run([tools.bpftool, "gen", "object", program, whole], deadline=60, log=log)
    whole.unlink()


def _vmlinux_h(directory: Path, kernel: Kernel, tools: Tools) -> None:
    header = run([tools.bpftool, "btf", "dump", "file", kernel.vmlinux, "format", "c"], deadline=60)
    (directory / "vmlinux.h").write_text(header)


def compile_program(source: Path, target: Path, includes: tuple[Path, ...], log: Path) -> None:
    """Compile one BPF program; -mcpu=v3 is what the oldest supported clang, 14, can do best."""
    flags = ["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror", "-D__TARGET_ARCH_x86"]
    paths = [part for include in includes for part in ("-I", str(include))]
    try:
        run(["clang", *flags, *paths, "-c", source, "-o", target], COMPILER, deadline=120, log=log)
    except CommandFailed as error:
        raise LabError(
            f"{source.name} does not compile\n{error.output.rstrip()}", log=log
        ) from None
