# SPDX-License-Identifier: GPL-2.0-only
"""What GRO merges, and what the merged skb has: hints, and keys of each policy."""

import struct
from collections.abc import Sequence

import pytest

from harness.api import (
    SLOW,
    Bpf,
    Call,
    Carrier,
    Hints,
    Nic,
    RssType,
    attach,
    flow_through,
    set_,
    setters,
)
from harness.datapath.flow import CUT_END, END, flow_of_one_packet
from harness.datapath.hints import ETH_P_8021Q
from harness.datapath.kv_names import CREATE, GRO_FIRST, GRO_LAST, Request, call, names
from harness.datapath.kv_script import HW_HASH, HW_TIMESTAMP, HW_VLAN
from harness.datapath.links import PASSING

COUNT = 8
TCP = RssType.L4 | RssType.L4_TCP
ALL = tuple(range(COUNT))
APART = [(number,) for number in ALL]


def own(number: int) -> bytes:
    """A value that only this packet has."""
    return struct.pack("<Q", 0x0123456789ABCD00 | number)


def hint(key: int, number: int) -> list[Call]:
    """The call that stores a hint that only this packet has."""
    match key:
        case 64:
            return setters(Hints(hash=(0xABCD0000 | number, TCP)))
        case 65:
            return setters(Hints(vlan=(ETH_P_8021Q, 0x100 + number)))
        case _:
            return setters(Hints(timestamp=1_000_000 + number))


def register(bpf: Bpf, *policies: int) -> list[int]:
    """Keys of 8 bytes, one of each policy."""
    requests = [Request(10 + at, 8, CREATE | policy) for at, policy in enumerate(policies)]
    return call(bpf, requests)


def test_nothing_stored_is_merged(bpf: Bpf) -> None:
    (merged,) = flow_through(bpf, {}, COUNT)
    assert merged.packets == ALL
    assert merged.values == {}


def test_the_same_keys_are_merged(bpf: Bpf) -> None:
    same = [set_(3, own(1)), set_(5, own(2))]
    (merged,) = flow_through(bpf, dict.fromkeys(ALL, same), COUNT)
    assert merged.packets == ALL
    assert merged.values == {3: own(1), 5: own(2)}


@pytest.mark.parametrize(
    "registered", [False, pytest.param(True, marks=SLOW)], ids=["no name", "name"]
)
def test_other_values_are_not_merged(bpf: Bpf, registered: bool) -> None:
    with names(bpf):
        (key,) = register(bpf, 0) if registered else [3]
        stored = {number: [set_(key, own(number))] for number in ALL}
        merged = flow_through(bpf, stored, COUNT, keys=[key])
    assert sorted(skb.packets for skb in merged) == APART
    for skb in merged:
        assert skb.values == {key: own(skb.packets[0])}


@pytest.mark.parametrize("which", [3, *(pytest.param(at, marks=SLOW) for at in (0, 7))])
def test_a_key_that_only_one_packet_has(bpf: Bpf, which: int) -> None:
    """It is by itself, and no byte of it, nor of the others, is lost."""
    merged = flow_through(bpf, {which: [set_(3, own(9))]}, COUNT)
    alone = [skb for skb in merged if skb.packets == (which,)]
    assert [skb.values for skb in alone] == [{3: own(9)}]
    assert all(skb.values == {} for skb in merged if which not in skb.packets)


@pytest.mark.parametrize(
    "feature", ["", pytest.param("rx-gro-list on", marks=SLOW)], ids=["frags", "list"]
)
@pytest.mark.parametrize("policy", [GRO_FIRST, GRO_LAST], ids=["first", "last"])
@pytest.mark.parametrize(
    "having",
    [ALL, *(pytest.param(each, marks=SLOW) for each in ((0,), (3,), (7,), (2, 5)))],
    ids=str,
)
def test_a_key_that_is_not_compared(
    bpf: Bpf, having: Sequence[int], policy: int, feature: str
) -> None:
    lines = [f"ethtool -K {END} {feature}"] if feature else []
    with names(bpf):
        key, compared = register(bpf, policy, 0)
        stored = {number: [set_(compared, own(99))] for number in ALL}
        for number in having:
            stored[number] = [set_(key, own(number)), *stored[number]]
        (merged,) = flow_through(bpf, stored, COUNT, keys=[key, compared], lines=lines)
    assert merged.packets == ALL
    wanted = {compared: own(99)}
    if policy == GRO_LAST:
        wanted[key] = own(having[-1])
    elif 0 in having:
        wanted[key] = own(0)
    assert merged.values == wanted


