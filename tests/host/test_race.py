# SPDX-License-Identifier: GPL-2.0-only
"""What a call checked is what it goes by, whoever writes to the store meanwhile."""

from pathlib import Path

from harness.run import run
from harness.userspace import SANITIZED, SOURCES, compile_c, store_sources


def test_each_call_reads_the_maps_once(tree: Path, tmp_path: Path) -> None:
    program = tmp_path / "race"
    compile_c(tree, program, [SOURCES / "race.c", *store_sources(tree)], SANITIZED)
    run([program], deadline=90)
