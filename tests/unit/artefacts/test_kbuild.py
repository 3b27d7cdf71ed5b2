# SPDX-License-Identifier: GPL-2.0-only
"""What is configured and compiled again, and what isn't; make and compilers are stand-ins."""

from pathlib import Path

import pytest

from harness.artefacts import bpf_programs, bpftool, kbuild
from harness.artefacts.kernel import Kernel
from harness.core.errors import BadCall, LabError
from harness.core.workspace import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    variant = tmp_path / "build/6.12"
    (variant / "obj").mkdir(parents=True)
    return Layout(tmp_path / "build", variant, variant)


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that each stand-in adds its name and first argument to."""
    calls = tmp_path / "calls"
    calls.touch()
    scripts = {
        "make": f'echo "${{@: -1}}" >> {calls}; echo CONFIG_NET=y > "${{3#O=}}/.config"',
        "clang": f'echo clang >> {calls}; echo object > "${{@: -1}}"',
        "gcc": 'echo > "$6"; echo > "${8#*=}"; echo program > "${10}"',
        "bpftool": 'case $1 in btf) cat "$4" ;; gen) cp "$4" "$3" ;; esac',
    }
    for name, script in scripts.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/bash\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    return calls


def _configure(
    layout: Layout, tmp_path: Path, wish: str = "CONFIG_NET=y", inputs: str = ""
) -> None:
    fragment = tmp_path / "fragment"
    fragment.write_text(f"{wish}\n")
    kbuild._configure(layout, tmp_path, (fragment,), inputs)


def test_configured_once_for_the_same_inputs(layout: Layout, calls: Path, tmp_path: Path) -> None:
    _configure(layout, tmp_path)
    assert calls.read_text().split() == ["tinyconfig", "olddefconfig"]
    _configure(layout, tmp_path)
    assert len(calls.read_text().split()) == 2


@pytest.mark.parametrize("change", ["inputs", "edited", "removed", "cut"])
def test_configured_again(layout: Layout, calls: Path, tmp_path: Path, change: str) -> None:
    _configure(layout, tmp_path)
    if change == "edited":
        (layout.objects / ".config").write_text("# CONFIG_NET is not set\n")
    elif change == "removed":
        (layout.objects / ".config").unlink()
    elif change == "cut":
        (layout.objects / ".lab-configured").write_text("")
    _configure(layout, tmp_path, inputs="other" if change == "inputs" else "")
    assert len(calls.read_text().split()) == 4
    assert (layout.objects / ".config").read_text() == "CONFIG_NET=y\n"


def test_a_dropped_option_is_told_each_time(layout: Layout, calls: Path, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(LabError, match="CONFIG_XDP=y became n"):
            _configure(layout, tmp_path, wish="CONFIG_XDP=y")


def test_what_another_kernel_may_lack_is_said_and_no_error(
    layout: Layout, calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fragment = tmp_path / "fragment"
    fragment.write_text("# Another kernel may lack: another kernel may lack this.\nCONFIG_XDP=y\n")
    kbuild._configure(layout, tmp_path, (fragment,), "", lenient=True)
    assert "config    CONFIG_XDP=y became n: " in capsys.readouterr().out
    with pytest.raises(LabError, match="CONFIG_XDP=y became n"):
        kbuild._configure(layout, tmp_path, (fragment,), "other")
    fragment.write_text(fragment.read_text() + "\nCONFIG_VETH=y\n")
    with pytest.raises(LabError, match="CONFIG_VETH=y became n") as caught:
        kbuild._configure(layout, tmp_path, (fragment,), "other", lenient=True)
    assert "XDP" not in caught.value.message


def test_what_the_user_asks_for_may_not_lack(layout: Layout, calls: Path, tmp_path: Path) -> None:
    """Even if it is of what the lab's own fragment can do without."""
    own, user = tmp_path / "fragment", tmp_path / "user"
    own.write_text("# What another kernel may lack.\nCONFIG_XDP=y\n")
    user.write_text("CONFIG_XDP=y\n")
    with pytest.raises(LabError, match="CONFIG_XDP=y became n"):
        kbuild._configure(layout, tmp_path, (own, user), "", lenient=True)


