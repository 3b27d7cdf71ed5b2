# SPDX-License-Identifier: GPL-2.0-only
"""The guest's serial console: the file that it is in, and its lines as a person reads them."""

import itertools
import os
import re
from pathlib import Path

TAIL_BYTES = 65536
_NUMBERS = itertools.count(1)

# ECMA-48: control sequences, operating system commands, other escape sequences.
# A "[" in the first two begins a message of the kernel that cut the sequence short.
_ANSI = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-Z\\-~]|\][^\x07\x1b[]*(?:\x07|\x1b\\)?|[ -/]*[0-Z\\^-~])"
)
_CONTROLS = dict.fromkeys([*range(9), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F])


def plain(line: bytes) -> str:
    """A line as a person reads it: without escape sequences and control characters."""
    return _ANSI.sub("", line.decode(errors="replace")).translate(_CONTROLS).rstrip("\r")


def own_console(directory: Path) -> Path:
    """A console file that no other run of the lab writes to; those of runs that ended go."""
    for old in directory.glob("console-*"):
        if not Path(f"/proc/{old.stem.split('-')[1]}").exists():
            old.unlink(missing_ok=True)
    return directory / f"console-{os.getpid()}-{next(_NUMBERS)}.log"


class ConsoleFile:
    """The file that QEMU writes the console to, read as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def read_new(self) -> bytes:
        """What came since the last call; nothing while there is no file."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return b""
        self._offset += len(data)
        return data

    def tail(self, lines: int) -> str:
        """The last lines, as a person reads them; '' while there is no file."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - TAIL_BYTES))
                data = file.read()
        except FileNotFoundError:
            return ""
        text = _ANSI.sub("", data.decode(errors="replace")).replace("\r\n", "\n")
        return "\n".join(text.splitlines()[-lines:])
