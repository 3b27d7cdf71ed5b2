# SPDX-License-Identifier: GPL-2.0-only
"""A packet's twin: where head and metadata may go, and what is stored, hints and keys.

As include/net/bpf_kv.h, the calls' documentation and the bare kernel's adjust_head and
adjust_meta promise it. Random calls are made to meet its bounds.
"""

import errno
import random
import struct

from harness.datapath.hints import ETH_P_8021AD, ETH_P_8021Q, Hints
from harness.datapath.kv import KEYS, NOEXIST, REPLACE, SIZES, Store
from harness.datapath.kv_script import (
    HW_HASH,
    HW_TIMESTAMP,
    HW_VLAN,
    UNTOUCHED,
    VALUE,
    Call,
    Done,
    Kind,
    delete,
    get,
    move,
    set_,
)
from harness.datapath.oracle import RssType

FRAME, BEGIN = 40, 64  # struct xdp_frame, and where the store begins
ETH_HLEN = 14
MAX_META = 252  # the most that fits the u8 of struct skb_shared_info, in fours
# virtio_net's VIRTIO_XDP_HEADROOM and, if buffers are mergeable, the header with the hash.
NIC_HEADROOM = {"eth1": 256 + 20, "eth2": 256}
HINT_SIZES = {HW_HASH: 8, HW_VLAN: 4, HW_TIMESTAMP: 8}
HASH_TYPES = sum(RssType)
NO_KEYS = 67, 127, 1 << 32, 1 << 32 | 65, (1 << 64) - 1
TAGS = ETH_P_8021Q, ETH_P_8021AD


class Packet:
    """One packet. headroom: bytes in front of it, from data_hard_start on; length: its own."""

    def __init__(self, headroom: int, length: int) -> None:
        self.origin = self.start = self.meta = headroom
        self._end = headroom + length
        self._store = Store()
        self._hints: dict[int, bytes] = {}

    @property
    def bound(self) -> int:
        """What is in use in front: neither data nor metadata may begin before it."""
        if self._store.length:
            return BEGIN + self._store.length
        return BEGIN if self._hints else FRAME

    @property
    def keys(self) -> list[int]:
        """Of what is stored, hints too."""
        return [*self._store.values, *self._hints]

    @property
    def hints(self) -> Hints:
        """What an skb must have."""
        stored = self._hints
        return Hints(
            _pair("<II", stored[HW_HASH]) if HW_HASH in stored else None,
            (_tag(stored[HW_VLAN]), *struct.unpack_from("<H", stored[HW_VLAN], 2))
            if HW_VLAN in stored
            else None,
            int.from_bytes(stored[HW_TIMESTAMP], "little") if HW_TIMESTAMP in stored else None,
        )

    def call(self, call: Call) -> Done:
        """What the call must give; the packet is changed by it."""
        buffer = call.value
        match call.kind:
            case Kind.SET:
                returned = self._set(call)
            case Kind.GET:
                read = self._get(call)
                returned, buffer = (read, b"") if isinstance(read, int) else (len(read), read)
            case Kind.DEL:
                returned = self._delete(call)
            case Kind.HEAD:
                returned = self._head(call.by)
            case Kind.META:
                returned = self._meta(call.by)
            case _:
                raise ValueError(call)
        return Done(returned, buffer.ljust(VALUE, bytes([UNTOUCHED])))

    def _set(self, call: Call) -> int:
        if call.key not in HINT_SIZES:
            self._store.room = max(0, min(self.start, self.meta) - BEGIN)
            return self._store.set(call.key, call.value, call.flags)
        size = HINT_SIZES[call.key]
        if call.flags not in (0, NOEXIST, REPLACE) or call.size != size or not _may_be(call):
            return -errno.EINVAL
        if call.flags == NOEXIST and call.key in self._hints:
            return -errno.EEXIST
        if min(self.start, self.meta) < BEGIN:
            return -errno.ENOSPC
        self._hints[call.key] = call.value
        return 0

    def _get(self, call: Call) -> bytes | int:
        if call.key not in HINT_SIZES:
            return self._store.get(call.key, call.size)
        if call.size != HINT_SIZES[call.key]:
            return -errno.EINVAL
        return self._hints.get(call.key, -errno.ENOENT)

    def _delete(self, call: Call) -> int:
        if call.key not in HINT_SIZES:
            return self._store.delete(call.key)
        return 0 if self._hints.pop(call.key, None) is not None else -errno.ENOENT

    def _head(self, by: int) -> int:
        if self.meta + by < self.bound or self.start + by > self._end - ETH_HLEN:
            return -errno.EINVAL
        self.start += by
        self.meta += by
        return 0

    def _meta(self, by: int) -> int:
        meta = self.meta + by
        if not self.bound <= meta <= self.start:
            return -errno.EINVAL
        if (self.start - meta) % 4 or self.start - meta > MAX_META:
            return -errno.EACCES
        self.meta = meta
        return 0


