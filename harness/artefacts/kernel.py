# SPDX-License-Identifier: GPL-2.0-only
"""A built kernel, and what it says of itself."""

import re
from dataclasses import dataclass
from pathlib import Path

from harness.artefacts import kconfig, modules
from harness.artefacts.symbols import Symbols


@dataclass(frozen=True)
class Kernel:
    """A built kernel, and what it was built from.

    vmlinux: with symbols and BTF; also what QEMU boots, by its PVH entry: a bzImage takes a second
        more to make, and has to unpack itself under TCG.
    """

    vmlinux: Path
    gen_init_cpio: Path
    tree: Path
    fingerprint: str

    @property
    def _objects(self) -> Path:
        return self.gen_init_cpio.parent.parent

    @property
    def modules(self) -> Path | None:
        """What goes to /lib/modules in the guest, None without modules."""
        folder = self._objects / modules.INSTALLED
        return folder if folder.exists() else None

    def knows(self, function: str) -> bool:
        """Whether it has a function of that name."""
        listed = (self._objects / "System.map").read_bytes()
        return f" {function}\n".encode() in listed

    @property
    def release(self) -> str:
        """Version and patch level, as 6.12."""
        makefile = (self.tree / "Makefile").read_text()
        found = re.findall(r"^(?:VERSION|PATCHLEVEL) = (\d+)$", makefile, re.MULTILINE)
        return ".".join(found)

    @property
    def most_cpus(self) -> int:
        """That it can have, by its configuration."""
        config = self._objects / ".config"
        return int(kconfig.parse(config.read_text()).get("NR_CPUS", "1"))

    @property
    def symbols(self) -> Symbols:
        """What decodes its reports."""
        of_modules = modules.objects(self._objects) if self.modules else {}
        return Symbols(self.vmlinux, self.tree, of_modules)
