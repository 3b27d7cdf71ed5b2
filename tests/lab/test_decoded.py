# SPDX-License-Identifier: GPL-2.0-only
"""A report's symbols are decoded as the kernel's own script does it, which takes its time."""

import itertools
import os
import random
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from harness.core.workspace import Layout
from harness.testing.fixtures import Testbed

pytestmark = [pytest.mark.slow, pytest.mark.unchanged]

PATH = re.compile(r"[^\s():]+/[^\s():]+")


def test_symbols_are_decoded_as_by_the_trees_script(testbed: Testbed, seed: int) -> None:
    symbols = testbed.artefacts.kernel.symbols
    objects = Layout.of(testbed.artefacts.selection).objects
    table = (objects / "System.map").read_text().splitlines()
    rows = [line.split(" ", 2) for line in table]
    count = Counter(name for _, _, name in rows)
    functions = [
        (name, int(after[0], 16) - int(start, 16))
        for (start, kind, name), after in itertools.pairwise(rows)
        if kind in "tT" and count[name] == 1  # of several the script takes the first
    ]
    chosen = random.Random(seed).sample(functions, 8)
    report = "\n".join(f" {name}+0x{size // 2:x}/0x{size:x}" for name, size in chosen)
    assert _words(symbols.decode(report), symbols.tree) == _by_script(report, testbed)


def _by_script(report: str, testbed: Testbed) -> list[list[str]]:
    kernel = testbed.artefacts.kernel
    script = kernel.tree / "scripts/decode_stacktrace.sh"
    done = subprocess.run(
        ["bash", script, kernel.vmlinux, kernel.tree],
        input=report.encode() + b"\n",
        capture_output=True,
        timeout=60,
        check=True,
    )
    return _words(done.stdout.decode(), kernel.tree)


def _words(text: str, tree: Path) -> list[list[str]]:
    """The words of each line; the script leaves the compiler's `intel/../perf_event.h` as it is."""
    files = PATH.sub(lambda path: os.path.normpath(path[0]), text.replace(f"{tree}/", ""))
    return [line.split() for line in files.splitlines()]
