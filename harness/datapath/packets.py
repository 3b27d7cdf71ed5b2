# SPDX-License-Identifier: GPL-2.0-only
"""Frames that the host sends into the NIC under test.

Each frame carries its own 16-bit id in its source address, 02:4c:41:42:HI:LO,
whatever comes behind: that is how programs and observers in the guest tell the
lab's frames from the guest's own, and one from another. RSS doesn't cover it.
"""

import functools
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from types import SimpleNamespace

SOURCE_PREFIX = bytes((0x02, 0x4C, 0x41, 0x42))  # locally administered, then "LAB"
DESTINATION = "02:00:00:00:00:01"
MAX_ID = 0xFFFF

Address = IPv4Address | IPv6Address


@dataclass(frozen=True)
class Flow:
    """What RSS tells packets apart by.

    protocol: "tcp" or "udp".
    """

    protocol: str
    source: Address
    destination: Address
    source_port: int
    destination_port: int

    @property
    def kind(self) -> str:
        """For example "ipv4/udp"."""
        return f"ipv{self.source.version}/{self.protocol}"


@dataclass(frozen=True)
class Frame:
    """A frame as it goes on the wire, without FCS.

    id: 0 to 65535, unique in one capture.
    """

    id: int
    data: bytes


KINDS = ("ipv4/tcp", "ipv4/udp", "ipv6/tcp", "ipv6/udp")


def random_flow(kind: str, rng: random.Random) -> Flow:
    """A flow of one of KINDS with random unicast addresses and ports."""
    version, protocol = kind.split("/")
    ends: list[Address] = []
    for _ in range(2):
        if version == "ipv4":
            ends.append(IPv4Address(10 << 24 | rng.getrandbits(24)))
        else:
            ends.append(IPv6Address(0x2001_0DB8 << 96 | rng.getrandbits(96)))  # RFC 3849
    return Flow(protocol, ends[0], ends[1], rng.randrange(1, 65536), rng.randrange(1, 65536))


def random_flows(count: int, seed: int, kinds: Sequence[str] = KINDS) -> list[Flow]:
    """count different flows in random order, each kind equally often (but for a rest)."""
    rng = random.Random(seed)
    flows: set[Flow] = set()
    ordered: list[Flow] = []
    while len(ordered) < count:
        flow = random_flow(kinds[len(ordered) % len(kinds)], rng)
        if flow not in flows:
            flows.add(flow)
            ordered.append(flow)
    rng.shuffle(ordered)
    return ordered


def build(
    flow: Flow,
    frame_id: int,
    *,
    payload: bytes = b"lab",
    destination: str = DESTINATION,
    vlan: int | None = None,
) -> Frame:
    """The flow's packet, checksums right, as frame number frame_id.

    vlan: the TCI of an 802.1Q tag in the frame. Raises ValueError for an id
    that has no place in the address.
    """
    scapy = _layers()
    ip = scapy.IP if flow.source.version == 4 else scapy.IPv6
    l4 = {"tcp": scapy.TCP, "udp": scapy.UDP}[flow.protocol]
    packet = (
        ip(src=str(flow.source), dst=str(flow.destination))
        / l4(sport=flow.source_port, dport=flow.destination_port)
        / scapy.Raw(payload)
    )
    return frame(packet, frame_id, destination=destination, vlan=vlan)


def random_frames(
    count: int, seed: int, kinds: Sequence[str] = KINDS, *, payload: bytes = b"lab"
) -> list[Frame]:
    """Frames 0 to count - 1, each of a flow of its own."""
    flows = random_flows(count, seed, kinds)
    return [build(flow, number, payload=payload) for number, flow in enumerate(flows)]


def frame(
    packet: object, frame_id: int, *, destination: str = DESTINATION, vlan: int | None = None
) -> Frame:
    """Any scapy packet from the network layer up, as frame number frame_id."""
    scapy = _layers()
    header = scapy.Ether(src=source_address(frame_id), dst=destination)
    if vlan is not None:
        header /= scapy.Dot1Q(prio=vlan >> 13, dei=vlan >> 12 & 1, vlan=vlan & 0xFFF)
    return Frame(frame_id, bytes(header / packet))


def without_ports(first: int) -> list[Frame]:
    """Frames from that number on: of each kind that RSS hashes without ports one, then an ARP."""
    from scapy.layers.inet import ICMP, IP
    from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
    from scapy.layers.l2 import ARP
    from scapy.packet import Raw

    payload = Raw(bytes(64))
    packets = [
        IP(src="10.0.0.1", dst="10.0.0.2") / ICMP(),
        IP(src="10.0.0.3", dst="10.0.0.4", proto=17, flags="MF") / payload,
        IP(src="10.0.0.3", dst="10.0.0.4", proto=17, frag=8) / payload,
        IPv6(src="2001:db8::1", dst="2001:db8::2") / IPv6ExtHdrFragment(nh=17, m=1) / payload,
        ARP(psrc="10.0.0.1", pdst="10.0.0.2"),
    ]
    return [frame(packet, first + number) for number, packet in enumerate(packets)]


def source_address(frame_id: int) -> str:
    """The source address that carries frame_id. Raises ValueError if it has no place there."""
    if not 0 <= frame_id <= MAX_ID:
        raise ValueError(f"a frame's id is from 0 to {MAX_ID}, not {frame_id}")
    return (SOURCE_PREFIX + frame_id.to_bytes(2, "big")).hex(":")


def prepare() -> None:
    """Have scapy imported by another thread, while this one waits for a guest."""
    threading.Thread(target=_layers, name="import scapy", daemon=True).start()


@functools.cache
def _layers() -> SimpleNamespace:
    """scapy's layers, imported when first used: that takes half a second."""
    from scapy.layers.inet import IP, TCP, UDP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import Dot1Q, Ether
    from scapy.packet import Raw

    return SimpleNamespace(IP=IP, IPv6=IPv6, TCP=TCP, UDP=UDP, Ether=Ether, Dot1Q=Dot1Q, Raw=Raw)
