# SPDX-License-Identifier: GPL-2.0-only
"""bpf_xdp_store_rx_hash: a hash given in XDP arrives in the skb on the far side of a redirect."""

import errno
import random
import struct
from collections.abc import Iterable
from typing import NamedTuple

import pytest

from harness.api import (
    EACH_FAR_SIDE,
    EACH_NIC,
    SLOW,
    Bpf,
    BpfError,
    Frame,
    Hints,
    Nic,
    Object,
    RssType,
    Seen,
    SkbRecord,
    To,
    attach,
    build,
    give,
    random_flow,
    random_frames,
    redirect,
    rss,
    seen,
    without_ports,
)
from harness.datapath.hints import ETH_P_8021Q, returned
from harness.testing.dut import MANAGEMENT
from harness.testing.fixtures import FAR_SIDES

STORE = Object("store_hints")

# One type that covers L4, one that does not, as a program may give them.
UDP4 = RssType.L3_IPV4 | RssType.L4 | RssType.L4_UDP
L3_IPV6 = RssType.L3_IPV6


class Hash(NamedTuple):
    hash: int = 0
    l4_hash: int = 0
    sw_hash: int = 0


UNSET = Hash()


def hash_of(record: SkbRecord) -> Hash:
    return Hash(record.hash, record.l4_hash, record.sw_hash)


def by_oracle(frames: Iterable[Frame], rss_key: bytes) -> dict[int, Hash]:
    expected = {}
    for sent in frames:
        reported = rss(sent.data, rss_key)
        expected[sent.id] = Hash(reported.hash, int(reported.covers_l4))
    return expected


def hashes(records: dict[int, SkbRecord]) -> dict[int, Hash]:
    return {number: hash_of(record) for number, record in records.items()}


@EACH_NIC
@EACH_FAR_SIDE
def test_the_nics_hash_arrives(bpf: Bpf, nic: Nic, seed: int, to: To) -> None:
    """Of many flows of each kind in random order, and of packets that have no ports."""
    way = redirect(bpf, nic, "redirect_hash", to, bound=True)
    flows = random_frames(200, seed)
    frames = [*flows, *without_ports(len(flows))]
    records = way.capture(frames)
    assert len(records) == 205
    expected = by_oracle(frames, way.rss_key)
    assert len(set(expected.values())) > 190  # else equal values prove little
    assert hashes(records) == expected
    for sent in frames:
        assert sent.data.startswith(records[sent.id].data)
    no_ports = [records[sent.id] for sent in frames[len(flows) :]]
    assert [record.l4_hash for record in no_ports] == [0] * 5
    assert [record.hash != 0 for record in no_ports] == [True] * 4 + [False]


@SLOW
def test_a_nic_with_rss_that_reports_no_hash_gives_none(bpf: Bpf) -> None:
    """Of the frames that bring the test's own commands."""
    counting = bpf.load("count_answers", device=MANAGEMENT)
    bpf.run([attach(counting.program("pass"), MANAGEMENT)])
    answers = bpf.dump(counting.map("answers"))
    assert {*answers} == {struct.pack("<i", -errno.ENODATA)}


@pytest.mark.unchanged
@FAR_SIDES
def test_nothing_stored_nothing_set(bpf: Bpf, nic: Nic, seed: int, to: To) -> None:
    way = redirect(bpf, nic, "redirect_plain", to)
    records = way.capture(random_frames(64, seed))
    assert len(records) == 64
    assert set(hashes(records).values()) == {UNSET}


@FAR_SIDES
def test_a_hint_does_not_leak_into_the_next_packet(bpf: Bpf, nic: Nic, seed: int, to: To) -> None:
    way = redirect(bpf, nic, "redirect_alternate", to)
    flow = random_flow("ipv4/udp", random.Random(seed))
    expected = {0: Hash(0x5EED0000, 1), 1: UNSET}
    assert hashes(way.capture([build(flow, 0), build(flow, 1)])) == expected

    # More than a ring holds, so that buffers with a hint come round again.
    many = range(2, 302)
    records = way.capture([build(flow, number) for number in many])
    assert len(records) == len(many)
    for number in many:
        wanted = UNSET if number & 1 else Hash(0x5EED0000 | number, 1)
        assert hash_of(records[number]) == wanted, f"frame {number}"


# The hash and type that a program gives, what the kfunc returns, what the skb has.
VALUES: list[tuple[int, int, int, Hash]] = [
    (0x12345678, UDP4, 0, Hash(0x12345678, 1)),
    (0x12345678, L3_IPV6, 0, Hash(0x12345678, 0)),
    (0xFFFFFFFF, RssType.L4, 0, Hash(0xFFFFFFFF, 1)),
    *((0x80000001, kind, 0, Hash(0x80000001, int(kind >= RssType.L4))) for kind in RssType),
    (0x12345678, RssType.NONE, 0, Hash(0x12345678, 0)),
    (0, UDP4, 0, Hash(0, 1)),
    (0x12345678, 0x1FF, 0, Hash(0x12345678, 1)),
    (0x12345678, 1 << 9, -errno.EINVAL, UNSET),
    (0x12345678, UDP4 | 1 << 31, -errno.EINVAL, UNSET),
    (0x12345678, 0xFFFFFFFF, -errno.EINVAL, UNSET),
]


@FAR_SIDES
def test_a_programs_own_values(bpf: Bpf, nic: Nic, seed: int, to: To) -> None:
    hints = {at: Hints(hash=(value, kind)) for at, (value, kind, _, _) in enumerate(VALUES)}
    way = redirect(bpf, nic, STORE.name, to, lines=give(STORE, hints))
    records = way.capture(random_frames(len(VALUES), seed))
    assert len(records) == len(VALUES)
    answers = returned(bpf.dump(STORE.map("returned")))
    for number, (value, kind, status, expected) in enumerate(VALUES):
        given = f"hash {value:#x}, type {kind:#x}"
        assert answers[number].hash == status, given
        assert hash_of(records[number]) == expected, given


@pytest.mark.parametrize("program", ["grow_head", "grow_meta"])
def test_a_program_cannot_reach_what_it_stored(bpf: Bpf, nic: Nic, seed: int, program: str) -> None:
    way = redirect(bpf, nic, "store_then_grow", To.VETH, program=program)
    frames = random_frames(8, seed)
    records = way.capture(frames)
    assert len(records) == 8
    expected = Seen(0x5EED5EED, 1, (ETH_P_8021Q, 0x5EED), 0x5EED_5EED_5EED_5EED)
    assert {seen(record) for record in records.values()} == {expected}
    for sent in frames:
        assert sent.data.startswith(records[sent.id].data)
    if program == "grow_meta":
        assert all(record.meta_len > 0 for record in records.values())


@pytest.mark.parametrize("hook", ["tc", pytest.param("action", marks=SLOW)])
def test_the_setter_is_refused_outside_xdp(bpf: Bpf, hook: str) -> None:
    with pytest.raises(BpfError, match="bpf_xdp_store_rx_hash is not allowed"):
        bpf.load(f"store_in_{hook}")
