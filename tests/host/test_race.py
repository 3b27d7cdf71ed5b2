# SPDX-License-Identifier: GPL-2.0-only
"""What a call checked is what it goes by, whoever writes to the store meanwhile."""

from pathlib import Path

from harness.core.run import run
from harness.native.compiled import SOURCES, compile_c, store_sources


def test_each_call_reads_the_maps_once(tree: Path, tmp_path: Path) -> None:
    program = tmp_path / "race"
    flags = ["-O2", "-mpopcnt", "-DLAB_READ=volatile"]  # as many reads as the source has
    compile_c(tree, program, [SOURCES / "race.c", *store_sources(tree)], flags)
    run([program], deadline=60)
