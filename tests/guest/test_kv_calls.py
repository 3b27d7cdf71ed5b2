# SPDX-License-Identifier: GPL-2.0-only
"""The store's calls: what each refuses, in which order, and how much room there is."""

import errno
import struct

import pytest

from harness.bpf import Bpf, Object
from harness.devices import Giving, Nic
from harness.fixtures import EACH_NIC, SLOW
from harness.hints import ETH_P_8021Q, UNSET, Hints, Seen, seen
from harness.kvscript import (
    HW_HASH,
    HW_TIMESTAMP,
    HW_VLAN,
    NOEXIST,
    REPLACE,
    Call,
    Done,
    Kind,
    delete,
    done,
    failed,
    found,
    get,
    move,
    scripts,
    set_,
)
from harness.oracle import RssType
from harness.packets import random_frames
from harness.topology import Way, lay, lay_on_tap

STORE = Object("kv_script")
OK = 0
EINVAL, ENOENT, EEXIST, EBUSY, ENOSPC, EFBIG = (
    -errno.EINVAL,
    -errno.ENOENT,
    -errno.EEXIST,
    -errno.EBUSY,
    -errno.ENOSPC,
    -errno.EFBIG,
)
Script = list[tuple[Call, int | Done]]

TWO, FOUR, EIGHT = b"\x02\x82", b"\x04\x14\x24\x84", b"\x08\x18\x28\x38\x48\x58\x68\x88"
OTHER = b"\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8"

# The kernel's struct xdp_frame, and where the store begins: behind it and the hints.
FRAME, BEGIN, HEADER, MOST = 40, 64, 16, 128
XDP_HEADROOM = 256


def run(bpf: Bpf, way: Way, seed: int, wanted: list[Script]) -> dict[int, Seen]:
    """Have each script run on a frame of its own; returns what the skbs show."""
    bpf.run(scripts(STORE, {at: [call for call, _ in one] for at, one in enumerate(wanted)}))
    records = way.capture(random_frames(len(wanted), seed))
    ran = done(bpf.dump(STORE.map("scripts")))
    assert ran.keys() == set(range(len(wanted)))
    for at, script in enumerate(wanted):
        for number, ((call, expected), given) in enumerate(zip(script, ran[at], strict=True)):
            got = given if isinstance(expected, Done) else given.returned
            assert got == expected, (at, number, call)
    return {at: seen(record) for at, record in records.items()}


@pytest.fixture
def way(bpf: Bpf, nic: Nic) -> Way:
    return lay(bpf, nic, STORE.name, "pass", [], observed=[nic.device])


def test_what_a_set_refuses_changes_nothing(bpf: Bpf, way: Way, seed: int) -> None:
    there: Script = [(set_(9, FOUR), OK), (set_(20, EIGHT), OK)]
    unchanged: Script = [
        (get(9), found(FOUR)),
        (get(20), found(EIGHT)),
        (get(0), failed(errno.ENOENT)),
        (get(63), failed(errno.ENOENT)),
    ]
    wrong = [
        *((set_(key, FOUR), EINVAL) for key in (67, 68, 127, 128, 2**32 + 9, 2**63, 2**64 - 1)),
        *((set_(9, OTHER[:size]), EINVAL) for size in (0, 1, 3, 5, 6, 7)),
        *((set_(0, OTHER[:size]), EINVAL) for size in (0, 1, 3, 5, 6, 7)),
        (set_(0, OTHER * 2), EINVAL),
        *((set_(9, FOUR, flags), EINVAL) for flags in (3, 4, 8, 2**32, 2**32 + 1, 2**63)),
        *((set_(0, FOUR, flags), EINVAL) for flags in (3, 4, 8, 2**32, 2**32 + 1, 2**63)),
        (set_(9, OTHER[:4], NOEXIST), EEXIST),
        (set_(9, OTHER[:2], NOEXIST), EEXIST),
        (set_(9, OTHER[:3], NOEXIST), EINVAL),
        (set_(20, OTHER, NOEXIST), EEXIST),
        (set_(9, OTHER[:2]), EBUSY),
        (set_(9, OTHER), EBUSY),
        (set_(20, OTHER[:4]), EBUSY),
        (set_(9, OTHER[:3], REPLACE), EINVAL),
    ]
    run(bpf, way, seed, [[*there, one, *unchanged] for one in wrong])


