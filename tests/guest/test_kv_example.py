# SPDX-License-Identifier: GPL-2.0-only
"""The example of the kernel's documentation, Documentation/networking/xdp-kv.rst, works."""

import struct

from harness.api import (
    Bpf,
    Nic,
    Object,
    attach,
    lay,
    random_frames,
    u32,
    update,
    veth,
)
from harness.datapath.links import VETH_INDEX

EXAMPLE = Object("kv_example")
SERVICE = 443


def test_the_second_hop_notes_what_the_first_one_stored(bpf: Bpf, nic: Nic, seed: int) -> None:
    lines = [
        *veth(napi=False),
        *update(EXAMPLE.map("next_hop"), {u32(0): u32(VETH_INDEX)}),
        attach(EXAMPLE.program("second_hop"), "v1"),
    ]
    way = lay(bpf, nic, EXAMPLE.name, "first_hop", lines, observed=["v1"])
    records = way.capture(random_frames(16, seed))
    assert len(records) == 16
    noted = bpf.dump(EXAMPLE.map("noted"))
    service = struct.pack("<H", SERVICE)
    expected = {struct.pack("<Q", number): service for number in range(16)}
    assert expected.items() <= noted.items()  # the guest may have sent some of its own
