# SPDX-License-Identifier: GPL-2.0-only
"""A kernel's modules: where they are installed, for the guest, and how reports name them."""

import shutil
from pathlib import Path

from harness.core.run import run

INSTALLED = "lab-modules"  # in the folder of a kernel's objects
# Without debug information, a tenth of the bytes; modules.dep is made by busybox, which is there.
INSTALL = ["modules_install", f"INSTALL_MOD_PATH={INSTALLED}", "INSTALL_MOD_STRIP=1", "DEPMOD=true"]
ORDER = "modules.order"  # the objects of all modules, a line each (scripts/Makefile.modfinal)


def remove(objects: Path) -> None:
    """Have no modules installed: those of an older kernel, or of another configuration."""
    shutil.rmtree(objects / INSTALLED, ignore_errors=True)


def index(objects: Path, log: Path) -> None:
    """Have a modules.dep beside installed modules, for modprobe."""
    for folder in (objects / INSTALLED / "lib/modules").iterdir():
        for link in ("build", "source"):  # to folders that the guest does not have
            (folder / link).unlink(missing_ok=True)
        base = objects / INSTALLED
        run(["busybox", "depmod", "-b", base, folder.name], deadline=60, log=log)


def objects(folder: Path) -> dict[str, Path]:
    """By name, as reports have it, the modules with their debug information."""
    names = (folder / ORDER).read_text().split()
    files = (folder / name for name in names)
    return {file.stem.replace("-", "_"): file.with_suffix(".ko") for file in files}