def test_what_a_set_does(bpf: Bpf, way: Way, seed: int) -> None:
    others: Script = [(set_(3, TWO), OK), (set_(40, EIGHT), OK)]
    still: Script = [(get(3), found(TWO)), (get(40), found(EIGHT))]
    cases: list[Script] = [
        [(set_(9, FOUR), OK), (set_(9, OTHER[:4]), OK), (get(9), found(OTHER[:4]))],
        [(set_(9, FOUR, NOEXIST), OK), (get(9), found(FOUR))],
        [(set_(9, FOUR, REPLACE), OK), (get(9), found(FOUR))],
        [(set_(9, FOUR), OK), (set_(9, OTHER[:4], REPLACE), OK), (get(9), found(OTHER[:4]))],
        [
            (set_(9, FOUR), OK),
            (delete(9), OK),
            (get(9), failed(errno.ENOENT)),
            (set_(9, EIGHT), OK),
            (get(9), found(EIGHT)),
        ],
        [
            (delete(3), OK),
            (delete(40), OK),
            (delete(40), ENOENT),
            (get(3), failed(errno.ENOENT)),
            (set_(3, TWO), OK),
            (set_(40, EIGHT), OK),
        ],
    ]
    for old in (TWO, FOUR, EIGHT):
        for new in (OTHER[:2], OTHER[:4], OTHER):
            cases.append([(set_(9, old), OK), (set_(9, new, REPLACE), OK), (get(9), found(new))])
    run(bpf, way, seed, [[*others, *case, *still] for case in cases])


def test_what_a_get_gives(bpf: Bpf, way: Way, seed: int) -> None:
    there: Script = [(set_(1, TWO), OK), (set_(2, FOUR), OK), (set_(3, EIGHT), OK)]
    values = {1: TWO, 2: FOUR, 3: EIGHT}
    cases: list[Script] = [
        [(get(key, size), found(value) if size >= len(value) else failed(errno.EFBIG))]
        for key, value in values.items()
        for size in (0, 1, 2, 3, 4, 7, 8, 9, 16)
    ]
    cases += [[(get(4, size), failed(errno.ENOENT))] for size in (0, 1, 8, 16)]
    cases += [[(get(key, 8), failed(errno.EINVAL))] for key in (67, 2**32, 2**32 + 1, 2**64 - 1)]
    cases += [[(delete(key), EINVAL)] for key in (67, 2**32 + 1, 2**64 - 1)]
    cases += [[(delete(4), ENOENT)], [(delete(0), ENOENT)], [(delete(63), ENOENT)]]
    run(bpf, way, seed, [[*there, *case] for case in cases])


def hash_of(value: int, kind: int) -> bytes:
    return struct.pack("<II", value, kind)


def vlan_of(protocol: int, tci: int) -> bytes:
    return struct.pack(">H", protocol) + struct.pack("<H", tci)


def test_hints_by_their_keys(bpf: Bpf, way: Way, seed: int) -> None:
    first = {
        HW_HASH: hash_of(0x12345678, int(RssType.L4)),
        HW_VLAN: vlan_of(ETH_P_8021Q, 0x123),
        HW_TIMESTAMP: struct.pack("<Q", 2**60),
    }
    second = {
        HW_HASH: hash_of(0, 0),
        HW_VLAN: vlan_of(0x88A8, 0xFFFF),
        HW_TIMESTAMP: bytes(8),
    }
    unset = {key: failed(errno.ENOENT) for key in first}
    sizes = {key: len(value) for key, value in first.items()}
    cases: list[Script] = []
    for key, value in first.items():
        size, other = sizes[key], second[key]
        cases += [
            [(get(key, size), unset[key]), (set_(key, value), OK), (get(key, size), found(value))],
            [(set_(key, value, NOEXIST), OK), (set_(key, other, NOEXIST), EEXIST)],
            [(set_(key, value, REPLACE), OK), (set_(key, other, REPLACE), OK)],
            [(set_(key, value), OK), (set_(key, other), OK), (get(key, size), found(other))],
            [(set_(key, value), OK), (delete(key), OK), (delete(key), ENOENT)],
            [(set_(key, value), OK), (delete(key), OK), (get(key, size), unset[key])],
            [(set_(key, value, 3), EINVAL), (set_(key, value, 4), EINVAL)],
        ]
        for bad in {0, 2, 4, 8, 12, 16} - {size}:
            wrong = set_(key, (OTHER * 2)[:bad])
            cases.append([(wrong, EINVAL), (get(key, bad), failed(errno.EINVAL))])
    refused = [
        (HW_HASH, hash_of(1, 1 << 9)),
        (HW_HASH, hash_of(1, 1 << 31)),
        *((HW_VLAN, vlan_of(protocol, 1)) for protocol in (0, 0x0800, 0x0081, 0x9100)),
    ]
    for key, value in refused:
        cases += [
            [(set_(key, value), EINVAL), (get(key, sizes[key]), unset[key])],
            [
                (set_(key, first[key]), OK),
                (set_(key, value), EINVAL),
                (set_(key, value, NOEXIST), EINVAL),
                (get(key, sizes[key]), found(first[key])),
            ],
        ]
    shown = run(bpf, way, seed, cases)
    assert shown[0] == Hints((0x12345678, int(RssType.L4))).over(UNSET)
    assert shown[4] == UNSET  # what was taken away is not the skb's


