# SPDX-License-Identifier: GPL-2.0-only
"""Which linker a kernel tree gets, of those that a machine has."""

from pathlib import Path

import pytest

from harness.artefacts import toolchain
from harness.core.errors import LabError

# As Linux has it, with the versions that a test gives.
OLDEST = """#!/bin/sh
case "$1" in
gcc) echo {gcc} ;;
binutils) echo {binutils} ;;
llvm) if [ "$SRCARCH" = loongarch ]; then echo 99.0.0; else echo {llvm}; fi ;;
*) exit 1 ;;
esac
"""
SAYS = {
    "ld.lld": "Debian LLD {} (compatible with GNU linkers)",
    "ld.bfd": "GNU ld (GNU Binutils for Debian) {}",
    "gcc": "{}",
    "pahole": "v{}",
}
BTF = """config PAHOLE_VERSION
	int

config DEBUG_INFO_BTF
	bool "Generate BTF type information"
	depends on PAHOLE_VERSION >= {}
	depends on DEBUG_INFO_DWARF4 || PAHOLE_VERSION >= 121

config PAHOLE_HAS_LANG_EXCLUDE
	def_bool PAHOLE_VERSION >= 124
"""


class Machine:
    """Programs of some versions, and a tree that takes some."""

    def __init__(self, root: Path) -> None:
        self.bin, self.tree, self.memory = root / "bin", root / "tree", root / "build"
        for folder in (self.bin, self.tree / "scripts", self.tree / "lib", self.memory):
            folder.mkdir(parents=True)
        self.has(**{"gcc": "12.2.0", "ld.bfd": "2.40", "pahole": "1.24"})
        self.takes()

    def has(self, **versions: str) -> None:
        for name, version in versions.items():
            words = SAYS[name.partition("-")[0]].format(version)
            (self.bin / name).write_text(f"#!/bin/sh\necho '{words}'\necho >>{self.bin}/asked\n")
            (self.bin / name).chmod(0o755)

    def takes(
        self,
        gcc: str = "5.1.0",
        binutils: str = "2.25.0",
        llvm: str = "13.0.1",
        pahole: int = 116,
    ) -> None:
        (self.tree / toolchain.BTF).write_text(BTF.format(pahole))
        script = OLDEST.format(gcc=gcc, binutils=binutils, llvm=llvm)
        (self.tree / toolchain.OLDEST).write_text(script)

    @property
    def linker(self) -> str:
        return toolchain.linker(self.tree, self.memory)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setenv("PATH", f"{made.bin}:/bin")

    def find(name: str) -> Path | None:
        place = made.bin / name
        return place if place.exists() else None

    monkeypatch.setattr(toolchain, "find", find)
    return made


def test_lld_where_the_tree_takes_it(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.has(**{"ld.lld": "14.0.6", "ld.lld-19": "19.1.7"})
    assert machine.linker == "ld.lld"
    assert capsys.readouterr().out == ""


def test_a_newer_one_beside_it(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.has(**{"ld.lld": "14.0.6", "ld.lld-9": "9.0.1", "ld.lld-19": "19.1.7"})
    machine.takes(llvm="17.0.1")
    assert machine.linker == "ld.lld-19"
    (line,) = capsys.readouterr().out.splitlines()
    assert line == "linker    ld.lld-19 19.1.7: ld.lld is 14.0.6, 17.0.1 is the oldest"


def test_else_gnu_ld(machine: Machine) -> None:
    machine.has(**{"ld.lld": "14.0.6"})
    machine.takes(llvm="17.0.1")
    assert machine.linker == "ld.bfd"


def test_none_that_it_takes(machine: Machine) -> None:
    machine.takes(llvm="17.0.1", binutils="2.50")
    with pytest.raises(LabError, match=r"ld.lld is missing.*ld.bfd is 2.40, 2.50 is the oldest"):
        _ = machine.linker


def test_a_gcc_that_is_too_old(machine: Machine) -> None:
    machine.takes(gcc="13.1.0")
    with pytest.raises(LabError, match=r"takes gcc 13.1.0 or newer, and 12.2.0 is here"):
        _ = machine.linker


def test_a_pahole_that_is_too_old(machine: Machine) -> None:
    machine.has(**{"ld.lld": "14.0.6", "pahole": "1.21"})
    machine.takes(pahole=122)
    with pytest.raises(LabError, match=r"takes pahole 1.22 or newer, and 1.21 is here"):
        _ = machine.linker
    machine.has(pahole="1.22")
    assert machine.linker == "ld.lld"


def test_a_tree_that_does_not_say(machine: Machine) -> None:
    (machine.tree / toolchain.OLDEST).unlink()
    assert machine.linker == "ld.lld"


def test_it_is_asked_once_until_something_changes(machine: Machine) -> None:
    def asked() -> int:
        return len((machine.bin / "asked").read_text().splitlines())

    machine.has(**{"ld.lld": "14.0.6"})
    machine.takes(llvm="17.0.1")
    assert machine.linker == "ld.bfd"
    before = asked()
    assert machine.linker == "ld.bfd"
    assert asked() == before
    machine.has(**{"ld.lld-18": "18.1.0"})
    assert machine.linker == "ld.lld-18"
    machine.takes(llvm="19.1.0")
    assert machine.linker == "ld.bfd"
