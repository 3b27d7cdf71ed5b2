# SPDX-License-Identifier: GPL-2.0-only
"""Packets of one flow, which GRO may merge: sent in one batch, and the skbs that came of them.

What is stored for a packet is chosen by its number in the flow; no packet has an id of its own.
"""

import enum
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.datapath.bpf import (
    BPFCALL,
    Bpf,
    Object,
    at_ingress,
    attach,
    by_vhost,
    observe,
    u32,
    update,
)
from harness.datapath.devices import Giving, GuestTap
from harness.datapath.kv_script import Call, scripts
from harness.datapath.links import address, veth
from harness.datapath.packets import DESTINATION, Frame, frame
from harness.datapath.skb_ways import ENTRANCE
from harness.datapath.topology import TAP, devmap

PROGRAM = Object("kv_flow")
IN_TC = Object("kv_flow_in_tc")
OBSERVER = Object("flow_observer")
# struct flow_record in bpf-progs/flow_record.h
KEYS, DATA = 8, 2048
RECORD = struct.Struct(f"<Q{KEYS}Q{KEYS}iIIIIHBB{DATA + 4}x")
RECORD_DATA = RECORD.size - DATA - 4
SECONDS = 10
PAYLOAD = 100  # bytes of a packet
ID = 0x4F57
END = "v1"  # where frames of the tap become skbs
CUT_END = "w1"
IP_HEADER, IP_LENGTH = 14, 14 + 2  # where they begin
NEAR, HERE = "10.1.0.1", "10.1.0.2"


