# SPDX-License-Identifier: GPL-2.0-only
"""Addresses of a kernel's report as file and line, as scripts/decode_stacktrace.sh gives them.

That starts nm and addr2line for each symbol, which takes 2 s for an oops; this starts one
addr2line.
"""

import itertools
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.core.errors import LabError
from harness.core.run import run

DECODE_DEADLINE = 20.0  # seconds
_PLACE = re.compile(r"(?<=[( ])/[^\s:()]+(?=:\d+)")
# With offset and size, at a line's end; behind it the name of its module, and its build ID.
_SYMBOL = re.compile(
    r"([\w.$]+)\+(0x[0-9a-f]+)/(0x[0-9a-f]+)(?: \[(\w+)(?: [0-9a-f]+)?\])?(?=\)?$)", re.MULTILINE
)
# What the kernel itself lists (scripts/mksysmap), by which it tells a function's size.
_LISTED = re.compile(r"[0-9a-f]+ [^aNUw] (?!\$|\.L|__crc_|__kstrtab|__kcfi_typeid_)")


@dataclass(frozen=True)
class Symbols:
    """A kernel's image with its debug information, and the tree that it was built from.

    modules: by name, objects with theirs.
    """

    vmlinux: Path
    tree: Path
    modules: Mapping[str, Path] = field(default_factory=dict)

    def decode(self, text: str) -> str:
        """The text with file and line behind each symbol; where that fails, as it is, and why."""
        found = list(_SYMBOL.finditer(text))
        if not found:
            return text
        of: dict[str, list[re.Match[str]]] = {}
        for symbol in found:
            of.setdefault(symbol[4] or "", []).append(symbol)
        known: dict[str, list[tuple[str, str]]] = {}
        try:
            for module, symbols in of.items():
                image = self.modules.get(module) if module else self.vmlinux
                known |= _decoded(image, symbols) if image else {}
        except (LabError, OSError) as error:
            return f"{text}\n(without file and line: {error})"

        def decoded(symbol: re.Match[str]) -> str:
            parts = known.get(symbol[0], [])
            places = " ".join(place for _, place in parts)
            module = f" [{symbol[4]}]" if symbol[4] else ""
            told = parts and places != "??:0"
            return f"{symbol[1]} ({places}){module}" if told else symbol[0]

        return self._in_tree(_SYMBOL.sub(decoded, text))

    def names(self, addresses: Iterable[str]) -> dict[str, str]:
        """Function, file and line of addresses in hexadecimal; only of those that are known."""
        wanted = list(dict.fromkeys(addresses))
        if not wanted or not self.vmlinux.exists():
            return {}
        try:
            known = _places(self.vmlinux, wanted)
        except LabError:
            return {}
        named = {}
        for address, parts in known.items():
            # The last is the function; the others are inlined in it.
            if parts and (function := parts[-1][0]) != "??":
                places = self._in_tree(" ".join(["", *(place for _, place in parts)])).lstrip()
                named[address] = f"{function} ({places})"
        return named

    def _in_tree(self, text: str) -> str:
        """The text with places as files of the tree.

        What came from ccache may have been compiled from another clone's tree.
        """

        def relative(place: re.Match[str]) -> str:
            parts = Path(os.path.normpath(place[0])).parts[1:]
            tails = (Path(*parts[at:]) for at in range(len(parts)))
            return next((str(tail) for tail in tails if (self.tree / tail).is_file()), place[0])

        return _PLACE.sub(relative, text)


def _decoded(image: Path, symbols: Sequence[re.Match[str]]) -> dict[str, list[tuple[str, str]]]:
    """By a symbol's whole text: function and place, from what is inlined outwards."""
    starts = _starts(image, {symbol[1] for symbol in symbols})
    addresses = {}
    for symbol in symbols:
        places = starts.get(symbol[1], {})
        # Of functions with the same name, the one that is as long; else the first.
        start = places.get(int(symbol[3], 16), next(iter(places.values()), None))
        if start is not None:
            addresses[symbol[0]] = f"{start + int(symbol[2], 16):x}"
    known = _places(image, list(dict.fromkeys(addresses.values())))
    return {
        symbol[0]: parts
        for symbol in symbols
        if (parts := known.get(addresses.get(symbol[0], "")))
        # In a module each section begins at 0: another one's function may be at that place.
        and (not symbol[4] or parts[-1][0] == symbol[1].partition(".")[0])
    }


def _starts(image: Path, names: Collection[str]) -> dict[str, dict[int, int]]:
    """By size, where the functions of each name begin; in a module, in their section.

    From the image itself: the map beside it is written anew by the next build.
    """
    printed = run(["nm", "-n", image], deadline=DECODE_DEADLINE)
    table = [line for line in printed.splitlines() if _LISTED.match(line)]
    starts: dict[str, dict[int, int]] = {}
    for line, following in itertools.pairwise([*table, ""]):
        address, kind, name = line.split(" ", 2)
        if name in names and kind in "tTwW":
            start = int(address, 16)
            size = int(following.partition(" ")[0] or "0", 16) - start
            starts.setdefault(name, {}).setdefault(size, start)
    return starts


def _places(image: Path, addresses: list[str]) -> dict[str, list[tuple[str, str]]]:
    """By address, function and place, from what is inlined outwards. Raises LabError."""
    if not addresses:
        return {}
    argv = ["addr2line", "-a", "-f", "-i", "-e", str(image), *addresses]
    output = run(argv, deadline=DECODE_DEADLINE)
    parts = re.split(r"^0x[0-9a-f]+\n", output, flags=re.MULTILINE)[1:]
    if len(parts) != len(addresses):
        raise LabError(f"addr2line said {len(parts)} places of {len(addresses)}")
    lines = (part.splitlines() for part in parts)
    told = (list(zip(each[::2], each[1::2], strict=False)) for each in lines)
    return dict(zip(addresses, told, strict=True))
