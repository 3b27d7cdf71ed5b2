# SPDX-License-Identifier: GPL-2.0-only
"""What a run began with stays what it is, whatever a second terminal builds meanwhile."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.artefacts.bpf_programs import Programs
from harness.artefacts.image import Image
from harness.artefacts.kernel import Kernel
from harness.artefacts.toolchain import LLD
from harness.core import artefact, workspace
from harness.core.workspace import Layout, Selection
from harness.machine import prestart, vm
from harness.machine.build import Artefacts
from harness.machine.held import held
from harness.machine.plan import remember
from harness.machine.qemu import Accelerator, shape
from harness.machine.snapshot import State
from harness.machine.vm import Access


class Lab:
    """A lab whose artefacts are a few words, built as the real ones are."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.vmlinux = directory / "vmlinux"

    def build(self, word: str) -> Artefacts:
        """Have all of it say this."""
        source, compiled = self._directory / "word.c", self._directory / "word.o"
        source.write_text(f'const char word[] = "{word}";')
        subprocess.run(["gcc", "-c", "-o", compiled, source], check=True)
        subprocess.run([LLD, "-e", "word", "-o", self.vmlinux, compiled], check=True)
        image, progs = self._directory / "image", self._directory / "progs"
        artefact.make(image, word, lambda path: _write(path / "initramfs", word))
        artefact.make(progs, word, lambda path: _write(path / "one.bpf.o", word))
        return Artefacts(
            Selection(),
            Kernel(self.vmlinux, Path("gen_init_cpio"), Path("tree"), word),
            Programs(progs, ()),
            Image(image / "initramfs", word),
            Accelerator("tcg", "cpu", "why"),
            Access(Path("key"), "host key"),
        )


def _write(path: Path, word: str) -> None:
    path.write_text(f"a {word} here")


def _words(artefacts: Artefacts) -> set[str]:
    """What another program finds in each artefact."""
    files = [
        artefacts.kernel.vmlinux,
        artefacts.image.initramfs,
        artefacts.programs.objects / "one.bpf.o",
    ]
    said = [subprocess.check_output(["cat", file]).decode(errors="replace") for file in files]
    return {word for word in ("first", "second", "third") if any(word in text for text in said)}


def _descriptors() -> set[str]:
    """The files that this process has open, and at which numbers."""
    numbers = Path("/proc/self/fd").iterdir()
    # Another test's may be closed meanwhile, by the garbage collector.
    return {f"{path.name} {path.readlink()}" for path in numbers if os.path.lexists(path)}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr(workspace, "ROOT", tmp_path)
    Layout.of(Selection()).variant.mkdir(parents=True)
    return Lab(tmp_path)


def test_what_is_held_is_no_other_after_a_build(lab: Lab) -> None:
    with held(lab.build("first")) as first, held(lab.build("second")) as second:
        now = lab.build("third")
        assert [_words(each) for each in (first, second, now)] == [
            {"first"},
            {"second"},
            {"third"},
        ]
    assert not first.kernel.vmlinux.exists()


def test_it_is_the_same_machine_by_other_names(lab: Lab) -> None:
    artefacts = lab.build("first")
    with held(artefacts) as first:
        assert first.plan.is_same_machine(artefacts.plan)
        assert shape(first.plan.spec) == shape(artefacts.plan.spec)
        assert first.kernel.symbols.vmlinux == first.kernel.vmlinux


def test_nothing_is_left_of_it(lab: Lab, tmp_path: Path) -> None:
    before = _descriptors()
    with held(lab.build("first")):
        lab.build("second")
    lab.build("third")
    assert not _descriptors() - before
    assert not list(tmp_path.glob("*.old*"))


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> list[State | None]:
    """With which state each machine was started; the rest of it is left out."""
    used: list[State | None] = []

    @contextlib.contextmanager
    def start(spec: object, access: object, state: State | None) -> Iterator[vm.LogIn]:
        used.append(state)
        yield lambda spec: pytest.fail("nobody logs in")

    monkeypatch.setattr(vm, "start", start)
    return used


def test_a_machine_that_was_replaced_leaves_its_successors_state_alone(
    lab: Lab, states: list[State | None]
) -> None:
    artefacts = lab.build("first")
    remember(artefacts.plan)
    with held(artefacts) as first:
        with prestart.start(first.plan):
            assert states == [artefacts.state]
        remember(lab.build("second").plan)
        with prestart.start(first.plan):
            assert states[1:] == [None]
