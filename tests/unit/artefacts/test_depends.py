# SPDX-License-Identifier: GPL-2.0-only
"""What each artefact depends on: made anew for each of these, and for nothing else.

Compilers, ldd and the kernel's tools are stand-ins, which read what the real ones read.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.artefacts import bpf_programs, bpftool, image, kbuild
from harness.artefacts.kernel import Kernel
from harness.core.workspace import Layout

MAKE = """\
for word; do case $word in OUTPUT=*) out=${word#*=} ;; esac; done
echo made >> @/calls
mkdir -p "$out/libbpf/include/bpf"
echo bpftool > "$out/bpftool"
echo helpers > "$out/libbpf/include/bpf/bpf_helpers.h"
echo library > "$out/libbpf/libbpf.a"
echo "main.o: main.c @/usr/include/gelf.h \\\\" > "$out/main.d"
"""
CC = """\
echo "$0" >> @/calls
while [ $# -gt 0 ]; do
	case $1 in
	-MF) echo "x.o: x.c @/usr/include/stdio.h" > "$2"; shift ;;
	--dependency-file=*) echo "x: @/usr/lib/crt1.o" > "${1#*=}" ;;
	-o) echo object > "$2"; shift ;;
	esac
	shift
done
"""
STAND_INS = {
    "make": MAKE,
    "clang": CC,
    "gcc": CC,
    "as": "",
    "ld": "",
    "ar": "",
    "strip": 'cp "$3" "$2"',
    "bpftool": 'case $1 in btf) cat "$4" ;; gen) cp "$4" "$3" ;; esac',
    "ldd": 'echo "	libx.so => @/usr/lib/lib-of-${1##*/}.so (0x00007f0000000000)"',
    "busybox": "echo sh; echo cat",
    "dropbear": "",
    "gen_init_cpio": 'echo made >> @/calls; cat "$3"; cat @/usr/lib/lib-of-*.so',
}
FILES = {
    "usr/include/gelf.h": "gelf",
    "usr/include/stdio.h": "stdio",
    "usr/lib/crt1.o": "crt1",
    "usr/lib/libbpf.a": "libbpf",
    **{f"usr/lib/lib-of-{name}.so": "library" for name in ("bpftool", "busybox", "clang", "gcc")},
    "linux/tools/bpf/bpftool/main.c": "main",
    "linux/tools/lib/bpf/libbpf.c": "libbpf",
    "linux/net/core/xdp.c": "xdp",
    "bpf-progs/redirect.bpf.c": "redirect",
    "bpf-progs/lab.h": "lab",
    "bpf-progs/xsk.c": "helper",
    "images/programs": "busybox\nbpftool\ndropbear\n",
    "images/initramfs.j2": "{{ files }} {{ applets }}",
    "images/rcS.j2": "",
    **{f"images/{name}": "" for name in ("inittab", "passwd", "profile", "shells")},
    "keys/id_ed25519": "private",
    "vmlinux": "types",
    "recipe.py": "recipe",
}


@dataclass(frozen=True)
class Lab:
    """A host, a tree and sources, all below one folder; the artefacts that are made of them."""

    root: Path
    layout: Layout

    def make(self, artefact: str) -> object:
        """Have an artefact made. What it is made of in turn is there."""
        vmlinux, archiver = self.root / "vmlinux", self.root / "bin/gen_init_cpio"
        kernel = Kernel(vmlinux, archiver, self.root, vmlinux.read_text())
        tools = bpftool.Tools(
            self.root / "bin/bpftool", self.root / "usr/include", self.root / "usr/lib/libbpf.a"
        )
        match artefact:
            case "bpftool":
                return bpftool.tools(self.layout, self.root / "linux")
            case "programs":
                return bpf_programs.programs(self.layout, kernel, tools)
            case "image":
                return image.image(self.layout, kernel, tools)
        raise AssertionError(artefact)

    def runs(self) -> int:
        """How often a compiler, make or gen_init_cpio was run."""
        return len((self.root / "calls").read_text().splitlines())


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, script in STAND_INS.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n".replace("@", str(tmp_path)))
        program.chmod(0o755)
    (tmp_path / "calls").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setattr(bpf_programs, "SOURCES", tmp_path / "bpf-progs")
    monkeypatch.setattr(image, "SOURCES", tmp_path / "images")
    client = image.Keys(tmp_path / "keys/id_ed25519", "public")
    monkeypatch.setattr(image, "keys", lambda layout: client)
    for module in (bpftool, bpf_programs, image):
        monkeypatch.setattr(module, "__file__", str(tmp_path / "recipe.py"))
    variant = tmp_path / "build/6.12"
    variant.mkdir(parents=True)
    return Lab(tmp_path, Layout(tmp_path / "build", variant, variant))


DEPENDS = {
    "bpftool": (
        *("recipe.py", "linux/tools/bpf/bpftool/main.c", "linux/tools/lib/bpf/libbpf.c"),
        *("bin/gcc", "bin/as", "bin/ld", "bin/ar", "bin/strip", "bin/make"),
        *("usr/include/gelf.h", "usr/lib/lib-of-bpftool.so"),
    ),
    "programs": (
        *("recipe.py", "vmlinux", "bpf-progs/redirect.bpf.c", "bpf-progs/lab.h", "bpf-progs/xsk.c"),
        *("bin/bpftool", "bin/clang", "bin/gcc", "bin/as", "bin/ld"),
        *("usr/include/stdio.h", "usr/lib/crt1.o", "usr/lib/libbpf.a", "usr/lib/lib-of-clang.so"),
    ),
    "image": (
        *("recipe.py", "images/programs", "images/initramfs.j2", "images/passwd", "images/rcS.j2"),
        *("keys/id_ed25519", "bin/busybox", "bin/dropbear", "bin/bpftool", "bin/gen_init_cpio"),
        *("usr/lib/lib-of-busybox.so", "usr/lib/lib-of-bpftool.so"),
    ),
}


@pytest.mark.parametrize("artefact", DEPENDS)
def test_it_is_made_once(lab: Lab, artefact: str) -> None:
    first = lab.make(artefact)
    runs = lab.runs()
    assert runs
    assert lab.make(artefact) == first
    assert lab.runs() == runs


@pytest.mark.parametrize(
    ("artefact", "name"), [(artefact, name) for artefact in DEPENDS for name in DEPENDS[artefact]]
)
def test_it_is_made_anew_for_each_of_its_inputs(lab: Lab, artefact: str, name: str) -> None:
    lab.make(artefact)
    runs = lab.runs()
    path = lab.root / name
    path.write_text(f"{path.read_text()}\n")
    lab.make(artefact)
    assert lab.runs() > runs
    runs = lab.runs()
    lab.make(artefact)
    assert lab.runs() == runs


@pytest.mark.parametrize("artefact", DEPENDS)
def test_a_program_of_another_folder_is_another_one(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, artefact: str
) -> None:
    lab.make(artefact)
    runs = lab.runs()
    shutil.copytree(lab.root / "bin", lab.root / "first")
    monkeypatch.setenv("PATH", f"{lab.root}/first:{os.environ['PATH']}")
    lab.make(artefact)
    assert lab.runs() > runs


@pytest.mark.parametrize("artefact", DEPENDS)
def test_a_file_of_the_host_that_is_gone(lab: Lab, artefact: str) -> None:
    lab.make(artefact)
    runs = lab.runs()
    (lab.root / "usr/lib/lib-of-bpftool.so").rename(lab.root / "elsewhere")
    (lab.root / "usr/lib/crt1.o").unlink()
    lab.make(artefact)
    assert lab.runs() > runs


def test_an_image_is_another_one_only_if_its_content_is(lab: Lab) -> None:
    """A saved machine is of an image, not of the times of the host's files."""
    first = lab.make("image")
    library = lab.root / "usr/lib/lib-of-busybox.so"
    os.utime(library, ns=(0, 0))
    assert lab.make("image") == first
    library.write_text("security")
    assert lab.make("image") != first


def test_the_kernel_is_another_one_for_other_tools_and_flags(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked() -> str:
        return kbuild._asked(lab.layout, lab.root / "linux", (lab.root / "recipe.py",))

    seen = [asked()]
    for name in kbuild.SETTINGS:
        monkeypatch.setitem(kbuild.SETTINGS, name, "another")
        seen.append(asked())
    for name in ("gcc", "as"):
        (lab.root / "bin" / name).write_text("of another version")
        seen.append(asked())
    (lab.root / "recipe.py").write_text("another fragment")
    seen.append(asked())
    assert len(set(seen)) == len(seen)
