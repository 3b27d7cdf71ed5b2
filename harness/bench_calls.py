# SPDX-License-Identifier: GPL-2.0-only
"""What a call costs that stores or reads something, in guest instructions, by what is stored.

A call in a repeated test run meets what the run before left. So each run of bench_calls's
programs takes all keys away, makes the calls that bring the state about, and reads
the clock right before and after the one call that is measured. A twin that calls a
function which does nothing has the same way to the call; the difference is the call's.
"""

import errno
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from harness.bpf import Bpf, Object, entries, u32
from harness.errors import LabError
from harness.kvscript import (
    HW_HASH,
    HW_TIMESTAMP,
    HW_VLAN,
    SECOND,
    Call,
    Kind,
    delete,
    done,
    get,
    scripts,
    set_,
)

MEASURED = Object("bench_calls")
RUNS = 64  # BENCH_RUNS of bpf-progs/bench_calls.bpf.c
PROGRAMS = {Kind.SET: "set", Kind.GET: "get", Kind.DEL: "del"}
KEY = 5
EIGHT, FOUR = bytes(range(1, 9)), bytes(range(1, 5))


@dataclass(frozen=True)
class Case:
    """A call, what was called before it, and what it returns.

    setter: the program that calls a hint's setter in the place of the call.
    """

    name: str
    before: tuple[Call, ...]
    call: Call
    returns: int = 0
    setter: str = ""


@dataclass(frozen=True)
class CallCost:
    """A call's instructions, from entry to ret, ftrace's nop included."""

    call: str
    instructions: int


def _keys(count: int, value: bytes, first: int) -> tuple[Call, ...]:
    return tuple(set_(key, value) for key in range(first, first + count))


def _setter(program: str, name: str) -> Case:
    return Case(f"store_rx, {name}", (), get(KEY), setter=program)


def _sets(keys: int) -> tuple[Case, ...]:
    """So many values of 8 bytes, by keys that go up."""
    calls = _keys(keys, EIGHT, 1)
    return tuple(Case(f"set {at}", calls[:at], call) for at, call in enumerate(calls))


HASH = _setter("hash", "hash")
VLAN = _setter("vlan", "802.1Q tag")
VLAN_AD = _setter("vlan_ad", "802.1ad tag")
TIMESTAMP = _setter("ts", "timestamp")
# The calls of bpf-progs/bench_*.bpf.c for a packet.
OF_A_PACKET = {
    "hash": (HASH,),
    "vlan": (VLAN,),
    "vlan_ad": (VLAN_AD,),
    "ts": (TIMESTAMP,),
    "all": (HASH, VLAN, TIMESTAMP),
    "key": _sets(1),
    "4_keys": _sets(4),
}


def _cases() -> Iterator[Case]:
    """Values have 8 bytes; beside 20 others all have 4, or they would not fit."""
    yield from (HASH, VLAN, VLAN_AD, TIMESTAMP)
    yield Case("set, the first key", (), set_(KEY, EIGHT))
    yield Case("get, nothing stored", (), get(KEY), -errno.ENOENT)
    for count, value in ((1, EIGHT), (8, EIGHT), (20, FOUR)):
        there, told = _keys(count, value, KEY), f"{count} other" + "s" * (count > 1)
        yield Case(f"set, behind {told}", there, set_(63, value))
        yield Case(f"set, before {told}", there, set_(0, value))
        yield Case(f"set, over 1 of {count}", there, set_(KEY, value))
        yield Case(f"get, 1 of {count}", there, get(KEY), len(value))
        yield Case(f"get, none of {count}", there, get(0), -errno.ENOENT)
        yield Case(f"del, 1 of {count}", there, delete(KEY))
    for key, name, size in ((HW_HASH, "hash", 8), (HW_VLAN, "VLAN", 4), (HW_TIMESTAMP, "time", 8)):
        value = bytes.fromhex("8100 0123") if key == HW_VLAN else bytes(size)
        yield Case(f"set, the hint {name}", (), set_(key, value))
        yield Case(f"get, the hint {name}", (set_(key, value),), get(key, size), size)
        yield Case(f"del, the hint {name}", (set_(key, value),), delete(key))


def measure(bpf: Bpf, idle: int) -> list[CallCost]:
    """The cost of each call; idle: the instructions of a function that does nothing."""
    return [CallCost(case.name, cost(bpf, case, idle)) for case in _cases()]


def cost(bpf: Bpf, case: Case, idle: int) -> int:
    """The instructions of its call; idle: of a function that does nothing."""
    bpf.run(
        [
            f"[ -d {MEASURED.directory} ] || {MEASURED.load()}",
            *scripts(MEASURED, {0: case.before}),
            *scripts(MEASURED, {0: [case.call]}, SECOND),
        ]
    )
    program = case.setter or PROGRAMS[case.call.kind]
    twin = _timed(bpf, f"{program}_idle")
    took = _timed(bpf, program)
    (made,) = done(bpf.dump(MEASURED.map("scripts")), SECOND)[0]
    if made.returned != case.returns:
        raise LabError(f"{case.name}: {case.call} returned {made.returned}")
    return took - twin + idle


def _timed(bpf: Bpf, program: str) -> int:
    """The usual time of the program's call, in nanoseconds; a timer tick may fall into one."""
    pinned = MEASURED.program(program)
    printed = bpf.run(
        [
            "head -c 64 /dev/zero >/tmp/frame",
            f"bpftool prog run pinned {pinned} data_in /tmp/frame repeat {RUNS} >/dev/null",
            f"bpftool -j map dump pinned {MEASURED.map('took')}",
        ],
        timeout=120.0,
    )
    took = entries(printed)
    return statistics.mode(int.from_bytes(took[u32(run)], "little") for run in range(RUNS))
