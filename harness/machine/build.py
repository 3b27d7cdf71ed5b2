# SPDX-License-Identifier: GPL-2.0-only
"""All artefacts in their order: source, series, kernel, bpftool, programs, image."""

from dataclasses import dataclass, replace
from pathlib import Path

from harness.artefacts import bpf_programs, bpftool, image, kbuild, patches, scratch_tree, source
from harness.core import artefact, git, host
from harness.core.errors import BadCall
from harness.core.progress import say
from harness.core.run import CommandFailed
from harness.core.workspace import Base, Layout, Selection, unfit
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
    tree = source_tree(selection)
    built = kernel(selection, tree)
    tools = bpftool.tools(layout, tree)
    programs = bpf_programs.programs(layout, built, tools)
    guest_image = image.image(layout, built, tools)
    chosen = accelerator.find_out(layout.root, built.vmlinux, guest_image.initramfs)
    keys = image.keys(layout)
    access = Access(keys.client, keys.host_public)
    made = Artefacts(selection, built, programs, guest_image, chosen, access)
    remember_plan(made.plan)
    return made


def kernel(selection: Selection, tree: Path) -> kbuild.Kernel:
    """Have the kernel of a selection built from its tree; the caller holds the build lock."""
    layout = Layout.of(selection)
    layout.variant.mkdir(parents=True, exist_ok=True)
    base = Base.load(selection.base)
    fragments = [base.series_dir / "config"]
    if selection.lane:
        fragments.append(base.series_dir / f"config.{selection.lane}")
    if selection.fragment:
        fragments.append(_user_fragment(selection.fragment))
    return kbuild.kernel(layout, tree, tuple(fragments), base.objects)


def source_tree(selection: Selection) -> Path:
    """Have the tree of a selection; the caller holds the build lock."""
    layout = Layout.of(selection)
    layout.source.mkdir(parents=True, exist_ok=True)
    if selection.commit and not selection.bare:
        return _committed(layout.linux, selection)
    if selection.tree:
        return _user_tree(selection.tree)
    base = Base.load(selection.base)
    source.prepare(layout, base, selection)
    series = () if selection.bare else patches.parse_series(base.series_dir)
    patches.apply(layout, series)
    return layout.linux


def origin(selection: Selection) -> Path:
    """The tree that a selection's commit is of, or made of one of."""
    if selection.tree:
        return _user_tree(selection.tree)
    return Layout.of(replace(selection, commit="", place="", lane="")).linux


def _committed(tree: Path, selection: Selection) -> Path:
    scratch_tree.clone(tree, origin(selection))
    try:
        scratch_tree.check_out(tree, selection.commit)
    except CommandFailed as error:
        error.hint = "./lab build, which goes back to the whole series"
        raise
    say(f"tree      {git.git(tree, 'log', '-1', '--format=%s').strip()}")
    return tree


def _user_tree(name: str) -> Path:
    tree = Path(name)
    if not (tree / "Kconfig").is_file():
        raise BadCall(f"{tree} is not a kernel tree", hint="--tree takes its top folder")
    if wrong := unfit(tree):
        raise BadCall(
            f"make can't take {wrong!r} in a tree's path: {tree}",
            hint="move it, or make a git worktree of it elsewhere",
        )
    return tree


def _user_fragment(name: str) -> Path:
    fragment = Path(name)
    if not fragment.is_file():
        raise BadCall(f"there is no configuration fragment {fragment}")
    return fragment
