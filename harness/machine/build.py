# SPDX-License-Identifier: GPL-2.0-only
"""All that a machine is made of, in its order: tree, kernel, bpftool, programs, image."""

from dataclasses import dataclass, replace
from pathlib import Path

from harness.artefacts import bpf_programs, image, tree
from harness.artefacts.kernel import Kernel
from harness.core import artefact, host
from harness.core.errors import BadCall
from harness.core.workspace import Base, Lane, Layout, Selection
from harness.machine import accelerator, qemu
from harness.machine.options import OWN, Options
from harness.machine.plan import Plan
from harness.machine.plan import remember as remember_plan
from harness.machine.snapshot import State
from harness.machine.vm import Access


@dataclass(frozen=True)
class Artefacts:
    """What a machine is made of, all of it current."""

    selection: Selection
    kernel: Kernel
    programs: bpf_programs.Programs
    image: image.Image
    accelerator: qemu.Accelerator
    access: Access
    options: Options = OWN

    def with_options(self, options: Options) -> "Artefacts":
        """The same, for machines with these. Raises BadCall for more CPUs than the kernel knows."""
        most = self.kernel.most_cpus
        if options.cpus > most:
            raise BadCall(
                f"the kernel was built for {most} CPUs, not for {options.cpus}",
                hint="CONFIG_NR_CPUS in a fragment: ./lab build --config FILE",
            )
        return replace(self, options=options)

    @property
    def fingerprint(self) -> str:
        """What a running machine must have been made of to be the current one, but for options."""
        machine = f"{self.accelerator.name} {self.accelerator.cpu}"
        return artefact.fingerprint(self.kernel.fingerprint, self.image.fingerprint, machine)

    @property
    def state(self) -> State:
        """Where such a machine is saved."""
        name = "-".join(filter(None, ["state", self.options.name]))
        return State(Layout.of(self.selection).variant / name, self.fingerprint)

    @property
    def plan(self) -> Plan:
        """Such a machine."""
        return Plan(self.selection, self.spec(Path("console")), self.access, self.state)

    @property
    def are_saved(self) -> bool:
        """Whether there is a saved machine of these, with its taps."""
        if not self.options.can_be_saved:
            return False
        taps = tuple(range(len(qemu.NICS)))
        return self.state.fits(replace(self.plan.spec, tap_fds=taps))

    def spec(self, console: Path) -> qemu.Spec:
        """A machine of these, its descriptors still to be filled in."""
        return qemu.Spec(
            self.kernel.vmlinux, self.image.initramfs, self.accelerator, console, -1, (),
            self.options,
        )  # fmt: skip


def require(selection: Selection) -> None:
    """Have what a selection is built with installed. Raises what host.require does."""
    base = Base.load(selection.base)
    more = (base.clang, *host.SELFTESTS) if selection.lane == Lane.SELFTESTS else ()
    host.require((*base.tools, *more))


def build(selection: Selection) -> Artefacts:
    """Have everything of a selection built; what is current is not made again.

    The caller holds the build lock.
    """
    require(selection)
    layout = Layout.of(selection)
    linux = tree.source_tree(selection)
    built = tree.kernel(selection, linux)
    tools = tree.tools(selection, linux)
    programs = bpf_programs.programs(layout, built, tools)
    guest_image = image.image(layout, built, tools, selection.lane)
    chosen = accelerator.find_out(layout.root, built.vmlinux, guest_image.initramfs)
    keys = image.keys(layout)
    access = Access(keys.client, keys.host_public)
    made = Artefacts(selection, built, programs, guest_image, chosen, access)
    remember_plan(made.plan)
    return made
