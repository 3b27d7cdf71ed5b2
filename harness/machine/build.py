# SPDX-License-Identifier: GPL-2.0-only
"""All that a machine is made of, in its order: tree, kernel, bpftool, programs, image."""

from dataclasses import dataclass, replace
from pathlib import Path

from harness.artefacts import bpf_programs, bpftool, image, kbuild, tree
from harness.core import artefact, host
from harness.core.workspace import Layout, Selection
from harness.machine import accelerator, qemu
from harness.machine.plan import Plan
from harness.machine.plan import remember as remember_plan
from harness.machine.snapshot import State
from harness.machine.vm import Access


@dataclass(frozen=True)
class Artefacts:
    """What a machine is made of, all of it current."""

    selection: Selection
    kernel: kbuild.Kernel
    programs: bpf_programs.Programs
    image: image.Image
    accelerator: qemu.Accelerator
    access: Access

    @property
    def fingerprint(self) -> str:
        """What a running machine must have been made of to be the current one."""
        machine = f"{self.accelerator.name} {self.accelerator.cpu}"
        return artefact.fingerprint(self.kernel.fingerprint, self.image.fingerprint, machine)

    @property
    def state(self) -> State:
        """Where such a machine is saved."""
        return State(Layout.of(self.selection).variant / "state", self.fingerprint)

    @property
    def plan(self) -> Plan:
        """Such a machine."""
        return Plan(self.selection, self.spec(Path("console")), self.access, self.state)

    @property
    def are_saved(self) -> bool:
        """Whether there is a saved machine of these, with its taps."""
        taps = tuple(range(len(qemu.NICS)))
        return self.state.fits(replace(self.plan.spec, tap_fds=taps))

    def spec(self, console: Path) -> qemu.Spec:
        """A machine of these, its descriptors still to be filled in."""
        return qemu.Spec(
            self.kernel.vmlinux, self.image.initramfs, self.accelerator, console, -1, ()
        )


def build(selection: Selection) -> Artefacts:
    """Have everything of a selection built; what is current is not made again.

    The caller holds the build lock.
    """
    host.require()
    layout = Layout.of(selection)
    linux = tree.source_tree(selection)
    built = tree.kernel(selection, linux)
    tools = bpftool.tools(layout, linux)
    programs = bpf_programs.programs(layout, built, tools)
    guest_image = image.image(layout, built, tools)
    chosen = accelerator.find_out(layout.root, built.vmlinux, guest_image.initramfs)
    keys = image.keys(layout)
    access = Access(keys.client, keys.host_public)
    made = Artefacts(selection, built, programs, guest_image, chosen, access)
    remember_plan(made.plan)
    return made
