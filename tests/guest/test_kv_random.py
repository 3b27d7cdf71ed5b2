# SPDX-License-Identifier: GPL-2.0-only
"""Random calls on hints, keys, head and metadata give what the packet's twin gives.

Of a million, which are a file of their own, these are the first.
"""

from harness.api import (
    EACH_NIC,
    Bpf,
    Nic,
    lay,
    random_frames,
)
from harness.datapath.kv_cases import STORE
from harness.datapath.kv_packet import NIC_HEADROOM
from harness.datapath.kv_random import LINES, PER_FRAME, hold

FRAMES = 256


@EACH_NIC
def test_random_calls(bpf: Bpf, nic: Nic, seed: int) -> None:
    way = lay(bpf, nic, STORE.name, "to_dev", LINES, observed=["v1"])
    made = hold(way, random_frames(FRAMES, seed), NIC_HEADROOM[nic.device], seed)
    assert made == FRAMES * PER_FRAME
