# SPDX-License-Identifier: GPL-2.0-only
"""Random calls by two programs on each packet's way, held against the packet's twin."""

import random
from collections.abc import Sequence

from harness.datapath.bpf import attach
from harness.datapath.hints import UNSET, seen
from harness.datapath.kv_cases import STORE
from harness.datapath.kv_packet import Packet, random_calls
from harness.datapath.kv_script import CALLS, FIRST, SECOND, Call, Done, done, entries_of
from harness.datapath.links import veth
from harness.datapath.packets import Frame
from harness.datapath.topology import Way, devmap

PER_FRAME = 2 * CALLS
LINES = (
    *veth(napi=False),
    *devmap(STORE),
    attach(STORE.program("pass_second"), "v1"),
)


def hold(way: Way, frames: Sequence[Frame], headroom: int, seed: int) -> int:
    """Have PER_FRAME random calls made for each frame, and each judged; returns how many.

    way: of STORE's to_dev, with LINES. headroom: that frames come with, from data_hard_start
    on. Raises AssertionError for a call that gave something else, or an skb with other hints.
    """
    source = random.Random(seed)
    first: dict[int, list[tuple[Call, Done]]] = {}
    second: dict[int, list[tuple[Call, Done]]] = {}
    packets = {sent.id: Packet(headroom, len(sent.data)) for sent in frames}
    for number, packet in packets.items():
        first[number] = random_calls(source, packet, CALLS)
        second[number] = random_calls(source, packet, CALLS)
    scripts = STORE.map("scripts")
    way.bpf.update(scripts, _entries(first, FIRST) | _entries(second, SECOND))
    try:
        records = way.capture(frames)
    finally:  # the call that went wrong says more than that its frame is missing
        dumped = way.bpf.dump(scripts)
        for which, wanted in (FIRST, first), (SECOND, second):
            _judge(which, wanted, done(dumped, which))
    assert done(dumped, FIRST).keys() == done(dumped, SECOND).keys() == packets.keys()
    for number, packet in packets.items():
        assert seen(records[number]) == packet.hints.over(UNSET), (seed, number)
    return len(frames) * PER_FRAME


def _entries(wanted: dict[int, list[tuple[Call, Done]]], which: int) -> dict[bytes, bytes]:
    return entries_of({at: [call for call, _ in script] for at, script in wanted.items()}, which)


def _judge(
    which: int, wanted: dict[int, list[tuple[Call, Done]]], given: dict[int, list[Done]]
) -> None:
    """Fail for the first call that is wrong, and show those before it; of scripts that ran."""
    for number, results in given.items():
        told = [f"frame {number}, {'second' if which else 'first'} program:"]
        for (call, expected), got in zip(wanted[number], results, strict=True):
            told.append(f"{call} gave {got}")
            if got != expected:
                raise AssertionError("\n".join([*told, f"but should give {expected}"]))
