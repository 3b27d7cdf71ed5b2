# SPDX-License-Identifier: GPL-2.0-only
"""Machines that the lab does not boot: their kernel's files compiled, their programs run.

Files of a kernel tree take nothing but the lab's own compilers: i386 is gcc's, and
clang has ARM, which can be big-endian. Programs take a libc, and an emulator.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.artefacts.make import make
from harness.core import artefact
from harness.core.host import Need
from harness.native.compiled import Platform

MAKE_DEADLINE = 600.0  # seconds; the first time makes Kbuild's own programs, 20 s of work
CONFIGURED = ".lab-configured"
NETWORKING = "CONFIG_NET=y\nCONFIG_INET=y\nCONFIG_BPF_SYSCALL=y\n"
BIG_ENDIAN_ARM = (
    "CONFIG_MMU=y\nCONFIG_ARCH_MULTI_V7=y\nCONFIG_ARCH_VIRT=y\nCONFIG_CPU_BIG_ENDIAN=y\n"
)


@dataclass(frozen=True)
class Kernel:
    """A kernel that files are compiled for.

    options: of its .config.
    flags: of the compiler.
    """

    name: str
    arch: str
    compiler: str
    options: str
    flags: str = ""


KERNELS = (
    Kernel("i386", "i386", "gcc", NETWORKING),  # a u64 in a struct is 4-aligned
    Kernel("arm-big-endian", "arm", "clang", NETWORKING + BIG_ENDIAN_ARM),
    # As on m68k, which is big-endian too: nothing is aligned to more than 2.
    Kernel("arm-2-aligned", "arm", "clang", NETWORKING + BIG_ENDIAN_ARM, flags="-fpack-struct=2"),
)


def compile_files(tree: Path, directory: Path, kernel: Kernel, files: Sequence[str]) -> None:
    """Compile files of a kernel tree, "net/core/xdp.c" and the like. Raises CommandFailed.

    directory: for the objects, which make keeps; kernels of one configuration share them.
    """
    settings = [f"O={directory}", f"ARCH={kernel.arch}", f"CC={kernel.compiler}"]
    wanted = artefact.fingerprint(str(tree), kernel.options)
    stamp = directory / CONFIGURED
    if not stamp.exists() or stamp.read_text() != wanted:
        directory.mkdir(parents=True, exist_ok=True)
        fragment = directory / "fragment"
        fragment.write_text(kernel.options)
        asked = f"KCONFIG_ALLCONFIG={fragment}"
        make(tree, [*settings, asked], "allnoconfig", deadline=MAKE_DEADLINE)
        stamp.write_text(wanted)
    objects = [Path(name).with_suffix(".o") for name in files]
    own = [f"CFLAGS_{path.name}={kernel.flags}" for path in objects]
    make(tree, [*settings, *own], *map(str, objects), deadline=MAKE_DEADLINE)


def _platform(name: str, triple: str, emulator: str, libc: str, big: bool) -> Platform:
    compiler = f"{triple}-gcc"
    needs = (Need(compiler, f"gcc-{triple}"), Need(f"/usr/{triple}/lib/libc.a", libc))
    emulators = (Need(emulator, "qemu-user"),) if emulator else ()
    return Platform(
        name,
        compiler,
        (emulator,) if emulator else (),
        "big" if big else "little",
        ("-O2", "-static"),
        needs + emulators,
    )


PLATFORMS = (
    _platform("i686", "i686-linux-gnu", "", "libc6-dev-i386-cross", big=False),
    _platform("s390x", "s390x-linux-gnu", "qemu-s390x", "libc6-dev-s390x-cross", big=True),
    _platform("m68k", "m68k-linux-gnu", "qemu-m68k", "libc6-dev-m68k-cross", big=True),
)
