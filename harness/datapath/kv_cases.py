# SPDX-License-Identifier: GPL-2.0-only
"""Calls on the store that tests make on frames, and what they must give.

By themselves, or stored by a first program for the next one to read.
"""

import errno

from harness.datapath.bpf import Bpf, Object
from harness.datapath.hints import ETH_P_8021AD, Hints, Seen, seen
from harness.datapath.kv_script import (
    FIRST,
    HW_HASH,
    HW_TIMESTAMP,
    HW_VLAN,
    SECOND,
    THIRD,
    Call,
    Done,
    done,
    failed,
    found,
    get,
    scripts,
    set_,
)
from harness.datapath.oracle import RssType
from harness.datapath.packets import random_frames
from harness.datapath.topology import Way

STORE = Object("kv_script")

OK = 0
NOTHING = failed(errno.ENOENT)
HINTS = Hints((0xC0DE1234, int(RssType.L4_UDP)), (ETH_P_8021AD, 0xE123), 2**63 + 5)

# By frame: what its first program stores. Each size, at its extremes, in both orders.
STORED: dict[int, dict[int, bytes]] = {
    0: {},
    1: {0: b"\0\0", 1: bytes(4), 2: bytes(8)},
    2: {63: b"\xff" * 2, 62: b"\xff" * 4, 61: b"\xff" * 8},
    3: {5: b"\x01\x80", 0: b"\x01\x02\x03\x84", 63: b"\x01\x02\x03\x04\x05\x06\x07\x88"},
    4: {key: bytes([key, 0x40 + key] * 4) for key in range(16)},  # which fill a store
    5: {7: b"\x11\x22\x33\x44"},
}
KEYS = (0, 1, 2, 5, 7, 15, 61, 62, 63)


def storing(number: int) -> list[Call]:
    """The calls of a frame's first program."""
    calls = [set_(key, value) for key, value in STORED[number].items()]
    if number % 2:
        calls += [
            set_(HW_HASH, bytes.fromhex("3412dec0") + int(RssType.L4_UDP).to_bytes(4, "little")),
            set_(HW_VLAN, bytes.fromhex("88a8 23e1")),
            set_(HW_TIMESTAMP, (2**63 + 5).to_bytes(8, "little")),
        ]
    return calls


READING = [get(key) for key in KEYS] + [
    get(key, 4 if key == HW_VLAN else 8) for key in (64, 65, 66)
]


def read(number: int, *, keys: bool = True) -> list[Done]:
    """What READING gives of such a frame; keys: whether they are still there."""
    stored = STORED[number] if keys else {}
    hints = [call.value for call in storing(number)[-3:]] if number % 2 else []
    return [
        *(found(stored[key]) if key in stored else NOTHING for key in KEYS),
        *(map(found, hints) if hints else [NOTHING] * 3),
    ]


EACH = {number: storing(number) for number in STORED}
READ = dict.fromkeys(STORED, READING)


def given(program: Object = STORE) -> list[str]:
    """Lines that have a frame's first program store, and the second and third read."""
    return [
        *scripts(program, EACH),
        *scripts(program, READ, SECOND),
        *scripts(program, READ, THIRD),
    ]


def check_first(bpf: Bpf, program: Object = STORE) -> None:
    """All that was to be stored was."""
    first = done(bpf.dump(program.map("scripts")), FIRST)
    assert {number: [call.returned for call in calls] for number, calls in first.items()} == {
        number: [OK] * len(calls) for number, calls in EACH.items()
    }


def hints_of(number: int) -> Hints:
    return HINTS if number % 2 else Hints()


# Calls on one frame, and what each returns, or all that it gives.
Script = list[tuple[Call, int | Done]]


def check_calls(bpf: Bpf, way: Way, seed: int, wanted: list[Script]) -> dict[int, Seen]:
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
