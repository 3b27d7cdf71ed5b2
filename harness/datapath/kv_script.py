# SPDX-License-Identifier: GPL-2.0-only
"""Calls on a packet's store that a test has BPF programs make, and what they gave.

The twin of struct kv_call and struct kv_script in bpf-progs/kv.h.
"""

import enum
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.datapath.bpf import Object, u32, update
from harness.datapath.hints import Hints

CALLS, VALUE = 24, 16  # the most calls of a script, and bytes of a buffer
ETHERNET = 14  # bytes of its header
UNTOUCHED = 0xEE  # what a buffer is filled with before something is read into it
CALL = struct.Struct(f"<IiQQIi{VALUE}s")
HEAD = struct.Struct("<II")
SCRIPT_SIZE = HEAD.size + CALLS * CALL.size

# The program that runs a script, as in kv.h: its place on a packet's way.
FIRST, SECOND, THIRD = 0, 1 << 16, 2 << 16

# Keys of the hints.
HW_HASH, HW_VLAN, HW_TIMESTAMP = 64, 65, 66

NOEXIST, REPLACE = 1, 2


class Kind(enum.IntEnum):
    """What is called."""

    SET = 1
    GET = 2
    DEL = 3
    HEAD = 4
    META = 5
    TAIL = 6
    WRITE = 7


@dataclass(frozen=True)
class Call:
    """One call.

    size: of the buffer that is set or read into.
    by: bytes to move something.
    """

    kind: Kind
    key: int = 0
    value: bytes = b""
    size: int = 0
    flags: int = 0
    by: int = 0

    def to_bytes(self) -> bytes:
        """As struct kv_call has it, not called yet."""
        buffer = self.value.ljust(VALUE, bytes([UNTOUCHED]))
        return CALL.pack(self.kind, 0, self.key, self.flags, self.size, self.by, buffer)


@dataclass(frozen=True)
class Done:
    """What a call returned, and what its buffer holds: of a value that was read, all of it."""

    returned: int
    value: bytes


def set_(key: int, value: bytes, flags: int = 0) -> Call:
    """Set a key to a value."""
    return Call(Kind.SET, key, value, len(value), flags)


def get(key: int, size: int = 8) -> Call:
    """Read a key into a buffer of that many bytes."""
    return Call(Kind.GET, key, size=size)


def delete(key: int) -> Call:
    """Take a key away."""
    return Call(Kind.DEL, key)


def setters(hints: Hints) -> list[Call]:
    """The calls that store hints for a packet."""
    calls = []
    if hints.hash is not None:
        calls.append(set_(HW_HASH, struct.pack("<II", *hints.hash)))
    if hints.vlan is not None:
        protocol, tci = hints.vlan
        calls.append(set_(HW_VLAN, struct.pack(">H", protocol) + struct.pack("<H", tci)))
    if hints.timestamp is not None:
        calls.append(set_(HW_TIMESTAMP, struct.pack("<Q", hints.timestamp)))
    return calls


def write(frame: bytes) -> Call:
    """Put a frame's Ethernet header in front of the packet, which may have grown there."""
    return Call(Kind.WRITE, value=frame[:ETHERNET])


def move(kind: Kind, by: int) -> Call:
    """Move the packet's head, its end or the beginning of metadata."""
    return Call(kind, by=by)


def found(value: bytes) -> Done:
    """What `get` gives of a value, whose buffer it leaves alone otherwise."""
    return Done(len(value), value.ljust(VALUE, bytes([UNTOUCHED])))


def failed(error: int) -> Done:
    """What `get` gives that fails with that errno."""
    return Done(-error, bytes([UNTOUCHED]) * VALUE)


def scripts(program: Object, calls: Mapping[int, Sequence[Call]], which: int = FIRST) -> list[str]:
    """Lines that give the program of kv_script its scripts, by the frames' ids."""
    return update(program.map("scripts"), entries_of(calls, which))


def entries_of(calls: Mapping[int, Sequence[Call]], which: int = FIRST) -> dict[bytes, bytes]:
    """The entries of the map that are these scripts, not run yet."""
    return {
        u32(number | which): (
            HEAD.pack(len(script), 0) + b"".join(call.to_bytes() for call in script)
        ).ljust(SCRIPT_SIZE, b"\0")
        for number, script in calls.items()
    }


def done(dumped: Mapping[bytes, bytes], which: int = FIRST) -> dict[int, list[Done]]:
    """What the calls of each script that ran gave, by the frames' ids, from a dump of the map."""
    given: dict[int, list[Done]] = {}
    for key, value in dumped.items():
        number = int.from_bytes(key, "little")
        calls, runs = HEAD.unpack_from(value)
        if number & ~0xFFFF != which or not runs:
            continue
        given[number & 0xFFFF] = [
            Done(returned, buffer)
            for _, returned, _, _, _, _, buffer in CALL.iter_unpack(
                value[HEAD.size : HEAD.size + calls * CALL.size]
            )
        ]
    return given
