# SPDX-License-Identifier: GPL-2.0-only
"""A million random calls, as test_kv_random.py makes some. Run by its name: it takes minutes."""

import pytest

from harness.api import (
    Bpf,
    Nic,
    lay,
    random_frames,
)
from harness.datapath.kv_cases import STORE
from harness.datapath.kv_packet import NIC_HEADROOM
from harness.datapath.kv_random import LINES, PER_FRAME, hold

FRAMES, TURNS = 256, 16  # as many as an observer records
PARTS = 3  # for each NIC
assert len(NIC_HEADROOM) * PARTS * TURNS * FRAMES * PER_FRAME > 1_000_000


@pytest.mark.deadline(1800)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("nic", NIC_HEADROOM, indirect=True)
def test_random_calls(bpf: Bpf, nic: Nic, seed: int, part: int) -> None:
    way = lay(bpf, nic, STORE.name, "to_dev", LINES, observed=["v1"])
    frames = random_frames(FRAMES, seed)
    made = sum(hold(way, frames, NIC_HEADROOM[nic.device], seed + turn) for turn in range(TURNS))
    assert made == TURNS * FRAMES * PER_FRAME