def _pair(form: str, value: bytes) -> tuple[int, int]:
    first, second = struct.unpack(form, value)
    return first, second


def _tag(vlan: bytes) -> int:
    return int.from_bytes(vlan[:2], "big")


def _may_be(call: Call) -> bool:
    """Whether the setter takes such a value."""
    if call.key == HW_HASH:
        return not _pair("<II", call.value)[1] & ~HASH_TYPES
    return call.key != HW_VLAN or _tag(call.value) in TAGS


def random_calls(source: random.Random, packet: Packet, count: int) -> list[tuple[Call, Done]]:
    """Calls, and what each must give. The last one puts the packet back where it began."""
    made = []
    for _ in range(count - 1):
        call = _random_call(source, packet)
        made.append((call, packet.call(call)))
    back = move(Kind.HEAD, packet.origin - packet.start)
    return [*made, (back, packet.call(back))]


def _random_call(source: random.Random, packet: Packet) -> Call:
    match source.choices("sgdhm", (10, 4, 2, 3, 3))[0]:
        case "s":
            key = _random_key(source, packet, there=0.3)
            flags = source.choices((0, NOEXIST, REPLACE, 3, 1 << 32), (20, 4, 10, 1, 1))[0]
            return set_(key, _random_value(source, key), flags)
        case "g":
            key = _random_key(source, packet, there=0.8)
            size = HINT_SIZES.get(key, source.choice(SIZES))
            return get(key, source.choices((size, 8, 16, 3, 0), (12, 4, 2, 1, 1))[0])
        case "d":
            return delete(_random_key(source, packet, there=0.8))
        case "h":
            # Not to behind where it began: there what is moved would write over the packet.
            back = packet.origin - packet.start
            by = source.choices((back, min(back, _random_move(source, packet)), 1 << 12), (4, 6, 1))
            return move(Kind.HEAD, by[0])
        case _:
            back = packet.start - packet.meta
            return move(Kind.META, source.choices((back, _random_move(source, packet)), (4, 6))[0])


def _random_key(source: random.Random, packet: Packet, there: float) -> int:
    """there: how probable one is that is stored."""
    if packet.keys and source.random() < there:
        return source.choice(packet.keys)
    many = source.randrange(KEYS), source.choice([*HINT_SIZES]), source.choice(NO_KEYS)
    return source.choices(many, (20, 5, 1))[0]


def _random_value(source: random.Random, key: int) -> bytes:
    if source.random() < 0.05:
        return source.randbytes(source.choice((0, 1, 3, 4, 8, 16)))
    if key == HW_HASH:
        return struct.pack(
            "<II", source.getrandbits(32), source.getrandbits(source.choice((9, 9, 9, 10)))
        )
    if key == HW_VLAN:
        return struct.pack(">H", source.choice((*TAGS, *TAGS, 0x0800))) + source.randbytes(2)
    return source.randbytes(8 if key == HW_TIMESTAMP else source.choice((*SIZES, 8)))


def _random_move(source: random.Random, packet: Packet) -> int:
    """To the bound, beside it, or anywhere; of metadata in fours, as a rule."""
    left = packet.meta - packet.bound
    most = source.choice((4, 16, 64))
    near = -left, -left - 1, 1 - left, -(left & ~3)
    return source.choice((*near, *(4 * source.randint(-most, most) for _ in range(12))))
