# SPDX-License-Identifier: GPL-2.0-only
"""An skb as tests see it: the twin of struct skb_record in bpf-progs/skb_record.h.

tests/unit/datapath/test_skb.py holds names, sizes and offsets of the two together.
"""

import struct
from dataclasses import dataclass
from typing import Final

# Name and struct code of each field, in the order of the C record, little-endian.
LAYOUT: Final = (
    ("tstamp", "Q"),
    ("hwtstamp", "Q"),
    ("hash", "I"),
    ("mark", "I"),
    ("len", "I"),
    ("ifindex", "I"),
    ("cpu", "I"),
    ("queue_mapping", "H"),
    ("protocol", "H"),
    ("vlan_proto", "H"),
    ("vlan_tci", "H"),
    ("l4_hash", "B"),
    ("sw_hash", "B"),
    ("vlan_present", "B"),
    ("pkt_type", "B"),
    ("meta_len", "B"),
    ("pfmemalloc", "B"),
    ("has_sender", "B"),
    ("data_len", "B"),
    ("meta", "I"),
    ("data", "128s"),
)
FORMAT: Final = "<" + "".join(code for _, code in LAYOUT)
SIZE: Final = struct.calcsize(FORMAT)


@dataclass(frozen=True)
class SkbRecord:
    """One skb at TC ingress.

    tstamp, hwtstamp: ns, as in the skb and its shared info; 0 if not set.
    len: bytes, from the Ethernet header on.
    ifindex: of skb->dev.
    cpu: where the observer ran.
    protocol, vlan_proto: EtherTypes in host order.
    l4_hash, sw_hash, vlan_present, pfmemalloc: 0 or 1.
    pkt_type: PACKET_HOST (0) and so on.
    has_sender: 1 if a socket that sent it still owns it.
    meta_len: bytes of XDP metadata.
    meta: the first four of them.
    data: the first data_len bytes of the frame, at most 128.
    """

    tstamp: int
    hwtstamp: int
    hash: int
    mark: int
    len: int
    ifindex: int
    cpu: int
    queue_mapping: int
    protocol: int
    vlan_proto: int
    vlan_tci: int
    l4_hash: int
    sw_hash: int
    vlan_present: int
    pkt_type: int
    meta_len: int
    pfmemalloc: int
    has_sender: int
    data_len: int
    meta: int
    data: bytes

    @classmethod
    def from_bytes(cls, raw: bytes) -> "SkbRecord":
        """Raises ValueError if raw is not one record's size."""
        if len(raw) != SIZE:
            raise ValueError(f"an skb record has {SIZE} bytes, not {len(raw)}")
        values = dict(zip((name for name, _ in LAYOUT), struct.unpack(FORMAT, raw), strict=True))
        values["data"] = values["data"][: values["data_len"]]
        return cls(**values)

    @property
    def id(self) -> int:
        """The frame's id, which is in its source address (packets.py)."""
        return int.from_bytes(self.data[10:12], "big")