def test_a_module_of_a_kernel_that_has_none_is_refused_at_once(
    layout: Layout, calls: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadCall, match="CONFIG_BONDING=m"):
        _configure(layout, tmp_path, wish="CONFIG_BONDING=m")
    assert calls.read_text() == ""


MODULES = """
obj="${3#O=}"
for last; do :; done
echo "$last" >>"${0%/bin/make}/calls"
case " $* " in
*" vmlinux "*) mkdir -p "$obj/usr"; touch "$obj"/vmlinux{,.o} "$obj/usr/gen_init_cpio" ;;
*" modules_install "*) mkdir -p "$obj/lab-modules/lib/modules/6.12/kernel" ;;
*) printf '%s\\n' CONFIG_MODULES=y CONFIG_BONDING=m >"$obj/.config" ;;
esac
"""


def test_modules_are_built_and_installed_beside_the_kernel(
    layout: Layout, calls: Path, tmp_path: Path
) -> None:
    (tmp_path / "bin/make").write_text(f"#!/bin/bash\n{MODULES}")
    indexer = tmp_path / "bin/busybox"
    indexer.write_text('#!/bin/sh\ntouch "$3/lib/modules/$4/modules.dep"\n')
    indexer.chmod(0o755)
    tree, fragment = tmp_path / "linux", tmp_path / "fragment"
    tree.mkdir()
    fragment.write_text("CONFIG_MODULES=y\nCONFIG_BONDING=m\n")
    built = kbuild.kernel(layout, tree, (fragment,), 1)
    assert calls.read_text().split()[2:] == ["modules", "DEPMOD=true"]
    assert built.modules
    assert (built.modules / "lib/modules/6.12/modules.dep").exists()


KBUILD = """
here="${0%/bin/make}"
obj="${3#O=}"
for last; do :; done
echo "$last" >> "$here/calls"
echo CONFIG_NET=y > "$obj/.config"
test "$last" = vmlinux || exit 0
mkdir -p "$obj/net" "$obj/usr"
touch "$obj/vmlinux" "$obj/vmlinux.o" "$obj/usr/gen_init_cpio"
grep -q . "$obj/net/.xdp.o.cmd" || echo "$2/net/xdp.c $2/net/Kconfig" > "$obj/net/.xdp.o.cmd"
test ! -s "$here/edited" || echo edited >> "$2/$(cat "$here/edited")"
"""