@SLOW
def test_each_name_has_its_own_policy(bpf: Bpf) -> None:
    """Also if another one is registered behind it."""
    with names(bpf):
        last, first, last_2, first_2 = keys = register(bpf, *[GRO_LAST, GRO_FIRST] * 2)
        stored = {number: [set_(key, own(number)) for key in keys] for number in ALL}
        (merged,) = flow_through(bpf, stored, COUNT, keys=keys)
        assert merged.values == {last: own(7), first: own(0), last_2: own(7), first_2: own(0)}


@SLOW
@pytest.mark.parametrize("gone", [(12, 13), (10, 11)], ids=["last ones", "first ones"])
def test_a_policy_stays_when_another_ends(bpf: Bpf, gone: Sequence[int]) -> None:
    with names(bpf):
        keys = register(bpf, *[GRO_LAST, GRO_FIRST] * 2)
        assert call(bpf, [Request(number) for number in gone]) == [0, 0]
        last, first = keys[:2] if gone == (12, 13) else keys[2:]
        stored = {number: [set_(key, own(number)) for key in (last, first)] for number in ALL}
        (merged,) = flow_through(bpf, stored, COUNT, keys=keys)
    assert merged.values == {last: own(7), first: own(0)}


@SLOW
def test_more_packets_than_an_skb_has_fragments(bpf: Bpf) -> None:
    """The others are merged as a list: their last values are taken over as well."""
    count = 19
    with names(bpf):
        (key,) = register(bpf, GRO_LAST)
        stored = {number: [set_(key, own(number))] for number in range(count)}
        (merged,) = flow_through(bpf, stored, count, keys=[key])
    assert merged.packets == tuple(range(count))
    assert merged.values == {key: own(count - 1)}


@SLOW
@pytest.mark.parametrize("which", [0, 2, 4])
def test_packets_whose_heads_have_headers_only(bpf: Bpf, which: int) -> None:
    """Their bytes are in pages, which are what is merged."""
    count = 48  # more bytes than a page; what is merged of it is limited, to be recorded whole
    lines = [f"ip link set dev {CUT_END} gro_max_size 700"]
    with names(bpf):
        last, first, compared = keys = register(bpf, GRO_LAST, GRO_FIRST, 0)
        stored = {
            number: [set_(compared, own(99)), set_(first, own(number))]
            + ([set_(last, own(number))] if number % 5 == which else [])
            for number in range(count)
        }
        merged = flow_of_one_packet(bpf, stored, count, keys=keys, lines=lines)
    assert len(merged) < count / 4
    for skb in merged:
        wanted = {compared: own(99), first: own(skb.packets[0])}
        having = [number for number in skb.packets if number % 5 == which]
        if having:
            wanted[last] = own(having[-1])
        assert skb.values == wanted


@SLOW
@pytest.mark.parametrize("policy", [GRO_FIRST, GRO_LAST], ids=["first", "last"])
def test_a_policy_ends_with_its_name(bpf: Bpf, policy: int) -> None:
    """The same key is compared again."""
    with names(bpf):
        (key,) = register(bpf, policy)
        assert call(bpf, [Request(10)]) == [0]
        stored = {number: [set_(key, own(number))] for number in ALL}
        merged = flow_through(bpf, stored, COUNT, keys=[key])
    assert sorted(skb.packets for skb in merged) == APART


@pytest.mark.parametrize(
    "feature", ["", pytest.param("rx-gro-list on", marks=SLOW)], ids=["frags", "list"]
)
def test_no_room_for_the_last_one(bpf: Bpf, feature: str) -> None:
    """The keys of both are more than a store takes: they are not merged, and nothing is lost."""
    lines = [f"ethtool -K {END} {feature}"] if feature else []
    with names(bpf):
        keys = register(bpf, *[GRO_LAST] * 17)
        full = [set_(key, own(0)) for key in keys[:16]]
        stored = {0: full, 1: [set_(keys[16], own(1))]}
        merged = flow_through(bpf, stored, 2, keys=keys[10:17] + keys[:1], lines=lines)
    assert sorted(skb.packets for skb in merged) == [(0,), (1,)]
    first, second = sorted(merged, key=lambda skb: skb.packets)
    assert second.values == {keys[16]: own(1)}
    assert first.values == dict.fromkeys([*keys[10:16], keys[0]], own(0))


@SLOW
@pytest.mark.parametrize(
    ("key", "merges"), [(HW_HASH, False), (HW_VLAN, False), (HW_TIMESTAMP, True)]
)
def test_hints_of_each_packet(bpf: Bpf, key: int, merges: bool) -> None:
    """Other hashes or tags are other flows; of timestamps the first stays."""
    merged = flow_through(bpf, {number: hint(key, number) for number in ALL}, COUNT)
    assert sorted(skb.packets for skb in merged) == ([ALL] if merges else APART)
    for skb in merged:
        number = skb.packets[0]
        if key == HW_HASH:
            assert skb.hash == 0xABCD0000 | number
        elif key == HW_VLAN:
            assert skb.vlan_tci == 0x100 + number
        else:
            assert skb.hwtstamp == 1_000_000 + number


