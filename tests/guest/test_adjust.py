# SPDX-License-Identifier: GPL-2.0-only
"""Programs that move head and metadata: no hint is harmed, and the driver's hash stays readable."""

import enum
import errno
import struct
from typing import NamedTuple

import pytest

from harness.api import (
    EACH_NIC,
    SLOW,
    Bpf,
    Frame,
    Giving,
    Hints,
    Live,
    Nic,
    Object,
    RssType,
    To,
    Way,
    attach,
    cpus,
    devmap,
    entry,
    give,
    lay,
    lay_on_tap,
    observe,
    random_frames,
    redirect,
    rss,
    seen,
    u32,
    veth,
)
from harness.datapath.hints import (
    DONE,
    ETH_P_8021AD,
    ETH_P_8021Q,
    SECOND,
    UNSET,
    Returned,
    by_nic,
    returned,
)
from harness.datapath.links import VETH_INDEX

IN_TC = Object("tc_redirect")

FIRST_HINTS = Hints((0x11111111, int(RssType.L4)), (ETH_P_8021Q, 0x1111), 0x1111_1111_1111_1111)
SECOND_HINTS = Hints((0x22222222, 0), (ETH_P_8021AD, 0x2222), 0x2222_2222_2222_2222)

# virtio_net's VIRTIO_XDP_HEADROOM and, behind it if buffers are mergeable, the header with
# the hash (virtio 1.2, 5.1.6), less the kernel's struct xdp_frame; hints end at byte 64.
HEADROOM = {"eth1": 256 + 20 - 40, "eth2": 256 - 40}
TAKEN_BY_HINTS = 64 - 40
REFUSED = Returned(-errno.ENOSPC, -errno.ENOSPC, -errno.ENOSPC)


class Move(NamedTuple):
    """The twin of struct move in bpf-progs/adjust_then_read.bpf.c."""

    head: int
    meta: int
    err: int
    hash: int
    type: int


MOVE = struct.Struct("<iiiII")


def moves_within(headroom: int) -> list[tuple[int, int]]:
    """What bpf_xdp_adjust_head() and bpf_xdp_adjust_meta() are told, one pair a frame."""
    return [
        (0, 0),
        (-1, 0),
        (-12, 0),
        (-14, 0),
        (-64, 0),
        (-headroom, 0),
        (1, 0),
        (12, 0),
        (14, 0),
        (0, -4),
        (0, -12),
        (0, -32),
        (0, -headroom),
        (-100, -headroom + 100),
        (14, -32),
        (-14, -32),
    ]


@EACH_NIC
def test_the_nics_hash_is_read_right_after_moves(bpf: Bpf, nic: Nic, seed: int) -> None:
    way = redirect(bpf, nic, "adjust_then_read", To.VETH, bound=True)
    moves = moves_within(HEADROOM[nic.device])
    asked = way.program.map("moves")
    bpf.update(asked, {u32(at): MOVE.pack(*move, 1, 0, 0) for at, move in enumerate(moves)})
    frames = random_frames(len(moves), seed)
    records = way.capture(frames)
    assert len(records) == len(moves)
    read = {key: Move(*MOVE.unpack(value)) for key, value in bpf.dump(asked).items()}
    for sent, move in zip(frames, moves, strict=True):
        reported = rss(sent.data, way.rss_key)
        assert read[u32(sent.id)] == Move(*move, 0, reported.hash, int(reported.type))
        assert sent.data.startswith(records[sent.id].data)


@pytest.mark.parametrize("program", ["use_meta", "use_head_behind_meta"])
def test_metadata_with_all_headroom_used(bpf: Bpf, nic: Nic, seed: int, program: str) -> None:
    """They are copied behind the hints, which were stored before, after, or both; or not at all."""
    store = Object("use_headroom")
    first = dict.fromkeys((4, 5, 6, 7), FIRST_HINTS)
    second = dict.fromkeys((2, 3, 6, 7), SECOND_HINTS)
    given = [*give(store, first), *give(store, second, SECOND)]
    if program == "use_head_behind_meta":
        way = lay(bpf, nic, store.name, program, given, observed=[nic.device])
    else:
        lines = [*veth(), *devmap(store), *given]
        way = lay(bpf, nic, store.name, program, lines, observed=["v1"])
    frames = random_frames(8, seed)
    records = way.capture(frames)
    assert len(records) == 8
    answers = returned(bpf.dump(store.map("returned")))
    assert answers == {
        **dict.fromkeys(first, DONE),
        **{at | SECOND: DONE if at in first else REFUSED for at in second},
    }
    for sent in frames:
        expected = first.get(sent.id, Hints()).over(UNSET)
        if sent.id in first:
            expected = second.get(sent.id, Hints()).over(expected)
        there = HEADROOM[nic.device] - (TAKEN_BY_HINTS if sent.id in first else 0)
        assert seen(records[sent.id]) == expected, sent.id
        assert sent.data.startswith(records[sent.id].data)
        assert records[sent.id].meta_len == (there if program == "use_meta" else 32)
        assert records[sent.id].meta == 0xFFFFFFFF