class Carrier(enum.Enum):
    """What the flow's bytes go in, and with it where its skbs are looked at."""

    TCP = "TCP over IPv4, at v1"
    UDP = "UDP over IPv4, at v1"
    GRE = "TCP over IPv4 in GRE, at the tunnel's device behind v1"
    GRE_KEYS = "the same, with a GRE key that every four packets have"

    @property
    def headers(self) -> int:
        """Bytes in front of an skb's payload, where it is looked at."""
        return 14 + 20 + (8 if self is Carrier.UDP else 20)

    @property
    def end(self) -> str:
        """The device there."""
        return "g1" if self in (Carrier.GRE, Carrier.GRE_KEYS) else END

    def lines(self) -> list[str]:
        """Lines that have END take the flow's packets."""
        match self:
            case Carrier.TCP:
                return []
            case Carrier.UDP:
                return [f"ethtool -K {END} rx-udp-gro-forwarding on"]
            case Carrier.GRE | Carrier.GRE_KEYS:
                ends = "external" if self is Carrier.GRE_KEYS else f"local {HERE} remote {NEAR}"
                return [
                    f"ip link set dev {END} address {DESTINATION}",
                    *address(END, f"{HERE}/24"),
                    f"ip link add {self.end} type gretap {ends}",
                    f"ip link set dev {self.end} up",
                ]

    def packet(self, number: int) -> Frame:
        """One of its packets."""
        from scapy.layers.inet import IP, TCP, UDP
        from scapy.layers.l2 import GRE
        from scapy.packet import Raw

        ip = IP(src=NEAR, dst=HERE, id=number + 1, flags="DF")
        if self is Carrier.UDP:
            return frame(ip / UDP(sport=1111, dport=2222) / payload(number), ID)
        tcp = TCP(sport=1111, dport=2222, flags="A", seq=1000 + number * PAYLOAD, ack=1)
        plain = frame(ip / tcp / payload(number), ID)
        if self is Carrier.TCP:
            return plain
        outer = IP(src=NEAR, dst=HERE, id=number + 1, flags="DF", proto=47)
        if self is Carrier.GRE:
            gre = GRE(proto=0x6558)
        else:
            gre = GRE(proto=0x6558, key_present=1, key=number // 4)
        return frame(outer / gre / Raw(plain.data), ID)


@dataclass(frozen=True)
class Merged:
    """One skb of the flow.

    packets: their numbers.
    values: by key, what is stored.
    """

    packets: tuple[int, ...]
    values: Mapping[int, bytes]
    hash: int
    vlan_tci: int | None
    hwtstamp: int


def payload(number: int) -> bytes:
    """A packet's own, its number in front."""
    return number.to_bytes(2, "big") + bytes((number * 7 + at) & 0xFF for at in range(PAYLOAD - 2))


def flow_through(
    bpf: Bpf,
    stored: Mapping[int, Sequence[Call]],
    count: int,
    *,
    carrier: Carrier = Carrier.TCP,
    keys: Sequence[int] = range(KEYS),
    lines: Sequence[str] = (),
) -> list[Merged]:
    """Send a flow over a tap of the guest's, whose XDP program stores and redirects, to v0.

    Its peer v1 has GRO, and gets all packets at once.
    stored: by packet number, the calls on it (`set_`, `setters`). keys: that are looked at.
    lines: that run when all is made, and before anything is sent.
    Returns the skbs in the order in which GRO gave them up, which may be another one than that
    of their packets; raises ValueError if bytes were lost or changed.
    """
    bpf.run(
        [
            *veth(napi=False),
            f"ethtool -K {END} gro on",
            *carrier.lines(),
            *_tap(),
            PROGRAM.load(),
            *devmap(PROGRAM),
            *scripts(PROGRAM, stored),
            *_observed(carrier.end, keys),
            *lines,
            attach(PROGRAM.program("to_dev"), TAP),
        ]
    )
    GuestTap(TAP, bpf, Giving.VHOST).send([carrier.packet(number) for number in range(count)])
    return _seen(bpf, count, keys, carrier.headers)


def flow_of_one_packet(
    bpf: Bpf,
    stored: Mapping[int, Sequence[Call]],
    count: int,
    *,
    keys: Sequence[int] = range(KEYS),
    lines: Sequence[str] = (),
) -> list[Merged]:
    """As `flow_through`, of one packet of TCP that is cut up in the guest, for a veth without TSO.

    At its peer a TC program stores for each segment, and sends them all at once to w1, which has
    GRO. Of more bytes than a page the segments have headers only in their heads (skb_segment()).
    """
    bpf.run(
        [
            *veth(napi=False),
            "ethtool -K v0 tso off",
            *veth("w", ENTRANCE, napi=False),
            "ethtool -K w0 tso off",  # else its peer takes skbs without GRO (veth_xmit())
            f"ethtool -K {CUT_END} gro on",
            *_tap(),
            f"tc qdisc add dev {TAP} clsact",
            f"tc filter add dev {TAP} ingress flower action mirred egress redirect dev v0",
            IN_TC.load(),
            *scripts(IN_TC, stored),
            *at_ingress(IN_TC.program("store_then_send"), "v1"),
            *_observed(CUT_END, keys),
            *lines,
        ]
    )
    first = Carrier.TCP.packet(0).data[: Carrier.TCP.headers]
    whole = first + b"".join(map(payload, range(count)))
    length = (len(whole) - IP_HEADER).to_bytes(2, "big")
    bpf.run([by_vhost(TAP, [whole[:IP_LENGTH] + length + whole[IP_LENGTH + 2 :]], segment=PAYLOAD)])
    return _seen(bpf, count, keys, Carrier.TCP.headers)


def _tap() -> list[str]:
    return [f"ip tuntap add dev {TAP} mode tap", f"ip link set dev {TAP} up"]


def _observed(device: str, keys: Sequence[int]) -> list[str]:
    return [
        OBSERVER.load(),
        *observe(OBSERVER.program("flow_observer"), device),
        *update(
            OBSERVER.map("keys"),
            {u32(at): struct.pack("<Q", key) for at, key in enumerate(keys)},
        ),
    ]


def _seen(bpf: Bpf, count: int, keys: Sequence[int], headers: int) -> list[Merged]:
    bpf.run([f"{BPFCALL} await {OBSERVER.maps} {count} {SECONDS}"])
    (counts,) = bpf.dump(OBSERVER.map("counts")).values()
    seen = int.from_bytes(counts[:4], "little")
    records = bpf.dump(OBSERVER.map("records"))
    merged = [_merged(records[u32(at)], keys, headers) for at in range(seen)]
    came = sorted(number for skb in merged for number in skb.packets)
    if came != list(range(count)):
        raise ValueError(f"of packets 0 to {count - 1} these came: {came}")
    return merged


def _merged(raw: bytes, keys: Sequence[int], headers: int) -> Merged:
    hwtstamp, *rest = RECORD.unpack(raw)
    values, returned = rest[:KEYS], rest[KEYS : 2 * KEYS]
    length, count, hash_, data_len, vlan_tci, vlan_present, _ = rest[2 * KEYS :]
    data = raw[RECORD_DATA : RECORD_DATA + data_len][headers:]
    pieces = [data[at : at + PAYLOAD] for at in range(0, len(data), PAYLOAD)]
    numbers = tuple(int.from_bytes(piece[:2], "big") for piece in pieces)
    if length != data_len or len(numbers) != count or pieces != [payload(n) for n in numbers]:
        raise ValueError(f"an skb of {count} packets has {length} bytes: {data.hex()}")
    return Merged(
        numbers,
        {
            key: values[at].to_bytes(8, "little")[: returned[at]]
            for at, key in enumerate(keys)
            if returned[at] > 0
        },
        hash_,
        vlan_tci if vlan_present else None,
        hwtstamp,
    )
