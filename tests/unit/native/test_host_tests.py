# SPDX-License-Identifier: GPL-2.0-only
"""`./lab host`: what it wants beyond the lab's packages, and what it makes of programs' words."""

import sys
from pathlib import Path

import pytest

from harness.commands.bench_encodings import EMPTY, Cost, table
from harness.core import host
from harness.core.errors import BadCall, LabError
from harness.core.host import Family, Need
from harness.native import fuzz, host_tests, other_machines
from harness.native.compiled import Platform, calls
from harness.native.other_machines import Kernel, compile_files


@pytest.fixture
def bin_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for stand-ins, first in PATH."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    return directory


def stand_in(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def debian(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "require", lambda tools: None)
    monkeypatch.setattr(host, "this_family", lambda: Family.DEBIAN)


@pytest.mark.usefixtures("debian")
def test_foreign_names_the_packages_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Need("sh", "dash")
    lacks = Need("/nonexistent/libc.a", "libc6-dev-pdp11-cross")
    pdp11 = Platform("pdp11", "pdp11-gcc", needs=(Need("pdp11-gcc", "gcc-pdp11"), lacks, there))
    monkeypatch.setattr(other_machines, "PLATFORMS", (pdp11,))
    with pytest.raises(LabError) as caught:
        host_tests.host_tests(["foreign"])
    assert caught.value.message == "missing on this machine: pdp11-gcc, /nonexistent/libc.a"
    assert caught.value.hint == "as root: apt-get install gcc-pdp11 libc6-dev-pdp11-cross"
    assert caught.value.status == 69


@pytest.mark.usefixtures("debian")
def test_fuzz_names_the_package_of_this_clang(bin_dir: Path) -> None:
    says = 'case $1 in *dir) echo /nonexistent/lib ;; *) echo "Debian clang version 19.1.7" ;; esac'
    stand_in(bin_dir / "clang", says)
    with pytest.raises(LabError) as caught:
        host_tests.host_tests(["fuzz"])
    assert caught.value.message == (
        "missing on this machine: /nonexistent/lib/libclang_rt.fuzzer-x86_64.a"
    )
    assert caught.value.hint == "as root: apt-get install libclang-rt-19-dev"


def test_other_words_are_refused() -> None:
    with pytest.raises(BadCall, match="host does not know fuzz foreign"):
        host_tests.host_tests(["fuzz", "foreign"])


def test_each_input_to_begin_with_is_one_that_fuzz_c_takes_whole() -> None:
    inputs = fuzz.inputs()
    assert len(inputs) == fuzz.STORES
    for given in inputs:
        length = fuzz.INPUT.unpack_from(given)[4]
        assert len(given) == fuzz.INPUT.size + length <= fuzz.LONGEST


def test_a_foreign_kernel_is_configured_once(bin_dir: Path, tmp_path: Path) -> None:
    called = tmp_path / "called"
    stand_in(bin_dir / "make", f'echo "$@" >>{called}')
    kernel = Kernel("pdp11", "pdp11", "gcc", "CONFIG_NET=y\n", flags="-fpack-struct=2")
    for _ in range(2):
        compile_files(tmp_path, tmp_path / "objects", kernel, ["net/core/xdp.c"])
    first, *others = called.read_text().splitlines()
    assert "ARCH=pdp11 CC=gcc KCONFIG_ALLCONFIG=" in first
    assert first.endswith(" allnoconfig")
    assert (tmp_path / "objects" / "fragment").read_text() == "CONFIG_NET=y\n"
    assert len(others) == 2
    assert all("CC=gcc CFLAGS_xdp.o=-fpack-struct=2 " in line for line in others)
    assert all(line.endswith(" net/core/xdp.o") for line in others)


def test_a_process_that_dies_of_a_call_says_why(tmp_path: Path) -> None:
    stand_in(tmp_path / "store", "echo heap-buffer-overflow >&2; exit 3")
    with (
        calls(tmp_path / "store", Platform("here", order=sys.byteorder)) as store,
        pytest.raises(AssertionError, match=r"exit status 3\nheap-buffer-overflow"),
    ):
        store.ask("get", 0, b"", 0)


def test_costs_are_a_table_of_encodings() -> None:
    costs = [
        Cost("series", EMPTY, 1, 24, 3.0, 3, 2.1),
        Cost("series", "get, hit", 4, 48, 45.0, 45, 7.25),
        Cost("tlv", EMPTY, 1, 10, 3.0, 3, 2.2),
        Cost("tlv", "get, hit", 4, 40, 64.0, 91, 10.5),
    ]
    assert [line.split() for line in table(costs)] == [
        ["bytes,", "instructions", "(most),", "ns", "series", "tlv"],
        ["empty", "function", "3,", "2.1", "3,", "2.2"],
        ["get,", "hit,", "keys:", "4", "48,", "45,", "7.2", "40,", "64", "(91),", "10.5"],
    ]