@SLOW
def test_the_same_hints_are_merged(bpf: Bpf) -> None:
    hints = Hints((0xABCD0005, TCP), (ETH_P_8021Q, 0x105), 1_000_005)
    (merged,) = flow_through(bpf, dict.fromkeys(ALL, setters(hints)), COUNT)
    assert merged.packets == ALL
    assert (merged.hash, merged.vlan_tci, merged.hwtstamp) == (0xABCD0005, 0x105, 1_000_005)


@SLOW
@pytest.mark.parametrize("policy", [GRO_FIRST, GRO_LAST], ids=["first", "last"])
def test_a_limit_of_the_device(bpf: Bpf, policy: int) -> None:
    """A packet that is one too many leaves nothing to those before it."""
    lines = [f"ip link set dev {END} gro_max_size 500"]
    with names(bpf):
        (key,) = register(bpf, policy)
        stored = {number: [set_(key, own(number))] for number in ALL}
        merged = flow_through(bpf, stored, COUNT, keys=[key], lines=lines)
    assert 1 < len(merged) < COUNT
    for skb in merged:
        which = skb.packets[0] if policy == GRO_FIRST else skb.packets[-1]
        assert skb.values == {key: own(which)}


# GRO at v1 is off: what is left is that behind a tunnel.
SECOND_ONE = (
    f"{PASSING.load()}; {attach(PASSING.program('xdp_pass'), END)}; ethtool -K {END} gro off"
)


@SLOW
def test_what_else_tells_packets_apart(bpf: Bpf) -> None:
    """Still does, keys or none: here the key of the tunnel's packets."""
    merged = flow_through(bpf, {}, COUNT, carrier=Carrier.GRE_KEYS, lines=[SECOND_ONE])
    assert sorted(skb.packets for skb in merged) == [(0, 1, 2, 3), (4, 5, 6, 7)]


CARRIERS = [
    pytest.param(Carrier.UDP, "", id="UDP"),
    pytest.param(Carrier.UDP, f"ethtool -K {END} rx-gro-list on", id="UDP, list"),
    pytest.param(Carrier.GRE, "", id="GRE"),
    pytest.param(Carrier.GRE, SECOND_ONE, id="GRE, behind it"),
]


@SLOW
@pytest.mark.parametrize(("carrier", "line"), CARRIERS)
def test_other_flows(bpf: Bpf, carrier: Carrier, line: str) -> None:
    """As TCP's: of a key that is not compared the last value stays, others are not merged."""
    with names(bpf):
        key, compared = register(bpf, GRO_LAST, 0)
        stored = {number: [set_(key, own(number)), set_(compared, own(9))] for number in ALL}
        stored[3] = [set_(key, own(3)), set_(compared, own(8))]
        keys = [key, compared]
        merged = flow_through(bpf, stored, COUNT, carrier=carrier, keys=keys, lines=[line])
    assert {skb.packets: skb.values for skb in merged} == {
        (0, 1, 2): {key: own(2), compared: own(9)},
        (3,): {key: own(3), compared: own(8)},
        (4, 5, 6, 7): {key: own(7), compared: own(9)},
    }


@SLOW
@pytest.mark.parametrize("carrier", [Carrier.TCP, Carrier.UDP], ids=lambda carrier: carrier.name)
def test_it_is_cut_again_for_another_nic(bpf: Bpf, nic: Nic, carrier: Carrier) -> None:
    """The segments are the packets that came, each with the tag that was stored, once."""
    hints = Hints(vlan=(ETH_P_8021Q, 0x105), timestamp=5)
    calls = [*setters(hints), set_(3, own(1))]
    lines = [
        f"ip link set dev {nic.device} up",
        f"ethtool -K {nic.device} tso off tx-udp-segmentation off tx off",
        f"tc filter add dev {END} ingress pref 3 flower"
        f" action mirred egress redirect dev {nic.device}",
    ]
    (merged,) = flow_through(bpf, dict.fromkeys(ALL, calls), COUNT, carrier=carrier, lines=lines)
    assert merged.packets == ALL
    assert merged.vlan_tci == 0x105
    came = nic.receive(COUNT)
    assert [(out.data, out.vlan) for out in came] == [
        (carrier.packet(number).data, (ETH_P_8021Q, 0x105)) for number in ALL
    ]
