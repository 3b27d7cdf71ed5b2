# SPDX-License-Identifier: GPL-2.0-only
"""RX hints that a test lets programs store, and what an skb must then say of them.

The twin of struct rx_hints in bpf-progs/hints.h, and what is expected of the kernel,
by the setters' documentation alone.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from harness.datapath.bpf import Object, u32, update
from harness.datapath.oracle import RssType, rss
from harness.datapath.packets import Frame
from harness.datapath.skb import SkbRecord

ETH_P_8021Q = 0x8100
ETH_P_8021AD = 0x88A8

# The bits of bpf_xdp_store_rx_all().
RX_HASH, RX_VLAN, RX_TS = 1, 2, 4

# Which call the hints are for, in hints.h: the first, a second one, a map entry's program.
FIRST, SECOND, ENTRY = 0, 1 << 16, 2 << 16

L4_TYPES = sum(kind for kind in RssType if kind >= RssType.L4)


class Seen(NamedTuple):
    """What of an skb the hints decide. vlan: (EtherType, TCI) of its tag, or None."""

    hash: int = 0
    l4_hash: int = 0
    vlan: tuple[int, int] | None = None
    timestamp: int = 0


UNSET = Seen()


class Returned(NamedTuple):
    """What the setters returned; 0 also for one that was not called."""

    hash: int
    vlan: int
    timestamp: int


DONE = Returned(0, 0, 0)


@dataclass(frozen=True)
class Hints:
    """What a program stores for a frame; None: nothing.

    hash: (hash, type).
    vlan: (EtherType, TCI).
    timestamp: ns.
    """

    hash: tuple[int, int] | None = None
    vlan: tuple[int, int] | None = None
    timestamp: int | None = None

    @property
    def fields(self) -> int:
        """The fields as bits, as bpf_xdp_store_rx_all() returns them."""
        stored = (self.hash, RX_HASH), (self.vlan, RX_VLAN), (self.timestamp, RX_TS)
        return sum(bit for value, bit in stored if value is not None)

    def to_bytes(self) -> bytes:
        """As struct rx_hints has them."""
        value, kind = self.hash or (0, 0)
        protocol, tci = self.vlan or (0, 0)
        return struct.pack("<QIIHHI", self.timestamp or 0, value, kind, protocol, tci, self.fields)

    def over(self, before: Seen = UNSET) -> Seen:
        """What an skb must show that would be `before` without these hints."""
        shown = before
        if self.hash is not None:
            value, kind = self.hash
            shown = shown._replace(hash=value, l4_hash=int(bool(kind & L4_TYPES)))
        if self.vlan is not None:
            shown = shown._replace(vlan=self.vlan)
        if self.timestamp is not None:
            shown = shown._replace(timestamp=self.timestamp)
        return shown


# By number: each subset of the three, with values of the number's own.
EACH_SUBSET = {
    number: Hints(
        (0xC0DE0000 + number, int(RssType.L4_UDP)) if number & RX_HASH else None,
        (ETH_P_8021AD, 0xE000 + number) if number & RX_VLAN else None,
        2**60 + number if number & RX_TS else None,
    )
    for number in range(8)
}


def seen(record: SkbRecord) -> Seen:
    """What the observer saw."""
    vlan = (record.vlan_proto, record.vlan_tci) if record.vlan_present else None
    return Seen(record.hash, record.l4_hash, vlan, record.hwtstamp)


def by_nic(sent: Frame, rss_key: bytes) -> Seen:
    """What an skb shows that virtio_net built without XDP."""
    reported = rss(sent.data, rss_key)
    return Seen(reported.hash, int(reported.covers_l4))


def give(program: Object, hints: Mapping[int, Hints], call: int = FIRST) -> list[str]:
    """Lines that tell a program of store_hints what to store, by the frames' ids."""
    return update(
        program.map("hints"), {u32(number | call): rx.to_bytes() for number, rx in hints.items()}
    )


def returned(dumped: Mapping[bytes, bytes]) -> dict[int, Returned]:
    """What the setters returned, by frame id and call, from a dump of the map of that name."""
    return {
        int.from_bytes(key, "little"): Returned(*struct.unpack("<3i", value))
        for key, value in dumped.items()
    }
