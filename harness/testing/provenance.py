# SPDX-License-Identifier: GPL-2.0-only
"""What a verdict is about: kernel, base, configuration, series, accelerator, and the lab itself."""

import hashlib
from pathlib import Path

from harness.artefacts import patches
from harness.core.git import look
from harness.core.run import CommandFailed, run
from harness.core.workspace import ROOT, Base, Layout, Selection
from harness.machine import accelerator, qemu

DIGITS = 12  # of a hash, as git abbreviates them in a tree of a kernel's size


def provenance(selection: Selection) -> dict[str, str]:
    """Names and values, for people and for JUnit's properties. All of it is built already."""
    layout = Layout.of(selection)
    base = Base.load(selection.base)
    tree = Path(selection.tree) if selection.tree else layout.linux
    chosen = accelerator.remembered(layout.root)
    config = (layout.objects / ".config").read_bytes()
    told = {
        "kernel": (layout.objects / "include/config/kernel.release").read_text().strip(),
        "base": selection.tree or f"{selection.base}, {base.package} {base.version}",
        "series": _series(selection, base, tree),
        "tree": _commit(tree),
        "config": hashlib.sha256(config).hexdigest()[:DIGITS],
        "accelerator": f"{chosen.name}: {chosen.reason}" if chosen else "unknown",
        "qemu": run([qemu.BINARY, "--version"], deadline=10).splitlines()[0],
        "lab": _commit(ROOT),
    }
    if selection.lane:
        told["lane"] = selection.lane
    return told


def _series(selection: Selection, base: Base, tree: Path) -> str:
    if selection.tree or selection.bare:
        return "none"
    return f"{len(patches.parse_series(base.series_dir))} patches of {base.series_dir.name}"


def _commit(tree: Path) -> str:
    """The commit that a tree stands at, and whether it was changed since; "" outside of git."""
    try:
        commit = look(tree, "rev-parse", f"--short={DIGITS}", "HEAD").strip()
        changed = look(tree, "status", "--porcelain", "--untracked-files=no").strip()
    except CommandFailed:
        return "not in git"
    return f"{commit}, and changes that are not committed" if changed else commit
