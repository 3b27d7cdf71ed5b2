# SPDX-License-Identifier: GPL-2.0-only
"""Frames read back with struct, not with the library that built them."""

import random
import struct
import subprocess
import sys
from ipaddress import ip_address

import pytest

from harness.datapath import packets
from harness.datapath.oracle import RssType, rss
from harness.datapath.packets import KINDS, Flow, build, random_flow, random_flows

UDP4 = Flow("udp", ip_address("10.0.0.1"), ip_address("10.0.0.2"), 1000, 2000)
DNS = Flow("udp", ip_address("10.0.0.1"), ip_address("10.0.0.2"), 1000, 53)
TCP6 = Flow("tcp", ip_address("2001:db8::1"), ip_address("2001:db8::2"), 1000, 2000)


def ones_complement_sum(data: bytes) -> int:
    """RFC 1071; 0xffff over data that carries its own right checksum."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_ipv4_udp_byte_by_byte() -> None:
    frame = build(UDP4, 0x1234, payload=b"abcd", destination="02:00:00:00:00:09").data
    assert frame[:6] == bytes.fromhex("020000000009")
    assert frame[6:12] == bytes.fromhex("024c41421234")
    assert frame[12:14] == b"\x08\x00"
    assert frame[26:34] == UDP4.source.packed + UDP4.destination.packed
    assert frame[34:40] == struct.pack("!HHH", 1000, 2000, 12)
    assert frame[42:] == b"abcd"
    assert ones_complement_sum(frame[14:34]) == 0xFFFF
    assert ones_complement_sum(frame[26:34] + struct.pack("!HH", 17, 12) + frame[34:]) == 0xFFFF


def test_ipv6_tcp_byte_by_byte() -> None:
    frame = build(TCP6, 7, payload=b"abcd").data
    assert frame[12:14] == b"\x86\xdd"
    assert frame[20] == 6
    assert frame[22:54] == TCP6.source.packed + TCP6.destination.packed
    assert frame[54:58] == struct.pack("!HH", 1000, 2000)
    assert ones_complement_sum(frame[22:54] + struct.pack("!II", 24, 6) + frame[54:]) == 0xFFFF


def test_vlan_tag_is_between_addresses_and_ethertype() -> None:
    plain = build(UDP4, 1).data
    tagged = build(UDP4, 1, vlan=0xB064).data
    assert tagged == plain[:12] + b"\x81\x00\xb0\x64" + plain[12:]


@pytest.mark.parametrize("frame_id", [-1, 0x10000])
def test_an_id_that_does_not_fit_is_refused(frame_id: int) -> None:
    with pytest.raises(ValueError, match="id is from 0 to 65535"):
        build(UDP4, frame_id)


@pytest.mark.parametrize("kind", KINDS)
def test_flows_are_of_their_kind(kind: str) -> None:
    flow = random_flow(kind, random.Random(1))
    assert flow.kind == kind
    family = {4: RssType.L3_IPV4, 6: RssType.L3_IPV6}[flow.source.version]
    l4 = {"tcp": RssType.L4_TCP, "udp": RssType.L4_UDP}[flow.protocol]
    assert rss(build(flow, 0).data, bytes(40)).type == family | RssType.L4 | l4


def test_random_flows_are_repeatable_different_and_mixed() -> None:
    flows = random_flows(200, seed=5)
    assert flows == random_flows(200, seed=5)
    assert flows != random_flows(200, seed=6)
    assert len(set(flows)) == 200
    kinds = [flow.kind for flow in flows]
    assert {kind: kinds.count(kind) for kind in KINDS} == dict.fromkeys(KINDS, 50)
    assert kinds != list(KINDS) * 50


def test_the_same_flow_does_not_come_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([UDP4, UDP4, TCP6, UDP4, DNS])
    monkeypatch.setattr(packets, "random_flow", lambda *_: next(drawn))
    assert set(random_flows(3, seed=1)) == {UDP4, TCP6, DNS}


def test_scapy_is_imported_late_and_says_nothing() -> None:
    script = (
        "import sys; from harness.datapath import packets\n"
        "assert not any(name.startswith('scapy') for name in sys.modules)\n"
        "packets.build(packets.random_flows(1, seed=1)[0], 1)\n"
        "assert 'scapy.packet' in sys.modules and 'scapy.all' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_source_prefix_is_what_the_programs_look_for() -> None:
    assert packets.source_address(0xABCD) == "02:4c:41:42:ab:cd"
    assert bytes.fromhex("4c4142") == b"LAB"
