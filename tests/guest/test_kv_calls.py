# SPDX-License-Identifier: GPL-2.0-only
"""The store's calls: what each gives, what it refuses, and in which order."""

import errno
import struct

import pytest

from harness.api import (
    Bpf,
    Hints,
    Nic,
    RssType,
    Way,
    delete,
    get,
    lay,
    set_,
)
from harness.datapath.hints import ETH_P_8021Q, UNSET
from harness.datapath.kv_cases import OK, STORE, Script, check_calls
from harness.datapath.kv_script import (
    HW_HASH,
    HW_TIMESTAMP,
    HW_VLAN,
    NOEXIST,
    REPLACE,
    failed,
    found,
)

EINVAL, ENOENT, EEXIST, EBUSY, ENOSPC, EFBIG = (
    -errno.EINVAL,
    -errno.ENOENT,
    -errno.EEXIST,
    -errno.EBUSY,
    -errno.ENOSPC,
    -errno.EFBIG,
)
TWO, FOUR, EIGHT = b"\x02\x82", b"\x04\x14\x24\x84", b"\x08\x18\x28\x38\x48\x58\x68\x88"
OTHER = b"\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8"


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
    check_calls(bpf, way, seed, [[*there, one, *unchanged] for one in wrong])


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
    check_calls(bpf, way, seed, [[*others, *case, *still] for case in cases])


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
    for hint, size in (HW_HASH, 8), (HW_VLAN, 4), (HW_TIMESTAMP, 8):
        for key in (2**32 + hint, 2**63 + hint):  # what is above counts, too
            value = vlan_of(ETH_P_8021Q, 1) if size == 4 else bytes(8)
            cases += [
                [(set_(key, value), EINVAL), (get(hint, size), failed(errno.ENOENT))],
                [(set_(hint, value), OK), (get(key, size), failed(errno.EINVAL))],
                [(set_(hint, value), OK), (delete(key), EINVAL), (get(hint, size), found(value))],
            ]
    cases += [[(delete(4), ENOENT)], [(delete(0), ENOENT)], [(delete(63), ENOENT)]]
    check_calls(bpf, way, seed, [[*there, *case] for case in cases])


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
    for gone in first:
        all_three = [(set_(key, value), OK) for key, value in first.items()]
        left = [(key, unset[key] if key == gone else found(first[key])) for key in first]
        cases.append(
            [
                *all_three,
                (delete(gone), OK),
                *((get(key, sizes[key]), gives) for key, gives in left),
            ]
        )
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
    shown = check_calls(bpf, way, seed, cases)
    assert shown[0] == Hints((0x12345678, int(RssType.L4))).over(UNSET)
    assert shown[4] == UNSET  # what was taken away is not the skb's
