# SPDX-License-Identifier: GPL-2.0-only
"""A run's machines are of the kernel with which it began, also when another one takes its place."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.machine import vm
from harness.machine.build import Artefacts
from harness.machine.held import held
from harness.machine.qemu import Spec
from harness.machine.snapshot import State
from harness.testing.fixtures import Testbed

pytestmark = pytest.mark.unchanged


class Lab:
    """The session's artefacts by names of this test's own, and others that take these."""

    def __init__(self, testbed: Testbed, directory: Path) -> None:
        given = testbed.artefacts
        self._directory = directory
        kernel = replace(given.kernel, vmlinux=self._named("vmlinux", given.kernel.vmlinux))
        image = replace(given.image, initramfs=self._named("image", given.image.initramfs))
        self.artefacts = replace(given, kernel=kernel, image=image)

    def _named(self, name: str, file: Path) -> Path:
        path = self._directory / name
        path.symlink_to(file)
        return path

    def replace_all(self) -> None:
        """As a build in a second terminal, of a kernel that does not boot."""
        for path in (self.artefacts.kernel.vmlinux, self.artefacts.image.initramfs):
            other = path.with_name("other")
            other.write_bytes(b"another one")
            other.replace(path)

    def spec(self, artefacts: Artefacts) -> Spec:
        """A machine of these."""
        return artefacts.spec(self._directory / "console.log")


@pytest.fixture
def lab(testbed: Testbed, tmp_path: Path) -> Lab:
    return Lab(testbed, tmp_path)


@pytest.fixture
def kept(lab: Lab) -> Iterator[Artefacts]:
    """What is held of a lab in which then all was replaced."""
    with held(lab.artefacts) as artefacts:
        lab.replace_all()
        yield artefacts


def test_what_boots_and_is_saved_is_what_is_held(lab: Lab, kept: Artefacts, tmp_path: Path) -> None:
    state = State(tmp_path / "state", kept.fingerprint)
    for restored in (False, True):
        with vm.boot(lab.spec(kept), kept.access, state) as machine:
            assert machine.restored == restored
            assert not machine.remark
            assert machine.guest.sh("uname") == "Linux\n"
    state.remove()


def test_one_that_began_early_boots_what_is_held(lab: Lab, kept: Artefacts, tmp_path: Path) -> None:
    """Where there is no state to restore; it began with names that mean something else by now."""
    state = State(tmp_path / "state", kept.fingerprint)
    with vm.start(lab.spec(lab.artefacts), kept.access, state) as log_in:
        assert log_in(lab.spec(kept)).guest.sh("uname") == "Linux\n"
    state.remove()


def test_reports_are_decoded_by_the_kernel_that_is_held(kept: Artefacts) -> None:
    symbols = kept.kernel.symbols
    assert "net/core/filter.c:" in symbols.decode(" xdp_do_redirect+0x10/0x400")


def test_programs_are_those_that_are_held(testbed: Testbed) -> None:
    """As the session itself has them."""
    objects = testbed.artefacts.programs.objects
    assert objects.is_relative_to(f"/proc/{os.getpid()}/fd") or "PYTEST_XDIST_WORKER" in os.environ
    assert (objects / "xdp_pass.bpf.o").read_bytes()[:4] == b"\x7fELF"
