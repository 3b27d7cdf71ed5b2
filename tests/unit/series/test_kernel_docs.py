# SPDX-License-Identifier: GPL-2.0-only
"""What the series' documentation shows is what the tests run."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("document", "program"), [("xdp-kv", "kv_example"), ("skb-kv", "drop_monitor")]
)
def test_the_example_is_the_program_that_a_guest_test_runs(document: str, program: str) -> None:
    """Of the patch that adds the document; later ones may change other lines of it."""
    new = f"--- /dev/null\n+++ b/Documentation/networking/{document}.rst\n"
    patches = [path.read_text() for path in ROOT.glob("kernel-patches/6.12/*/0*.patch")]
    (added,) = [patch.partition(new)[2] for patch in patches if new in patch]
    lines = added.partition("\ndiff --git ")[0].splitlines()
    told = "\n".join(line.removeprefix("+") for line in lines)
    source = (ROOT / f"bpf-progs/{program}.bpf.c").read_text()
    shown = "\n".join(f"    {line}" if line else "" for line in source.splitlines())
    assert shown in told
