# SPDX-License-Identifier: GPL-2.0-only
"""vmlinux.h and the BPF programs, compiled against the kernel that they will run on."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness.artefacts.bpftool import Tools
from harness.artefacts.kernel import Kernel
from harness.core import artefact, host
from harness.core.environment import COMPILER
from harness.core.errors import LabError
from harness.core.host import usable_processors
from harness.core.progress import step
from harness.core.run import CommandFailed, run
from harness.core.workspace import ROOT, Layout

SOURCES = ROOT / "bpf-progs"
WARNINGS = ("-Wall", "-Werror")
COMPILERS = ("clang", "gcc", "as", "ld")
# -mcpu=v3 is what the oldest supported clang, 14, can do best.
# -fms-extensions: from Linux 7 on vmlinux.h has structs whose first member is another struct.
CLANG = (
    *("clang", "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-D__TARGET_ARCH_x86", *WARNINGS),
    *("-fms-extensions", "-Wno-microsoft-anon-tag"),
)
GCC = ("gcc", "-O2", *WARNINGS)
# What the programs name and kernels before 6.3 lack, and where it is for those.
RSS_TYPE, ITS_HEADER = "enum xdp_rss_hash_type {", "rss_type.h"


@dataclass(frozen=True)
class Programs:
    """The folder of *.bpf.o and of the helpers, and the folders that their sources include."""

    objects: Path
    includes: tuple[Path, ...]

    @property
    def vmlinux_h(self) -> Path:
        """The kernel's types, as C."""
        return next(path for folder in self.includes if (path := folder / "vmlinux.h").exists())


def programs(layout: Layout, kernel: Kernel, tools: Tools) -> Programs:
    """Have vmlinux.h of the kernel and every bpf-progs/*.c compiled.

    What they are made from is the kernel's types, not the kernel: one that only
    does something else compiles no program anew.
    Raises LabError with the compiler's words for the first that does not compile.
    """
    headers = layout.variant / "headers"
    objects = layout.variant / "progs"
    recipe = artefact.fingerprint(Path(__file__), tools.bpftool)
    types = artefact.fingerprint(kernel.fingerprint, recipe)
    artefact.make(headers, types, lambda path: _vmlinux_h(path, kernel, tools))
    includes = (SOURCES, headers, tools.include)
    compilers = host.programs(*COMPILERS)
    wanted = artefact.fingerprint(
        *(recipe, headers / "vmlinux.h", tools.include, tools.libbpf, SOURCES),
        *map(str, compilers),
    )

    def fill(directory: Path) -> list[Path]:
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
            helpers = sorted(set(SOURCES.glob("*.c")) - set(sources))
            read = {
                path
                for source in helpers
                for path in _compile_helper(source, directory, tools, log)
            }
            current.note = f"{len(sources)} compiled"
        loaded = (lib for program in compilers for lib in host.libraries(program))
        return [*compilers, *loaded, *read]

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
    more = "" if RSS_TYPE in header else f'#include "{ITS_HEADER}"\n'
    (directory / "vmlinux.h").write_text(header + more)


def _compile_helper(source: Path, directory: Path, tools: Tools, log: Path) -> set[Path]:
    """Compile a program of the guest against the host's libc, as all of them are, and libbpf.

    Returns what compiler and linker read of the host: headers, start-up code, libraries.
    """
    notes = [directory / "compiled.d", directory / "linked.d"]
    told = ["-MD", "-MF", str(notes[0]), "-Xlinker", f"--dependency-file={notes[1]}"]
    libbpf = ("-I", tools.include, "-Wl,--as-needed", tools.libbpf, "-lelf", "-lz")
    made = ("-o", directory / source.stem, source)
    run([*GCC, *told, *made, *libbpf], COMPILER, deadline=60, log=log)
    read = artefact.named_in(notes, SOURCES, directory)
    for note in notes:
        note.unlink()
    return read


def compile_program(source: Path, target: Path, includes: tuple[Path, ...], log: Path) -> None:
    """Compile one BPF program. Raises LabError with the compiler's words."""
    paths = [part for include in includes for part in ("-I", str(include))]
    try:
        run([*CLANG, *paths, "-c", source, "-o", target], COMPILER, deadline=120, log=log)
    except CommandFailed as error:
        raise LabError(
            f"{source.name} does not compile\n{error.output.rstrip()}", log=log
        ) from None
