# SPDX-License-Identifier: GPL-2.0-only
"""A load balancer in XDP: the first NIC's RX hash crosses the wire in a GRE key, to the last hop.

Frames come in by eth1, whose program sends them back in GRE. They cross the host,
which looks at them, and come in by eth2, whose program takes them out again.
"""

import struct
from typing import NamedTuple

import pytest

from harness.api import (
    Bpf,
    Frame,
    Nic,
    Object,
    Seen,
    attach,
    devmap,
    frame,
    lay,
    random_frames,
    rss,
    rss_key,
    seen,
    veth,
)
from harness.datapath.oracle import ETH_P_IP

pytestmark = pytest.mark.slow

FLOWS = 200
ETHERNET = 14
OUTER = struct.Struct("!BBHHHBBH4s4sHHI")  # RFC 791, then RFC 2784 with the key of RFC 2890
IPPROTO_GRE = 47
GRE_KEY = 0x2000


class Gre(NamedTuple):
    """What is between Ethernet header and packet, field by field."""

    version_length: int
    tos: int
    total_length: int
    id: int
    fragment: int
    ttl: int
    protocol: int
    checksum: int
    source: bytes
    destination: bytes
    flags: int
    ethertype: int
    key: int


def expected_gre(sent: Frame, key: bytes) -> Gre:
    (ethertype,) = struct.unpack_from("!H", sent.data, ETHERNET - 2)
    header = Gre(
        0x45,
        0,
        OUTER.size + len(sent.data) - ETHERNET,
        0,
        0,
        64,
        IPPROTO_GRE,
        0,
        bytes((192, 0, 2, 1)),
        bytes((192, 0, 2, 2)),
        GRE_KEY,
        ethertype,
        rss(sent.data, key).hash,
    )
    return header._replace(checksum=internet_checksum(OUTER.pack(*header)[:20]))


def internet_checksum(header: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def frames_of(seed: int) -> list[Frame]:
    """Of each kind, and two whose hash covers no ports."""
    from scapy.layers.inet import ICMP, IP
    from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6

    flows = random_frames(FLOWS, seed)
    return [
        *flows,
        frame(IP(src="10.0.0.1", dst="10.0.0.2") / ICMP(), FLOWS),
        frame(IPv6(src="2001:db8::1", dst="2001:db8::2") / ICMPv6EchoRequest(), FLOWS + 1),
    ]


@pytest.mark.parametrize("program", ["pass", "to_dev"])
def test_the_first_nics_hash_is_the_last_ones(
    bpf: Bpf, nic: Nic, small_nic: Nic, seed: int, program: str
) -> None:
    encap, decap = Object("gre_encap", nic.device), Object("gre_decap")
    printed = bpf.run(
        [
            encap.load(),
            f"ip link set dev {nic.device} promisc on up",
            f"ethtool -K {nic.device} rxhash on",
            attach(encap.program("tx"), nic.device),
            f"ethtool -x {nic.device}",
        ]
    )
    key = rss_key(printed)
    observed = small_nic.device if program == "pass" else "v1"
    lines = [] if program == "pass" else [*veth(), *devmap(decap)]
    way = lay(bpf, small_nic, decap.name, program, lines, observed=[observed])

    frames = frames_of(seed)
    nic.send(frames)
    came = {out.id: out.data for out in nic.receive(len(frames))}
    assert came.keys() == {sent.id for sent in frames}
    for sent in frames:
        data = came[sent.id]
        outer, packet = data[ETHERNET:], sent.data[ETHERNET:]
        assert data[: ETHERNET - 2] == sent.data[: ETHERNET - 2]
        assert data[ETHERNET - 2 : ETHERNET] == ETH_P_IP.to_bytes(2, "big")
        assert Gre(*OUTER.unpack_from(outer)) == expected_gre(sent, key)
        assert outer[OUTER.size :] == packet

    records = way.capture([Frame(number, data) for number, data in came.items()])
    for sent in frames:
        first = rss(sent.data, key)
        assert seen(records[sent.id]) == Seen(first.hash, int(first.covers_l4)), sent.id
        # What the last NIC itself could say, of what came in there, is something else.
        assert first.hash != rss(came[sent.id], way.rss_key).hash
        assert sent.data.startswith(records[sent.id].data)
