# SPDX-License-Identifier: GPL-2.0-only
"""What a call costs that stores or reads something, in guest instructions, by what is stored.

A call in a repeated test run meets what the run before left. So each run of bench_calls's
programs takes all keys away, makes the calls that bring the state about, and reads
the clock right before and after the one call that is measured. A twin that calls a
function which does nothing has the same way to the call; the difference is the call's. A clone has
no twin: what it costs more with something stored than without is told by two rows.
"""

import errno
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.errors import LabError
from harness.datapath.bpf import Bpf, Object, entries, u32
from harness.datapath.kv_script import (
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
from harness.datapath.skb_ways import ENTRANCE

XDP, SKB = Object("bench_calls"), Object("bench_skb")
RUNS = 64  # BENCH_RUNS of bpf-progs/bench_calls.h
PROGRAMS = {Kind.SET: "set", Kind.GET: "get", Kind.DEL: "del"}
KEY = 5
EIGHT, FOUR = bytes(range(1, 9)), bytes(range(1, 5))


@dataclass(frozen=True)
class Case:
    """A call, what was called before it, and what it returns.

    setter: the program that calls a hint's setter in the place of the call.
    by: XDP or SKB.
    """

    name: str
    before: tuple[Call, ...]
    call: Call
    returns: int = 0
    setter: str = ""
    by: Object = XDP


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


def _skb_cases() -> Iterator[Case]:
    """The first key's set has an extension allocated, the last one's deletion frees it."""
    one, few = _keys(1, EIGHT, KEY), _keys(8, EIGHT, KEY)
    yield Case("skb: set, the first key", (), set_(KEY, EIGHT), by=SKB)
    yield Case("skb: set, behind 1 other", one, set_(63, EIGHT), by=SKB)
    yield Case("skb: set, over 1 of 1", one, set_(KEY, EIGHT), by=SKB)
    yield Case("skb: get, nothing stored", (), get(KEY), -errno.ENOENT, by=SKB)
    yield Case("skb: get, 1 of 1", one, get(KEY), len(EIGHT), by=SKB)
    yield Case("skb: get, 1 of 8", few, get(KEY), len(EIGHT), by=SKB)
    yield Case("skb: del, 1 of 8", few, delete(KEY), by=SKB)
    yield Case("skb: del, the last key", one, delete(KEY), by=SKB)


def measure(bpf: Bpf, idle: int) -> list[CallCost]:
    """The cost of each call; idle: the instructions of a function that does nothing."""
    costs = [CallCost(case.name, cost(bpf, case, idle)) for case in (*_cases(), *_skb_cases())]
    bpf.run([f"ip link add drops index {ENTRANCE} type dummy", "ip link set dev drops up"])
    for told, before in (("nothing stored", ()), ("1 key", _keys(1, EIGHT, KEY))):
        _prepare(bpf, Case(told, before, get(KEY), by=SKB))
        costs.append(CallCost(f"skb: cloned, {told}", _timed(bpf, SKB, "clone")))
    return costs


def cost(bpf: Bpf, case: Case, idle: int) -> int:
    """The instructions of its call; idle: of a function that does nothing."""
    _prepare(bpf, case)
    program = case.setter or PROGRAMS[case.call.kind]
    twin = _timed(bpf, case.by, f"{program}_idle")
    took = _timed(bpf, case.by, program)
    (made,) = done(bpf.dump(case.by.map("scripts")), SECOND)[0]
    if made.returned != case.returns:
        raise LabError(f"{case.name}: {case.call} returned {made.returned}")
    return took - twin + idle


def _prepare(bpf: Bpf, case: Case) -> None:
    bpf.run(
        [
            f"[ -d {case.by.directory} ] || {case.by.load()}",
            *scripts(case.by, {0: case.before}),
            *scripts(case.by, {0: [case.call]}, SECOND),
        ]
    )


def _timed(bpf: Bpf, by: Object, program: str) -> int:
    """The usual time of the program's call, in nanoseconds; a timer tick may fall into one."""
    pinned = by.program(program)
    printed = bpf.run(
        [
            "head -c 64 /dev/zero >/tmp/frame",
            f"bpftool prog run pinned {pinned} data_in /tmp/frame repeat {RUNS} >/dev/null",
            f"bpftool -j map dump pinned {by.map('took')}",
        ],
        timeout=120.0,
    )
    took = entries(printed)
    return statistics.mode(int.from_bytes(took[u32(run)], "little") for run in range(RUNS))
