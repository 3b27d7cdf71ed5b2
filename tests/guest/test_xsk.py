# SPDX-License-Identifier: GPL-2.0-only
"""AF_XDP: a socket gets the packet, and no hint."""

import pytest

from harness.bpf import XSK, Bpf, BpfError, Object
from harness.devices import Nic
from harness.hints import (
    DONE,
    ETH_P_8021AD,
    Hints,
    give,
    returned,
)
from harness.oracle import RssType
from harness.packets import KINDS, build, random_flows
from harness.topology import lay

pytestmark = pytest.mark.slow

TO_XSK = Object("store_to_xsk")

# Each subset of the fields.
HINTS = {
    number: Hints(
        (0xC0DE0000 + number, int(RssType.L4)) if number & 1 else None,
        (ETH_P_8021AD, 0xE000 + number) if number & 2 else None,
        2**60 + number if number & 4 else None,
    )
    for number in range(8)
}


@pytest.mark.parametrize("mode", ["xdpdrv", "xdpgeneric"])
def test_a_socket_gets_the_packet_as_it_came(bpf: Bpf, nic: Nic, seed: int, mode: str) -> None:
    """It sends it back."""
    lines = [f"{XSK} {nic.device} copy {TO_XSK.map('xskmap')}", *give(TO_XSK, HINTS)]
    lay(bpf, nic, TO_XSK.name, "to_xsk", lines, observed=[], mode=mode)
    flows = random_flows(len(HINTS), seed, KINDS)
    frames = [build(flow, number) for number, flow in enumerate(flows)]
    nic.send(frames)
    assert nic.receive(len(frames)) == {sent.id: (sent.data, None) for sent in frames}
    assert returned(bpf.dump(TO_XSK.map("returned"))) == dict.fromkeys(HINTS, DONE)


@pytest.mark.unchanged
def test_virtio_net_has_no_zero_copy(bpf: Bpf, nic: Nic) -> None:
    """Else hints would have to be proven in memory that user space can write to, too."""
    with pytest.raises(BpfError, match="bind: Operation not supported"):
        bpf.run([TO_XSK.load(), f"{XSK} {nic.device} zerocopy {TO_XSK.map('xskmap')}"])
