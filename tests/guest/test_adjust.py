# SPDX-License-Identifier: GPL-2.0-only
"""Programs that move head and metadata: no hint is harmed, and the driver's hash stays readable."""

import struct

import pytest

from harness.bpf import Bpf, Object, u32
from harness.hints import (
    DONE,
    ETH_P_8021AD,
    ETH_P_8021Q,
    SECOND,
    UNSET,
    Hints,
    Seen,
    give,
    returned,
    seen,
)
from harness.oracle import RssType, rss
from harness.packets import KINDS, build, random_flows
from harness.topology import Nic, To, cpus, devmap, lay, redirect, veth

FIRST_HINTS = Hints((0x11111111, int(RssType.L4)), (ETH_P_8021Q, 0x1111), 0x1111_1111_1111_1111)
SECOND_HINTS = Hints((0x22222222, 0), (ETH_P_8021AD, 0x2222), 0x2222_2222_2222_2222)

# virtio_net's VIRTIO_XDP_HEADROOM and, behind it, the header with the hash (virtio 1.2, 5.1.6);
# the kernel's struct xdp_frame takes one cache line.
HEADROOM = 256 + 20 - 64

MOVES = [
    (0, 0),
    (-1, 0),
    (-12, 0),
    (-14, 0),
    (-64, 0),
    (-HEADROOM, 0),
    (1, 0),
    (12, 0),
    (14, 0),
    (0, -4),
    (0, -12),
    (0, -32),
    (0, -HEADROOM),
    (-100, -HEADROOM + 100),
    (14, -32),
    (-14, -32),
]


def test_the_nics_hash_is_read_right_after_moves(bpf: Bpf, nic: Nic, seed: int) -> None:
    way = redirect(bpf, nic, "adjust_then_read", To.VETH, bound=True)
    values = {u32(at): struct.pack("<iii", *move, 1) for at, move in enumerate(MOVES)}
    moves = way.program.map("moves")
    bpf.update(moves, values)
    frames = [build(flow, at) for at, flow in enumerate(random_flows(len(MOVES), seed, KINDS))]
    records = way.capture(frames)
    assert len(records) == len(MOVES)
    left = {key: struct.unpack("<iii", value) for key, value in bpf.dump(moves).items()}
    assert left == {u32(at): (*move, 0) for at, move in enumerate(MOVES)}
    for sent in frames:
        reported = rss(sent.data, way.rss_key)
        expected = Seen(reported.hash, int(reported.covers_l4))
        assert seen(records[sent.id]) == expected, MOVES[sent.id]
        assert sent.data.startswith(records[sent.id].data)


@pytest.mark.parametrize("program", ["use_head", "use_meta", "use_head_and_pass"])
def test_all_headroom_used(bpf: Bpf, nic: Nic, seed: int, program: str) -> None:
    """Without hints, stored before, after, and both; the bound is the same for each."""
    store = Object("use_headroom")
    first = dict.fromkeys((4, 5, 6, 7), FIRST_HINTS)
    second = dict.fromkeys((2, 3, 6, 7), SECOND_HINTS)
    given = [*give(store, first), *give(store, second, SECOND)]
    if program == "use_head_and_pass":
        way = lay(bpf, nic, store.name, program, given, observed=[nic.device])
    else:
        lines = [*veth(), *devmap(store), *given]
        way = lay(bpf, nic, store.name, program, lines, observed=["v1"])
    frames = [build(flow, at) for at, flow in enumerate(random_flows(8, seed, KINDS))]
    records = way.capture(frames)
    assert len(records) == 8
    assert bpf.dump(store.map("taken")) == {u32(at): u32(HEADROOM) for at in range(8)}
    answers = returned(bpf.dump(store.map("returned")))
    assert answers == dict.fromkeys([*first, *(at | SECOND for at in second)], DONE)
    for sent in frames:
        expected = first.get(sent.id, Hints()).over(UNSET)
        expected = second.get(sent.id, Hints()).over(expected)
        assert seen(records[sent.id]) == expected, sent.id
        assert sent.data.startswith(records[sent.id].data)
        assert records[sent.id].meta_len == (HEADROOM if program == "use_meta" else 0)
        assert records[sent.id].meta == (0xFFFFFFFF if program == "use_meta" else 0)


@pytest.mark.parametrize("way_on", ["to_dev", "to_cpu", "pass", "generic"])
def test_metadata_reaches_the_skb_with_the_hints(
    bpf: Bpf, nic: Nic, seed: int, way_on: str
) -> None:
    store = Object("store_meta")
    # Before the metadata, behind it, both, neither.
    first = dict.fromkeys((1, 3), FIRST_HINTS)
    second = dict.fromkeys((2, 3), SECOND_HINTS)
    lines = [*give(store, first), *give(store, second, SECOND)]
    if way_on == "to_dev":
        lines += [*veth(), *devmap(store)]
    elif way_on == "to_cpu":
        lines += cpus(store)
    way = lay(
        bpf,
        nic,
        store.name,
        "pass" if way_on == "generic" else way_on,
        lines,
        observed=["v1" if way_on == "to_dev" else nic.device],
        mode="xdpgeneric" if way_on == "generic" else "xdpdrv",
    )
    frames = [build(flow, at) for at, flow in enumerate(random_flows(4, seed, KINDS))]
    records = way.capture(frames)
    assert len(records) == 4
    for sent in frames:
        before = UNSET
        if way_on == "generic":
            reported = rss(sent.data, way.rss_key)
            before = Seen(reported.hash, int(reported.covers_l4))
        expected = second.get(sent.id, Hints()).over(first.get(sent.id, Hints()).over(before))
        assert seen(records[sent.id]) == expected, sent.id
        assert (records[sent.id].meta_len, records[sent.id].meta) == (4, 0xDA7A0000 | sent.id)
        assert sent.data.startswith(records[sent.id].data)
