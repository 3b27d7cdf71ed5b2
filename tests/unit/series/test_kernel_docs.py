# SPDX-License-Identifier: GPL-2.0-only
"""What the series' documentation shows is what the tests run."""

from pathlib import Path

import pytest

from harness.artefacts.patches import parse_series
from harness.core.git import git

ROOT = Path(__file__).parents[3]
SERIES = ROOT / "kernel-patches" / "6.12"


@pytest.mark.parametrize(
    ("document", "program"), [("xdp-kv", "kv_example"), ("skb-kv", "drop_monitor")]
)
def test_the_example_is_the_program_that_a_guest_test_runs(
    document: str, program: str, tmp_path: Path
) -> None:
    """In the document as the series leaves it."""
    name = f"Documentation/networking/{document}.rst"
    git(tmp_path, "init", "--quiet")
    for patch in parse_series(SERIES):
        if f"+++ b/{name}\n" in patch.path.read_text():
            git(tmp_path, "apply", f"--include={name}", str(patch.path))
    source = (ROOT / f"bpf-progs/{program}.bpf.c").read_text()
    shown = "\n".join(f"    {line}" if line else "" for line in source.splitlines())
    assert shown in (tmp_path / name).read_text()
