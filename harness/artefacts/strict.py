# SPDX-License-Identifier: GPL-2.0-only
"""Compiles the files that the series touches with W=1, in the configuration with all drivers."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.artefacts import kbuild
from harness.artefacts.kernel import Kernel
from harness.artefacts.source import BASE_TAG
from harness.core import artefact
from harness.core.errors import LabError, TestsFailed
from harness.core.git import git
from harness.core.progress import step
from harness.core.workspace import Lane, Layout


def fragments(series_dir: Path) -> tuple[Path, ...]:
    """What the lane's configuration is made of."""
    return series_dir / "config", series_dir / f"config.{Lane.DRIVERS}"


def touched(tree: Path, objects: Path) -> tuple[Path, ...]:
    """The C files that differ from the tree's base and have an object, as paths in the tree.

    Raises LabError for one that was not compiled, by itself or as part of another.
    """
    names = git(tree, "diff", "--name-only", "--diff-filter=d", BASE_TAG, "--", "*.c").split()
    sources = tuple(Path(name) for name in names)
    compiled = own_objects(tree, sources)
    for path in compiled:
        if not (objects / path).with_suffix(".o").exists():
            raise LabError(
                f"{path} is changed by the series, and the configuration does not compile it",
                hint=f"have config.{Lane.DRIVERS} select its driver",
            )
    return compiled


def own_objects(tree: Path, sources: Sequence[Path]) -> tuple[Path, ...]:
    """C files of a tree without those that another of them includes."""
    text = "".join((tree / path).read_text() for path in sources)
    return tuple(path for path in sources if f'#include "{path.name}"\n' not in text)


def check(
    layout: Layout, kernel: Kernel, fragments: tuple[Path, ...], sources: tuple[Path, ...]
) -> None:
    """Compile these files with W=1; on the base they have no warning. TestsFailed for one.

    In a folder of its own, as other flags would have the kernel's objects made again.
    """
    strict = replace(layout, variant=layout.variant / "strict")
    names = [str(source.with_suffix(".o")) for source in sources]
    objects = [strict.objects / name for name in names]
    wanted = artefact.fingerprint(kernel.fingerprint, *names)
    if artefact.is_current(strict.objects, wanted):
        return
    for path in objects:
        path.unlink(missing_ok=True)  # one that is up to date would say nothing
    with step("strict", f"compiling {len(names)} files with W=1") as current:
        printed = kbuild.compile_strictly(strict, layout.linux, fragments, names, sparse=False)
        said = sorted({found[0] for found in kbuild.COMPLAINT.finditer(printed)})
        if said:
            raise TestsFailed("the series has warnings with W=1:\n  " + "\n  ".join(said))
        missing = [path.name for path in objects if not path.exists()]
        if missing:
            raise LabError(f"not compiled with W=1: {', '.join(missing)}")
        current.note = f"{len(names)} files without a warning of W=1"
    artefact.stamp(strict.objects, wanted, objects)