@pytest.mark.parametrize("edited", ["", "net/xdp.c", "net/Kconfig"])
def test_what_is_edited_during_the_first_build_is_built_next(
    layout: Layout, calls: Path, tmp_path: Path, edited: str
) -> None:
    make = tmp_path / "bin/make"
    make.write_text(f"#!/bin/bash\n{KBUILD}")
    tree = tmp_path / "linux"
    for name in ("net/xdp.c", "net/Kconfig", "not-read/x.c", "not-read/Kconfig"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    (tmp_path / "edited").write_text(edited)
    first = kbuild.kernel(layout, tree, (), 1)
    (tmp_path / "edited").write_text("")
    second = kbuild.kernel(layout, tree, (), 1)
    configured = ["tinyconfig", "olddefconfig"]
    again = {"": [], "net/xdp.c": ["vmlinux"], "net/Kconfig": [*configured, "vmlinux"]}
    assert calls.read_text().split() == [*configured, "vmlinux", *again[edited]]
    assert (first.fingerprint == second.fingerprint) == (not edited)
    assert kbuild.kernel(layout, tree, (), 1) == second
    assert calls.read_text().split() == [*configured, "vmlinux", *again[edited]]


def _programs(layout: Layout, tmp_path: Path, types: str, kernel: str) -> None:
    vmlinux = tmp_path / "vmlinux"
    vmlinux.write_text(types)
    include = tmp_path / "include"
    include.mkdir(exist_ok=True)
    built = Kernel(vmlinux, vmlinux, tmp_path, kernel)
    libbpf = tmp_path / "libbpf.a"
    libbpf.touch()
    tools = bpftool.Tools(tmp_path / "bin/bpftool", include, libbpf)
    bpf_programs.programs(layout, built, tools)


def test_programs_are_compiled_for_other_types_only(
    layout: Layout, calls: Path, tmp_path: Path
) -> None:
    count = len(list(bpf_programs.SOURCES.glob("*.bpf.c")))
    _programs(layout, tmp_path, types="struct a;", kernel="one")
    assert len(calls.read_text().split()) == count
    _programs(layout, tmp_path, types="struct a;", kernel="another")
    assert len(calls.read_text().split()) == count
    _programs(layout, tmp_path, types="struct b;", kernel="a third")
    assert len(calls.read_text().split()) == 2 * count
    header = (layout.variant / "headers/vmlinux.h").read_text()
    assert header == 'struct b;#include "rss_type.h"\n'  # as for a kernel that lacks these types
    _programs(layout, tmp_path, types="enum xdp_rss_hash_type {", kernel="a new one")
    assert "#include" not in (layout.variant / "headers/vmlinux.h").read_text()
    assert len(list((layout.variant / "progs").glob("*.o"))) == count


RECORDER = """
here="${0%/bin/make}"
for word; do case $word in *=*) settings="$settings|$word" ;; *) target=$word ;; esac; done
echo "$target $settings" >> "$here/settings"
env | cut -d= -f1 >> "$here/variables"
mkdir -p "${3#O=}/usr"
echo CONFIG_NET=y > "${3#O=}/.config"
touch "${3#O=}/vmlinux" "${3#O=}/usr/gen_init_cpio"
"""


def test_a_trees_make_has_the_same_settings_for_whatever_it_is_asked(
    layout: Layout, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next build makes all anew, with another linker, compiler or configuration."""
    (tmp_path / "bin/make").write_text(f"#!/bin/bash\n{RECORDER}")
    tree = tmp_path / "linux"
    tree.mkdir()
    hostile = ("MAKEFLAGS", "KBUILD_OUTPUT", "LLVM", "ARCH", "KCONFIG_CONFIG", "LD_LIBRARY_PATH")
    for name in (*hostile, "CPATH", "GIT_INDEX_FILE", "EXTRA_CFLAGS"):
        monkeypatch.setenv(name, "hostile")
    monkeypatch.setenv("CCACHE_DIR", "mine")
    kbuild.kernel(layout, tree, (), 1)
    kbuild.gdb_scripts(layout, tree)
    kbuild.bzimage(layout, tree)
    kbuild.compile_strictly(layout, tree, (), ["net/xdp.o"], sparse=False)
    lines = (tmp_path / "settings").read_text().splitlines()
    asked = dict(line.split(" ", 1) for line in lines)
    assert [*asked] == ["tinyconfig", "olddefconfig", "vmlinux", "scripts_gdb", "bzImage",
                        "net/xdp.o"]  # fmt: skip
    assert asked.pop("net/xdp.o") == f"{asked['vmlinux']}|W=1"
    assert len({*asked.values()}) == 1
    for setting in (f"O={layout.objects}", "ARCH=x86", "LD=ld.lld", "KBUILD_BUILD_USER=lab"):
        assert f"|{setting}|" in f"{asked['vmlinux']}|"
    variables = {*(tmp_path / "variables").read_text().split()}
    assert variables.isdisjoint({*hostile, "CPATH", "GIT_INDEX_FILE", "EXTRA_CFLAGS"})
    assert {"CCACHE_DIR", "GIT_DIR"} < variables
