# SPDX-License-Identifier: GPL-2.0-only
"""The RSS hash that a NIC must report for a frame, computed from the frame's bytes alone.

The oracle shares nothing with the code under test nor with what builds the
frames: it parses with struct, and takes only the RSS key from the guest.

Sources: Microsoft, "RSS hashing types" and "Verifying the RSS hash
calculation"; virtio 1.2, 5.1.6.4.3 "Hash calculation for incoming packets";
enum xdp_rss_hash_type in the kernel's include/net/xdp.h.
"""

import enum
import struct
from dataclasses import dataclass

ETH_P_IP = 0x0800
ETH_P_IPV6 = 0x86DD
VLAN_TPIDS = frozenset({0x8100, 0x88A8})  # 802.1Q, 802.1ad

IPPROTO_HOPOPTS = 0
IPPROTO_TCP = 6
IPPROTO_UDP = 17
IPPROTO_ROUTING = 43
IPPROTO_FRAGMENT = 44
IPPROTO_DSTOPTS = 60
SKIPPED_IPV6_HEADERS = frozenset({IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS})


class RssType(enum.IntFlag):
    """The bits of enum xdp_rss_hash_type, and no others."""

    NONE = 0
    L3_IPV4 = 1 << 0
    L3_IPV6 = 1 << 1
    L3_DYNHDR = 1 << 2
    L4 = 1 << 3
    L4_TCP = 1 << 4
    L4_UDP = 1 << 5
    L4_SCTP = 1 << 6
    L4_IPSEC = 1 << 7
    L4_ICMP = 1 << 8


L4_BITS = {IPPROTO_TCP: RssType.L4 | RssType.L4_TCP, IPPROTO_UDP: RssType.L4 | RssType.L4_UDP}


@dataclass(frozen=True)
class Rss:
    """hash: 32 bits, as the driver reports it; type: what it covers."""

    hash: int
    type: RssType

    @property
    def covers_l4(self) -> bool:
        return bool(self.type & RssType.L4)


def toeplitz(key: bytes, data: bytes) -> int:
    """The 32-bit Toeplitz hash of data, most significant bit first.

    For each bit of data that is set, the 32 bits of the key that start at the
    same position are XORed into the result. Raises ValueError if the key is
    shorter than that takes: len(data) + 4 bytes.
    """
    if len(key) < len(data) + 4:
        raise ValueError(f"a key of {len(key)} bytes is too short for {len(data)} bytes of data")
    bits = 8 * len(data)
    # The window for the first data bit ends 32 bits into the key.
    window = int.from_bytes(key, "big") >> (8 * len(key) - bits - 32)
    value = int.from_bytes(data, "big")
    result = 0
    for position in range(bits):
        if value >> (bits - 1 - position) & 1:
            result ^= window >> (bits - position)
    return result & 0xFFFFFFFF


def rss(frame: bytes, key: bytes) -> Rss:
    """What virtio-net reports for a frame, as Linux sets it up.

    Linux asks for IPv4, TCPv4, UDPv4, IPv6, TCPv6 and UDPv6, never for the _EX
    types: extension headers are skipped, and the addresses are those of the
    fixed header. The hash is over source and destination address; then, for
    TCP and UDP, source and destination port, all as on the wire. A fragment, the
    first included, is hashed without ports; what is not IP has no hash.
    """
    ethertype, packet = _network_layer(frame)
    if ethertype == ETH_P_IP:
        found = _ipv4(packet)
        family = RssType.L3_IPV4
    elif ethertype == ETH_P_IPV6:
        found = _ipv6(packet)
        family = RssType.L3_IPV6
    else:
        return Rss(0, RssType.NONE)
    if found is None:
        return Rss(0, RssType.NONE)
    addresses, protocol, payload = found
    if protocol in L4_BITS and len(payload) >= 4:
        return Rss(toeplitz(key, addresses + payload[:4]), family | L4_BITS[protocol])
    return Rss(toeplitz(key, addresses), family)


def _network_layer(frame: bytes) -> tuple[int, bytes]:
    """(EtherType, what follows it), behind any VLAN tags; EtherType 0 if cut short."""
    offset = 12
    while len(frame) >= offset + 2:
        (ethertype,) = struct.unpack_from("!H", frame, offset)
        if ethertype not in VLAN_TPIDS:
            return ethertype, frame[offset + 2 :]
        offset += 4
    return 0, b""


def _ipv4(packet: bytes) -> tuple[bytes, int | None, bytes] | None:
    """(addresses, protocol or None in a fragment, payload); None if there is no header."""
    if len(packet) < 20:
        return None
    version_length, fragment, protocol = struct.unpack_from("!B5xHxB", packet)
    addresses = packet[12:20]
    if fragment & 0x3FFF:  # More Fragments, or an offset
        return addresses, None, b""
    return addresses, protocol, packet[4 * (version_length & 0xF) :]


def _ipv6(packet: bytes) -> tuple[bytes, int | None, bytes] | None:
    """As _ipv4; extension headers are skipped."""
    if len(packet) < 40:
        return None
    header: int = packet[6]
    addresses = packet[8:40]
    payload = packet[40:]
    while header in SKIPPED_IPV6_HEADERS and len(payload) >= 8:
        header, length = payload[0], payload[1]
        payload = payload[8 * (length + 1) :]
    if header == IPPROTO_FRAGMENT:
        return addresses, None, b""
    return addresses, header, payload
