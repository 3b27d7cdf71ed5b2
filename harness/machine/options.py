# SPDX-License-Identifier: GPL-2.0-only
"""What a machine has otherwise than the lab's own: more CPUs, memory, words, a folder."""

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.core.artefact import fingerprint
from harness.core.errors import BadCall

QEMU_WORDS = "LAB_QEMU"  # a variable: more words for QEMU's command line
LEAST_MIB = 128  # what the guest's kernel and initramfs need to come up
MIB = {"M": 1, "G": 1024}
SHARED = "/mnt/share"  # where images/rcS.j2 mounts it


@dataclass(frozen=True)
class Options:
    """Of a machine.

    memory: MiB.
    append: words for the kernel's command line, behind the lab's own.
    share: a folder of the host, which the guest has at SHARED and can't write to; "": none.
    qemu: words for QEMU's command line, behind the lab's own.
    stays: where the guest ends, at a panic, QEMU stops and keeps its memory for a dump. The guest
        sees nothing of it: it is in no name, and no other state.
    """

    cpus: int = 2
    memory: int = 512
    append: str = ""
    share: str = ""
    qemu: tuple[str, ...] = ()
    stays: bool = False

    def __str__(self) -> str:
        """As the flags that ask for them; "" if there is nothing to be said."""
        said = [
            *([f"--cpus {self.cpus}"] if self.cpus != Options.cpus else []),
            *([f"--memory {self.memory}M"] if self.memory != Options.memory else []),
            *([f"--append {shlex.quote(self.append)}"] if self.append else []),
            *([f"--share {shlex.quote(self.share)}"] if self.share else []),
        ]
        if self.qemu:
            said.insert(0, f"{QEMU_WORDS}={shlex.quote(shlex.join(self.qemu))}")
        return " ".join(said)

    @property
    def name(self) -> str:
        """What tells these from others in a file's name; "" for the lab's own machine."""
        seen = replace(self, stays=False)
        return fingerprint(repr(seen))[:8] if seen != OWN else ""

    @property
    def can_be_saved(self) -> bool:
        """QEMU does not save a machine whose guest has mounted a folder of the host."""
        return not self.share

    def to_json(self) -> dict[str, Any]:
        """As values that json can write."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Options":
        """The reverse of to_json. Raises KeyError, TypeError or ValueError for anything else."""
        words = tuple(map(str, told["qemu"]))
        cpus, memory = int(told["cpus"]), int(told["memory"])
        append, share, stays = str(told["append"]), str(told["share"]), bool(told["stays"])
        return cls(cpus, memory, append, share, words, stays)


OWN = Options()  # the lab's own machine has these


def asked(
    cpus: str | None = None,
    memory: str | None = None,
    append: str | None = None,
    share: str | None = None,
) -> Options | None:
    """What these flags and LAB_QEMU ask for, None for nothing. Raises BadCall for no sense."""
    words = os.environ.get(QEMU_WORDS, "")
    if (cpus, memory, append, share) == (None,) * 4 and not words:
        return None
    return Options(
        _cpus(cpus) if cpus is not None else Options.cpus,
        _mib(memory) if memory is not None else Options.memory,
        _words(append or ""),
        _folder(share) if share is not None else "",
        tuple(_split(QEMU_WORDS, words)),
    )


def _cpus(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise BadCall(f"--cpus takes a number from 1 on, not {text!r}")
    return int(text)


def _mib(text: str) -> int:
    found = re.fullmatch(r"([1-9][0-9]{0,5})([MG])", text.upper())
    mib = int(found[1]) * MIB[found[2]] if found else 0
    if mib < LEAST_MIB:
        raise BadCall(f"--memory takes a size from {LEAST_MIB}M on, as 768M or 2G, not {text!r}")
    return mib


def _words(append: str) -> str:
    if not append.isprintable() or not append.isascii():
        raise BadCall(f"no words for a kernel's command line: {append!r}")
    return append.strip()


def _folder(share: str) -> str:
    folder = Path(share)
    try:
        there = bool(share) and folder.is_dir()
    except OSError:  # out of reach
        there = False
    if not there:
        raise BadCall(f"--share takes a folder, and {share!r} is none")
    return str(folder.resolve())


def _split(name: str, words: str) -> list[str]:
    try:
        return shlex.split(words)
    except ValueError as error:
        raise BadCall(f"{name} is no shell's words ({error}): {words!r}") from None
