# SPDX-License-Identifier: GPL-2.0-only
"""The oracle against Microsoft's published vectors, and against what virtio-net reports."""

import struct
from ipaddress import ip_address

import pytest

from harness.datapath.oracle import Rss, RssType, rss, toeplitz

# "Verifying the RSS Hash Calculation", Windows driver documentation.
KEY = bytes.fromhex(
    "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa"
)

# Source and port, destination and port, hash of the addresses, hash with TCP ports.
VECTORS = [
    ("66.9.149.187", 2794, "161.142.100.80", 1766, 0x323E8FC2, 0x51CCC178),
    ("199.92.111.2", 14230, "65.69.140.83", 4739, 0xD718262A, 0xC626B0EA),
    ("24.19.198.95", 12898, "12.22.207.184", 38024, 0xD2D0A5DE, 0x5C2B394A),
    ("38.27.205.30", 48228, "209.142.163.6", 2217, 0x82989176, 0xAFC7327F),
    ("153.39.163.191", 44251, "202.188.127.2", 1303, 0x5D1809C5, 0x10E828A2),
    ("3ffe:2501:200:1fff::7", 2794, "3ffe:2501:200:3::1", 1766, 0x2CC18CD5, 0x40207D3D),
    ("3ffe:501:8::260:97ff:fe40:efab", 14230, "ff02::1", 4739, 0x0F0C461C, 0xDDE51BBF),
    (
        "3ffe:1900:4545:3:200:f8ff:fe21:67cf",
        44251,
        "fe80::200:f8ff:fe21:67cf",
        38024,
        0x4B61E985,
        0x02D1FEEF,
    ),
]

MACS = bytes(12)
PORTS = struct.pack("!HH", 2794, 1766)
ADDRESSES4 = ip_address("66.9.149.187").packed + ip_address("161.142.100.80").packed
ADDRESSES6 = ip_address("3ffe:2501:200:1fff::7").packed + ip_address("3ffe:2501:200:3::1").packed
ONLY4 = Rss(0x323E8FC2, RssType.L3_IPV4)
ONLY6 = Rss(0x2CC18CD5, RssType.L3_IPV6)
TCP4 = Rss(0x51CCC178, RssType.L3_IPV4 | RssType.L4 | RssType.L4_TCP)
TCP6 = Rss(0x40207D3D, RssType.L3_IPV6 | RssType.L4 | RssType.L4_TCP)


def ipv4(
    addresses: bytes, protocol: int, payload: bytes, *, fragment: int = 0, options: bytes = b""
) -> bytes:
    """An Ethernet frame; fragment: flags and offset as in the header."""
    first = 0x45 + len(options) // 4
    header = struct.pack("!BxHxxHBBxx", first, 20 + len(options), fragment, 64, protocol)
    return MACS + b"\x08\x00" + header + addresses + options + payload


def ipv6(addresses: bytes, next_header: int, payload: bytes) -> bytes:
    header = struct.pack("!IHBB", 6 << 28, len(payload), next_header, 64)
    return MACS + b"\x86\xdd" + header + addresses + payload


@pytest.mark.parametrize(
    ("source", "sport", "destination", "dport", "only_ip", "with_tcp"), VECTORS
)
def test_published_vectors(
    source: str, sport: int, destination: str, dport: int, only_ip: int, with_tcp: int
) -> None:
    addresses = ip_address(source).packed + ip_address(destination).packed
    ports = struct.pack("!HH", sport, dport)
    assert toeplitz(KEY, addresses) == only_ip
    assert toeplitz(KEY, addresses + ports) == with_tcp
    make = ipv4 if len(addresses) == 8 else ipv6
    family = RssType.L3_IPV4 if len(addresses) == 8 else RssType.L3_IPV6
    assert rss(make(addresses, 1, ports), KEY) == Rss(only_ip, family)
    tcp = family | RssType.L4 | RssType.L4_TCP
    assert rss(make(addresses, 6, ports + bytes(16)), KEY) == Rss(with_tcp, tcp)


def test_udp_hashes_as_tcp_does_and_says_so() -> None:
    udp4 = rss(ipv4(ADDRESSES4, 17, PORTS + bytes(4)), KEY)
    udp6 = rss(ipv6(ADDRESSES6, 17, PORTS + bytes(4)), KEY)
    assert udp4 == Rss(TCP4.hash, RssType.L3_IPV4 | RssType.L4 | RssType.L4_UDP)
    assert udp6 == Rss(TCP6.hash, RssType.L3_IPV6 | RssType.L4 | RssType.L4_UDP)


def test_types_are_the_kernels_numbers() -> None:
    """XDP_RSS_TYPE_* of include/net/xdp.h; 0x29 is what the driver was seen to report."""
    types4 = [rss(ipv4(ADDRESSES4, protocol, PORTS), KEY).type for protocol in (1, 6, 17)]
    types6 = [rss(ipv6(ADDRESSES6, protocol, PORTS), KEY).type for protocol in (58, 6, 17)]
    assert types4 == [0x01, 0x19, 0x29]
    assert types6 == [0x02, 0x1A, 0x2A]
    assert sum(RssType) == 0x1FF


@pytest.mark.parametrize("fragment", [0x2000, 0x2001, 0x0001])
def test_an_ipv4_fragment_is_hashed_without_ports(fragment: int) -> None:
    assert rss(ipv4(ADDRESSES4, 6, PORTS, fragment=fragment), KEY) == ONLY4


def test_dont_fragment_is_no_fragment() -> None:
    assert rss(ipv4(ADDRESSES4, 6, PORTS, fragment=0x4000), KEY) == TCP4


def test_an_ipv6_fragment_is_hashed_without_ports() -> None:
    fragment_header = struct.pack("!BBHI", 6, 0, 1, 7)
    assert rss(ipv6(ADDRESSES6, 44, fragment_header + PORTS), KEY) == ONLY6


def test_options_and_extension_headers_are_skipped() -> None:
    assert rss(ipv4(ADDRESSES4, 6, PORTS, options=b"\x01" * 8), KEY) == TCP4
    hop_by_hop = b"\x3c\x00\x01\x04" + bytes(4)  # next: destination options
    destination = b"\x06\x01\x01\x0c" + bytes(12)  # next: TCP; 16 bytes
    assert rss(ipv6(ADDRESSES6, 0, hop_by_hop + destination + PORTS), KEY) == TCP6


@pytest.mark.parametrize("tags", [b"\x81\x00\x00\x64", b"\x88\xa8\x00\x05\x81\x00\x00\x64"])
def test_vlan_tags_are_skipped(tags: bytes) -> None:
    frame = ipv4(ADDRESSES4, 6, PORTS)
    assert rss(frame[:12] + tags + frame[12:], KEY) == TCP4


@pytest.mark.parametrize(
    "frame",
    [MACS + b"\x08\x06" + bytes(28), MACS, MACS + b"\x08\x00" + bytes(19), MACS + b"\x86\xdd"],
    ids=["arp", "no ethertype", "short ipv4", "short ipv6"],
)
def test_what_is_not_ip_has_no_hash(frame: bytes) -> None:
    assert rss(frame, KEY) == Rss(0, RssType.NONE)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        toeplitz(KEY[:15], ADDRESSES4 + PORTS)
