# SPDX-License-Identifier: GPL-2.0-only
"""Random calls at TC, on an skb and then on a clone of it, give what the twin gives."""

import random
from collections.abc import Sequence

from harness.api import (
    Bpf,
    Call,
    Nic,
    at_ingress,
    by_veth,
    delete,
    get,
    lay,
    random_frames,
    set_,
)
from harness.datapath.kv import KEYS, NOEXIST, REPLACE, SIZES, Store
from harness.datapath.kv_script import (
    CALLS,
    FIRST,
    SECOND,
    THIRD,
    UNTOUCHED,
    VALUE,
    Done,
    Kind,
    done,
    entries_of,
)
from harness.datapath.skb_cases import TC

FRAMES = 64
NO_KEYS = 64, 65, 66, 67, 127, 1 << 32, 1 << 63, (1 << 64) - 1  # hints are XDP's

Script = list[tuple[Call, Done]]


def given(store: Store, call: Call) -> Done:
    """What the call must give; the store is changed by it."""
    buffer = call.value
    match call.kind:
        case Kind.SET:
            returned = store.set(call.key, call.value, call.flags)
        case Kind.GET:
            read = store.get(call.key, call.size)
            returned, buffer = (read, b"") if isinstance(read, int) else (len(read), read)
        case _:
            returned = store.delete(call.key)
    return Done(returned, buffer.ljust(VALUE, bytes([UNTOUCHED])))


def random_call(source: random.Random, store: Store) -> Call:
    there = list(store.values)
    if there and source.random() < 0.5:
        key = source.choice(there)
    else:
        key = source.choice((source.randrange(KEYS), source.randrange(8), source.choice(NO_KEYS)))
    match source.choices("sgd", (6, 4, 3))[0]:
        case "s":
            size = source.choice((*SIZES, *SIZES, 8, 8, 0, 1, 3, 5, 16))
            flags = source.choices((0, NOEXIST, REPLACE, 3, 1 << 32), (10, 3, 6, 1, 1))[0]
            return set_(key, source.randbytes(size), flags)
        case "g":
            return get(key, source.choice((8, 8, 16, 2, 4, 3, 0)))
        case _:
            return delete(key)


def script(source: random.Random, store: Store) -> Script:
    made = []
    for _ in range(CALLS):
        call = random_call(source, store)
        made.append((call, given(store, call)))
    return made


def copy(store: Store) -> Store:
    made = Store()
    for key, value in store.values.items():
        made.set(key, value)
    return made


def calls(scripts: dict[int, Script]) -> dict[int, Sequence[Call]]:
    return {number: [call for call, _ in each] for number, each in scripts.items()}


def test_random_calls(bpf: Bpf, nic: Nic, seed: int) -> None:
    """Of what is there when a clone goes to v1 each goes on by itself."""
    source = random.Random(seed)
    wanted: dict[int, dict[int, Script]] = {FIRST: {}, SECOND: {}, THIRD: {}}
    for number in range(FRAMES):
        store = Store()
        wanted[FIRST][number] = script(source, store)
        clone = copy(store)
        wanted[SECOND][number] = script(source, clone)
        wanted[THIRD][number] = script(source, store)
    passage = by_veth()
    lines = [
        TC.load(),
        *passage.lines,
        *at_ingress(TC.program("first_then_clone"), nic.device),
        *at_ingress(TC.program("second"), passage.exit),
    ]
    way = lay(bpf, nic, "xdp_pass", "xdp_pass", lines, observed=[passage.exit])
    for which, scripts in wanted.items():
        bpf.update(TC.map("scripts"), entries_of(calls(scripts), which))
    way.capture(random_frames(FRAMES, seed))
    dumped = bpf.dump(TC.map("scripts"))
    for which, scripts in wanted.items():
        ran = done(dumped, which)
        assert ran.keys() == scripts.keys()
        for number, expected in scripts.items():
            for at, (call, result) in enumerate(expected):
                assert ran[number][at] == result, (seed, which, number, at, call)