@pytest.mark.parametrize(
    ("nic", "way_on"),
    [
        ("eth1", "to_dev"),
        ("eth1", "to_cpu"),
        ("eth1", "pass"),
        ("eth1", "generic"),
        pytest.param("eth1", "skbs", marks=SLOW),
        pytest.param("eth2", "pass", marks=SLOW),
    ],
    indirect=["nic"],
)
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
    if way_on == "skbs":
        on_v1 = [store.load(), *lines, attach(store.program("pass"), "v1")]
        sending = [IN_TC.load(), *observe(IN_TC.program("to_v0"), nic.device)]
        lines = [*veth(napi=False), *on_v1, *sending]
        way = lay(bpf, nic, "xdp_pass", "", lines, observed=["v1"])
    else:
        way = lay(
            bpf,
            nic,
            store.name,
            "pass" if way_on == "generic" else way_on,
            lines,
            observed=["v1" if way_on == "to_dev" else nic.device],
            mode="xdpgeneric" if way_on == "generic" else "xdpdrv",
        )
    frames = random_frames(4, seed)
    records = way.capture(frames)
    assert len(records) == 4
    for sent in frames:
        before = UNSET
        if way_on in ("generic", "skbs"):
            before = by_nic(sent, way.rss_key)
        expected = second.get(sent.id, Hints()).over(first.get(sent.id, Hints()).over(before))
        assert seen(records[sent.id]) == expected, sent.id
        assert (records[sent.id].meta_len, records[sent.id].meta) == (4, 0xDA7A0000 | sent.id)
        assert sent.data.startswith(records[sent.id].data)


class Moving(enum.Enum):
    """Where the program runs that moves head and tail; what it gets has a hash if it is an skb."""

    SKBS = "on a veth whose peer is sent skbs"
    FRAMES = "on a veth that is redirected to"
    PASS = "on virtio_net"
    GENERIC = "on virtio_net, in generic mode"
    LIVE = "on live frames"
    TAP = "on a tap"
    VHOST = "on a tap, by vhost_net"
    DEVMAP = "on a devmap's entry"
    CPUMAP = "on a cpumap's entry"
    GENERIC_CPUMAP = "on a cpumap's entry, where it gets skbs of generic XDP"


def lay_moving(moving: Moving, bpf: Bpf, nic: Nic, store: Object, given: list[str]) -> Way:
    on_v1 = [*veth(napi=False), store.load(), *given, attach(store.program("pass_inner"), "v1")]
    plain = Object("redirect_plain")
    mode = "xdpgeneric" if moving in (Moving.GENERIC, Moving.GENERIC_CPUMAP) else "xdpdrv"
    match moving:
        case Moving.SKBS:
            sending = [IN_TC.load(), *observe(IN_TC.program("to_v0"), nic.device)]
            return lay(bpf, nic, "xdp_pass", "", [*on_v1, *sending], observed=["v1"])
        case Moving.FRAMES:
            return lay(bpf, nic, plain.name, "to_dev", [*on_v1, *devmap(plain)], observed=["v1"])
        case Moving.PASS | Moving.GENERIC:
            return lay(bpf, nic, store.name, "pass_inner", given, observed=[nic.device], mode=mode)
        case Moving.LIVE:
            laid = lay(bpf, nic, store.name, "", given, observed=[nic.device])
            device = Live(nic.device, nic.packets, bpf, store.program("pass_inner"))
            return Way(bpf, device, laid.program)
        case Moving.TAP | Moving.VHOST:
            giving = Giving.VHOST if moving is Moving.VHOST else Giving.WRITE_NOWAIT
            return lay_on_tap(bpf, giving, store.name, "pass_inner", given)
        case Moving.DEVMAP:
            runs = entry(plain.map("devmap"), 0, VETH_INDEX, store.program("inner_on_devmap"))
            lines = [*veth(), store.load(), *given, runs]
            return lay(bpf, nic, plain.name, "to_dev", lines, observed=["v1"])
        case Moving.CPUMAP | Moving.GENERIC_CPUMAP:
            lines = [store.load(), *given, *cpus(plain, store.program("inner_on_cpumap"))]
            return lay(bpf, nic, plain.name, "to_cpu", lines, observed=[nic.device], mode=mode)


@SLOW
@pytest.mark.parametrize("moving", Moving, ids=[moving.name.lower() for moving in Moving])
def test_head_and_tail_move_for_good(bpf: Bpf, nic: Nic, seed: int, moving: Moving) -> None:
    """The program takes an outer Ethernet header and a trailer off."""
    store = Object("store_hints")
    first = dict.fromkeys((1, 3), FIRST_HINTS)
    second = dict.fromkeys((2, 3), SECOND_HINTS)
    given = [*give(store, first), *give(store, second, SECOND)]
    way = lay_moving(moving, bpf, nic, store, given)
    inner = random_frames(4, seed)
    frames = [Frame(sent.id, sent.data[:14] + sent.data + bytes(4)) for sent in inner]
    records = way.capture(frames)
    assert len(records) == 4
    for sent, whole in zip(inner, frames, strict=True):
        before = UNSET
        if moving in (Moving.GENERIC, Moving.SKBS, Moving.GENERIC_CPUMAP):
            before = by_nic(whole, way.rss_key)
        expected = second.get(sent.id, Hints()).over(first.get(sent.id, Hints()).over(before))
        assert seen(records[sent.id]) == expected, sent.id
        assert sent.data == records[sent.id].data
