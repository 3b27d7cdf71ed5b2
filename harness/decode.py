# SPDX-License-Identifier: GPL-2.0-only
"""Addresses of a kernel's report as file and line, by the tree's own decode_stacktrace.sh."""

import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness.errors import LabError
from harness.run import run

DECODE_DEADLINE = 20.0  # seconds; 0.15 of a CPU's for each symbol, of which a report has 10 to 60
# A symbol with offset and size, at a line's end or before the name of its module.
_PLACE = re.compile(r"(?<=[( ])/[^\s:()]+(?=:\d+)")
_SYMBOL = re.compile(r"\S\+0x[0-9a-f]+/0x[0-9a-f]+\)?( \[[^]]+\]\)?)?$")


@dataclass(frozen=True)
class Symbols:
    """A kernel's image with its debug information, and the tree that it was built from."""

    vmlinux: Path
    tree: Path

    def decode(self, text: str) -> str:
        """The text with file and line behind each symbol; where that fails, as it is, and why.

        Lines keep their indentation. The script takes most of its time for starting
        nm and addr2line, so that it runs once for each CPU.
        """
        lines = text.splitlines()
        wanted = list(dict.fromkeys(line for line in lines if _SYMBOL.search(line)))
        if not wanted:
            return text
        count = min(len(os.sched_getaffinity(0)), len(wanted))
        try:
            with ThreadPoolExecutor(count) as pool:
                parts = pool.map(self._decode, (wanted[part::count] for part in range(count)))
                decoded = {line: words for part in parts for line, words in part.items()}
        except LabError as error:
            return f"{text}\n(without file and line: {error.message})"
        return "\n".join(decoded.get(line, line) for line in lines)

    def names(self, addresses: Iterable[str]) -> dict[str, str]:
        """Function, file and line of addresses in hexadecimal; only of those that are known."""
        wanted = list(dict.fromkeys(addresses))
        if not wanted or not self.vmlinux.exists():
            return {}
        options = ["-a", "-f", "-i", "-e"]
        try:
            output = run(["addr2line", *options, self.vmlinux, *wanted], deadline=DECODE_DEADLINE)
        except LabError:
            return {}
        named = {}
        # An address, then function and place in turn, from what is inlined outwards.
        parts = re.split(r"^0x[0-9a-f]+\n", output, flags=re.MULTILINE)[1:]
        for address, part in zip(wanted, parts, strict=True):
            lines = part.splitlines()
            places = self._in_tree(" ".join(["", *lines[1::2]])).lstrip()
            if lines and lines[-2] != "??":
                named[address] = f"{lines[-2]} ({places})"
        return named

    def _decode(self, lines: list[str]) -> dict[str, str]:
        script = self.tree / "scripts/decode_stacktrace.sh"
        if not self.vmlinux.exists():
            raise LabError(f"there is no {self.vmlinux}")
        output = run(
            ["bash", script, self.vmlinux, self.tree],
            stdin="".join(f"{line}\n" for line in lines).encode(),
            deadline=DECODE_DEADLINE,
        ).splitlines()
        if len(output) != len(lines):
            raise LabError(f"{script.name} gave {len(output)} lines for {len(lines)}")
        return {
            line: line[: len(line) - len(line.lstrip())] + self._in_tree(words).rstrip()
            for line, words in zip(lines, output, strict=True)
        }

    def _in_tree(self, text: str) -> str:
        """The text with places as files of the tree.

        What came from ccache may have been compiled from another clone's tree.
        """

        def relative(place: re.Match[str]) -> str:
            parts = Path(os.path.normpath(place[0])).parts[1:]
            tails = (Path(*parts[at:]) for at in range(len(parts)))
            return next((str(tail) for tail in tails if (self.tree / tail).is_file()), place[0])

        return _PLACE.sub(relative, text)
