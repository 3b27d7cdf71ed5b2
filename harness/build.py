# SPDX-License-Identifier: GPL-2.0-only
"""All artefacts in their order: source, series, kernel, bpftool, programs, image."""

from dataclasses import dataclass
from pathlib import Path

from harness import accel, artefact, host, image, kbuild, patches, progs, qemu, source
from harness.config import Base, Layout, Selection
from harness.errors import BadCall
from harness.snapshot import State
from harness.vm import Access


@dataclass(frozen=True)
class Artefacts:
    """What a machine is made of, all of it current."""

    selection: Selection
    kernel: kbuild.Kernel
    programs: progs.Programs
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

    def spec(self, console: Path) -> qemu.Spec:
        """A machine of these, its descriptors still to be filled in."""
        return qemu.Spec(
            self.kernel.bzimage, self.image.initramfs, self.accelerator, console, -1, ()
        )


def build(selection: Selection) -> Artefacts:
    """Have everything of a selection built; what is current is not made again.

    The caller holds the build lock.
    """
    host.require()
    layout = Layout.of(selection)
    layout.variant.mkdir(parents=True, exist_ok=True)
    base = Base.load(selection.base)
    if selection.tree:
        tree = _user_tree(selection.tree)
    else:
        tree = layout.linux
        source.prepare(layout, base, selection)
        series = () if selection.bare else patches.parse_series(base.series_dir)
        patches.apply(layout, series)
    fragments = [base.series_dir / "config"]
    if selection.lane:
        fragments.append(base.series_dir / f"config.{selection.lane}")
    if selection.fragment:
        fragments.append(_user_fragment(selection.fragment))
    kernel = kbuild.kernel(layout, tree, tuple(fragments), base.objects)
    tools = kbuild.tools(layout, tree)
    programs = progs.programs(layout, kernel, tools)
    guest_image = image.image(layout, kernel, tools)
    accelerator = accel.find_out(layout.root, kernel.bzimage, guest_image.initramfs)
    keys = image.keys(layout)
    return Artefacts(
        selection, kernel, programs, guest_image, accelerator, Access(keys.client, keys.host_public)
    )


def _user_tree(name: str) -> Path:
    tree = Path(name)
    if not (tree / "Kconfig").is_file():
        raise BadCall(f"{tree} is not a kernel tree", hint="--tree takes its top folder")
    if any(char.isspace() or char == ":" for char in str(tree)):
        raise BadCall(
            f"Kbuild can't build a tree below a path with spaces or colons: {tree}",
            hint="move it, or make a git worktree of it elsewhere",
        )
    return tree


def _user_fragment(name: str) -> Path:
    fragment = Path(name)
    if not fragment.is_file():
        raise BadCall(f"there is no configuration fragment {fragment}")
    return fragment
