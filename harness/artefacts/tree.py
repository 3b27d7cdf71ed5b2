# SPDX-License-Identifier: GPL-2.0-only
"""The kernel tree that `build` was asked for, and its kernel."""

from dataclasses import replace
from pathlib import Path

from harness.artefacts import bpftool, kbuild, patches, scratch_tree, source
from harness.artefacts.kernel import Kernel
from harness.core import git
from harness.core.errors import BadCall, LabError
from harness.core.progress import say
from harness.core.run import CommandFailed
from harness.core.workspace import Base, Lane, Layout, Selection, unfit


def kernel(selection: Selection, tree: Path) -> Kernel:
    """Have the kernel of a selection built from its tree; the caller holds the build lock."""
    layout = Layout.of(selection)
    layout.variant.mkdir(parents=True, exist_ok=True)
    base = Base.load(selection.base)
    fragments = [base.series_dir / "config"]
    if selection.lane:
        fragments.append(base.series_dir / f"config.{selection.lane}")
    if selection.fragment:
        fragments.append(_user_fragment(selection.fragment))
    lenient = selection.tree is not None
    return kbuild.kernel(layout, tree, tuple(fragments), base.objects, lenient=lenient)


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


def tools(selection: Selection, tree: Path) -> bpftool.Tools:
    """bpftool and libbpf: of the base, whatever the tree, for the lab was tried with those.

    Of the tree itself where the base's source is not to be had. The caller holds the build lock.
    """
    if not selection.tree:
        return bpftool.tools(Layout.of(selection), tree)
    base = Selection(selection.base)
    layout = Layout.of(base)
    if not layout.linux.exists():
        layout.source.mkdir(parents=True, exist_ok=True)
        try:
            source.prepare(layout, Base.load(selection.base), base)
        except LabError as error:
            say(
                f"bpftool   of {tree}, for the base's can't be had: {error.message.splitlines()[0]}"
            )
            return bpftool.tools(Layout.of(selection), tree)
    return bpftool.tools(layout, layout.linux)


def origin(selection: Selection) -> Path:
    """The tree that a selection's commit is of, or made of one of."""
    if selection.tree:
        return _user_tree(selection.tree)
    return Layout.of(replace(selection, commit="", place="", lane=Lane.PLAIN)).linux


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