def test_full_is_full(bpf: Bpf, way: Way, seed: int) -> None:
    """128 bytes of values; what does not fit changes nothing."""
    eights: Script = [(set_(key, bytes([key]) * 8), OK) for key in range(16)]
    last = get(15), found(b"\x0f" * 8)
    cases: list[Script] = [
        [*eights, (set_(16, TWO), ENOSPC), (set_(16, TWO, NOEXIST), ENOSPC), last],
        [*eights, (set_(63, EIGHT), ENOSPC), (set_(3, EIGHT), OK), (get(3), found(EIGHT)), last],
        [*eights, (set_(3, TWO), EBUSY), (set_(3, EIGHT, NOEXIST), EEXIST), last],
        [*eights, (set_(3, TWO, REPLACE), OK), (set_(16, EIGHT), ENOSPC), (set_(16, FOUR), OK)],
        [*eights, (set_(3, FOUR, REPLACE), OK), (set_(16, FOUR), OK), (set_(3, EIGHT, 2), ENOSPC)],
        [*eights, (set_(16, OTHER[:3]), EINVAL), (delete(0), OK), (set_(16, EIGHT), OK), last],
        [*eights, (set_(HW_TIMESTAMP, EIGHT), OK), last],
    ]
    run(bpf, way, seed, cases)


def room_scripts(behind: int, *, metadata: bool) -> list[Script]:
    """Scripts for a headroom of that many bytes behind data_hard_start.

    The head, or metadata, is moved so far that a header and two bytes fit, or one byte less.
    """
    fits = behind - (BEGIN + HEADER + 2)
    to_frame = BEGIN + HEADER + 2 - FRAME
    hints: Script = [(set_(HW_TIMESTAMP, EIGHT), OK)]
    cases: list[Script] = [
        [
            (move(Kind.HEAD, -fits), OK),
            (set_(0, FOUR), ENOSPC),
            (move(Kind.HEAD, -1), OK),
            (move(Kind.HEAD, 1), OK),
            (set_(0, TWO), OK),
            (move(Kind.HEAD, -1), EINVAL),
            (set_(1, TWO), ENOSPC),
            (set_(0, FOUR, REPLACE), ENOSPC),
            (get(0), found(TWO)),
            (delete(0), OK),
            (move(Kind.HEAD, -to_frame), OK),
            (move(Kind.HEAD, -1), EINVAL),
            (set_(0, TWO), ENOSPC),
            (set_(HW_TIMESTAMP, EIGHT), ENOSPC),
            (move(Kind.HEAD, fits + to_frame), OK),
        ],
        [
            (move(Kind.HEAD, -(fits + 1)), OK),
            (set_(0, TWO), ENOSPC),
            (move(Kind.HEAD, fits + 1), OK),
        ],
        [  # a hint stays when the last key goes, and the other way round
            *hints,
            (set_(0, TWO), OK),
            (set_(5, EIGHT), OK),
            (move(Kind.HEAD, -(fits - 8)), OK),
            (move(Kind.HEAD, -1), EINVAL),
            (set_(5, FOUR, REPLACE), OK),
            (move(Kind.HEAD, -4), OK),
            (move(Kind.HEAD, -1), EINVAL),
            (delete(HW_TIMESTAMP), OK),
            (move(Kind.HEAD, -1), EINVAL),
            (delete(5), OK),
            (move(Kind.HEAD, -4), OK),
            (get(0), found(TWO)),
            (set_(HW_TIMESTAMP, EIGHT), OK),
            (delete(0), OK),
            (move(Kind.HEAD, -(HEADER + 2)), OK),
            (move(Kind.HEAD, -1), EINVAL),
            (get(HW_TIMESTAMP), found(EIGHT)),
            (delete(HW_TIMESTAMP), OK),
            (move(Kind.HEAD, -(BEGIN - FRAME)), OK),
            (move(Kind.HEAD, -1), EINVAL),
            (move(Kind.HEAD, behind - FRAME), OK),
        ],
    ]
    if metadata:
        by_four = fits // 4 * 4
        cases += [
            [
                (move(Kind.HEAD, -(fits - by_four)), OK),
                (move(Kind.META, -by_four), OK),
                (set_(0, FOUR), ENOSPC),
                (set_(0, TWO), OK),
                (move(Kind.META, -4), EINVAL),
                (get(0), found(TWO)),
                (delete(0), OK),
                (move(Kind.META, -4), OK),
                (set_(0, TWO), ENOSPC),
                (move(Kind.META, by_four + 4), OK),
                (set_(0, TWO), OK),
                (move(Kind.HEAD, fits - by_four), OK),
            ]
        ]
    return cases


@EACH_NIC
def test_room_ends_where_the_packet_begins(bpf: Bpf, nic: Nic, seed: int, way: Way) -> None:
    behind = XDP_HEADROOM + (20 if nic.device == "eth1" else 0)
    run(bpf, way, seed, room_scripts(behind, metadata=True))


@SLOW
@pytest.mark.parametrize(
    ("giving", "behind"), [(Giving.WRITE_NOWAIT, 320), (Giving.VHOST, 384)], ids=["nowait", "vhost"]
)
def test_room_without_metadata(bpf: Bpf, seed: int, giving: Giving, behind: int) -> None:
    """Where data_meta is a byte behind data."""
    way = lay_on_tap(bpf, giving, STORE.name, "pass")
    run(bpf, way, seed, room_scripts(behind, metadata=False))
