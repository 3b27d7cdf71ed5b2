# SPDX-License-Identifier: GPL-2.0-only
"""What the series' documentation shows is what the tests run."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = "+++ b/Documentation/networking/xdp-kv.rst\n"


def test_the_example_is_the_program_that_a_guest_test_runs() -> None:
    patches = [path.read_text() for path in ROOT.glob("kernel-patches/6.12/0*.patch")]
    (added,) = [patch.partition(DOCUMENT)[2] for patch in patches if DOCUMENT in patch]
    lines = added.partition("\ndiff --git ")[0].splitlines()
    document = "\n".join(line.removeprefix("+") for line in lines)
    source = (ROOT / "bpf-progs/kv_example.bpf.c").read_text()
    shown = "\n".join(f"    {line}" if line else "" for line in source.splitlines())
    assert shown in document
