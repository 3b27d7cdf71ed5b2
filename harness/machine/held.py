# SPDX-License-Identifier: GPL-2.0-only
"""Holds the artefacts of a run: it goes on with them, even if a build replaces them.

A build puts new files in the place of vmlinux and of the initramfs (the linker removes its
output first) and a new folder in that of the programs. Who has the old ones open has them
for as long: their names here are those of descriptors, gone with this process.
"""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from harness.core.artefact import opened
from harness.core.lock import locked, used
from harness.core.workspace import Selection, build_root
from harness.machine.build import Artefacts, build


@contextmanager
def built(selection: Selection) -> Iterator[Artefacts]:
    """Have everything of a selection built, and held for the length of the context.

    Only the build is under the build lock.
    """
    with contextlib.ExitStack() as stack:
        with locked(build_root()):
            artefacts = stack.enter_context(held(build(selection)))
        yield artefacts


@contextmanager
def held(artefacts: Artefacts) -> Iterator[Artefacts]:
    """The same artefacts, under names that are good here and in all that this process starts.

    For the length of the context, in which `clean` waits. The caller holds the build lock
    until it is entered.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(used(build_root()))

        def hold(path: Path) -> Path:
            descriptor = stack.enter_context(opened(path))
            return Path(f"/proc/{os.getpid()}/fd/{descriptor}")

        kernel, image, programs = artefacts.kernel, artefacts.image, artefacts.programs
        yield replace(
            artefacts,
            kernel=replace(kernel, vmlinux=hold(kernel.vmlinux)),
            image=replace(image, initramfs=hold(image.initramfs)),
            programs=replace(programs, objects=hold(programs.objects)),
        )
