# SPDX-License-Identifier: GPL-2.0-only
"""What the store's encoding costs beside its rivals, compiled natively: tests/host/cost.c.

Instructions are counted step by step, from a function's entry to its return; the code
is compiled with what the kernel's Makefiles give gcc, and moves bytes by the kernel's own
memmove(), so a call has as many in the kernel. The rivals are in tests/host/rivals.
"""

import json
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.artefacts.tree import source_tree
from harness.core.errors import LabError
from harness.core.lock import locked
from harness.core.progress import say, step
from harness.core.run import run
from harness.core.workspace import Layout, Selection, build_root
from harness.native.compiled import SOURCES, compile_c, store_sources

SERIES = "series"
RIVALS = ("slots", "three_maps", "tlv")
# Of arch/x86/Makefile and the top one what decides over code; POPCNT is what alternatives make
# of hweight64().
KERNEL_FLAGS = (
    *("-O2", "-mno-sse", "-mno-mmx", "-mno-80387", "-mno-red-zone", "-mpopcnt", "-fno-pie"),
    *("-fno-strict-aliasing", "-fno-strict-overflow", "-fno-delete-null-pointer-checks"),
    *("-fno-allow-store-data-races", "-fno-stack-protector", "-fcf-protection=none"),
)
DEADLINE = 300.0  # seconds; it takes five
EMPTY = "nothing"  # the call of a function that is empty


@dataclass(frozen=True)
class Cost:
    """A call's cost. Of calls on each key in turn: the means, and the most instructions.

    keys, length: in the store before the call, and its bytes.
    """

    encoding: str
    call: str
    keys: int
    length: int
    instructions: float
    most: int
    nanoseconds: float


def report(selection: Selection) -> None:
    """Measure, print the table, and write it as JSON too."""
    with locked(build_root()):
        tree = source_tree(selection)
    with step("bench", "the store's encoding, on this machine's CPU"):
        costs = measure(tree)
    file = Layout.of(selection).variant / "bench-encodings.json"
    file.write_text(json.dumps([asdict(cost) for cost in costs], indent=2) + "\n")
    for line in table(costs):
        say(line)
    say(f"as JSON: {file}")


def measure(tree: Path) -> list[Cost]:
    """The costs of the series' encoding and of each rival, in the same order."""
    if platform.machine() != "x86_64" or " popcnt " not in Path("/proc/cpuinfo").read_text():
        raise LabError("instructions are counted on x86-64 CPUs with POPCNT only")
    with tempfile.TemporaryDirectory() as place:
        costs = []
        for name in (SERIES, *RIVALS):
            program = _compile(tree, Path(place), name)
            printed = run([program], deadline=DEADLINE)
            costs += [_parse(name, line) for line in printed.splitlines()]
        return costs


def table(costs: Sequence[Cost]) -> list[str]:
    """Lines: a call a row, and of each encoding bytes, instructions, nanoseconds."""
    names = list(dict.fromkeys(cost.encoding for cost in costs))
    rows: dict[tuple[int, str], list[Cost]] = {}
    for cost in costs:
        row = (0, "empty function") if cost.call == EMPTY else (cost.keys, _title(cost))
        rows.setdefault(row, []).append(cost)
    lines = [f"{'bytes, instructions (most), ns':<30}" + "".join(f"{name:>24}" for name in names)]
    for (_, title), of_each in sorted(rows.items(), key=lambda item: item[0][0]):
        lines.append(f"{title:<30}" + "".join(f"{_cell(cost):>24}" for cost in of_each))
    return lines


def _title(cost: Cost) -> str:
    return f"{cost.call}, keys: {cost.keys}"


def _cell(cost: Cost) -> str:
    instructions = f"{cost.instructions:.0f}"
    if cost.most > cost.instructions + 2:
        instructions += f" ({cost.most})"
    length = "" if cost.call == EMPTY else f"{cost.length}, "
    return f"{length}{instructions}, {cost.nanoseconds:.1f}"


def _compile(tree: Path, place: Path, name: str) -> Path:
    """The program that measures one encoding."""
    rival = () if name == SERIES else (f'-DRIVAL="rivals/{name}.h"',)
    store = [] if name != SERIES else store_sources(tree)[1:]
    # Assembler; its macros are gcc's too, so it takes the same way.
    memmove = tree / "arch" / "x86" / "lib" / "memmove_64.S"
    objects = []
    for source in (SOURCES / "calls.c", *store, memmove):
        objects.append(place / f"{name}-{source.stem}.o")
        compile_c(tree, objects[-1], [source], ("-c", *KERNEL_FLAGS, *rival))
    program = place / name
    compile_c(tree, program, [SOURCES / "cost.c", *objects], ("-O2", "-no-pie", "-fno-pie"))
    return program


def _parse(name: str, line: str) -> Cost:
    call, keys, length, instructions, most, nanoseconds = line.split("\t")
    return Cost(
        name, call, int(keys), int(length), float(instructions), int(most), float(nanoseconds)
    )
