# SPDX-License-Identifier: GPL-2.0-only
"""The packet's twin itself: bounds and errors as they are fixed; random calls meet them all."""

import errno
import random
from collections import Counter

from harness.datapath.hints import Hints
from harness.datapath.kv_packet import MAX_META, Packet, random_calls
from harness.datapath.kv_script import (
    HW_HASH,
    HW_TIMESTAMP,
    HW_VLAN,
    NOEXIST,
    Call,
    Done,
    Kind,
    delete,
    failed,
    found,
    get,
    move,
    set_,
)

EINVAL, ENOSPC = -errno.EINVAL, -errno.ENOSPC


def returned(packet: Packet, *calls: Call) -> list[int]:
    return [packet.call(call).returned for call in calls]


def test_the_bound_follows_what_is_stored() -> None:
    packet = Packet(headroom=256, length=60)
    bounds = []
    for call in (
        set_(HW_TIMESTAMP, bytes(8)),
        set_(3, b"22"),
        set_(9, bytes(8)),
        delete(HW_TIMESTAMP),
        delete(9),
        delete(3),
    ):
        assert packet.call(call).returned == 0
        bounds.append(packet.bound)
    assert bounds == [64, 64 + 16 + 2, 64 + 16 + 10, 64 + 16 + 10, 64 + 16 + 2, 40]


def test_head_and_metadata_go_to_the_bound() -> None:
    packet = Packet(headroom=100, length=60)
    to, beside = move(Kind.HEAD, -60), move(Kind.HEAD, -61)
    assert returned(packet, beside, to, move(Kind.HEAD, -1)) == [EINVAL, 0, EINVAL]
    assert returned(packet, set_(1, b"22"), set_(HW_TIMESTAMP, bytes(8))) == [ENOSPC, ENOSPC]
    assert returned(packet, move(Kind.HEAD, 41 + 1), set_(1, b"22")) == [0, 0]
    assert returned(packet, set_(2, b"22"), move(Kind.META, -4)) == [ENOSPC, EINVAL]
    assert returned(packet, delete(1), move(Kind.META, -40)) == [0, 0]
    assert returned(packet, move(Kind.HEAD, -3), move(Kind.META, 41)) == [EINVAL, EINVAL]
    assert returned(packet, move(Kind.META, 1), move(Kind.META, 40)) == [-errno.EACCES, 0]


def test_metadata_have_at_most_what_a_byte_counts_in_fours() -> None:
    packet = Packet(headroom=1000, length=60)
    assert returned(packet, move(Kind.META, -MAX_META), move(Kind.META, -4)) == [0, -errno.EACCES]


def test_a_packet_ends_behind_its_ethernet_header() -> None:
    packet = Packet(headroom=256, length=60)
    assert returned(packet, move(Kind.HEAD, 47), move(Kind.HEAD, 46)) == [EINVAL, 0]


def test_hints_are_read_by_their_sizes_and_become_the_skbs() -> None:
    packet = Packet(headroom=256, length=60)
    value = {
        HW_HASH: bytes.fromhex("78563412 08000000"),
        HW_VLAN: bytes.fromhex("8100 2301"),
        HW_TIMESTAMP: bytes.fromhex("0100000000000080"),
    }
    for key, wanted in value.items():
        assert packet.call(get(key, len(wanted))) == failed(errno.ENOENT)
        assert packet.call(set_(key, wanted)).returned == 0
        assert packet.call(get(key, len(wanted))) == found(wanted)
        assert packet.call(get(key, 16)) == failed(errno.EINVAL)
        assert packet.call(set_(key, wanted, NOEXIST)).returned == -errno.EEXIST
    assert packet.call(set_(HW_VLAN, bytes(4))).returned == EINVAL
    assert packet.call(set_(HW_HASH, b"\xff" * 8)).returned == EINVAL
    assert packet.hints == Hints((0x12345678, 8), (0x8100, 0x123), 2**63 + 1)
    assert returned(packet, delete(HW_VLAN), delete(HW_VLAN)) == [0, -errno.ENOENT]
    assert packet.hints == Hints((0x12345678, 8), None, 2**63 + 1)


def test_random_calls_meet_whatever_a_call_can_return() -> None:
    source = random.Random(0)
    met: Counter[tuple[Kind, int]] = Counter()
    for _ in range(256):
        packet = Packet(headroom=276, length=60)
        for call, done in random_calls(source, packet, 24):
            met[call.kind, min(done.returned, 0)] += 1
        assert packet.start == packet.origin
    set_gives = (0, errno.EINVAL, errno.EEXIST, errno.EBUSY, errno.ENOSPC)
    assert met.keys() == {
        *((Kind.SET, -error) for error in set_gives),
        *((Kind.GET, -error) for error in (0, errno.EINVAL, errno.ENOENT, errno.EFBIG)),
        *((Kind.DEL, -error) for error in (0, errno.EINVAL, errno.ENOENT)),
        *((Kind.HEAD, -error) for error in (0, errno.EINVAL)),
        *((Kind.META, -error) for error in (0, errno.EINVAL, errno.EACCES)),
    }
    assert met[Kind.SET, 0] > 1000
    assert met[Kind.GET, 0] > 300


def test_random_calls_are_the_same_for_a_seed() -> None:
    def made(seed: int) -> list[tuple[Call, Done]]:
        return random_calls(random.Random(seed), Packet(headroom=256, length=60), 24)

    assert made(1) == made(1) != made(2)
