# SPDX-License-Identifier: GPL-2.0-only
"""A second program down the path reads stored hints by its device's getters, and adds to them."""

import errno
import itertools
import struct
from dataclasses import replace
from typing import NamedTuple

import pytest

from harness.api import (
    SLOW,
    Bpf,
    Frame,
    Giving,
    Hints,
    Nic,
    Object,
    RssType,
    Seen,
    To,
    attach,
    build,
    devmap,
    give,
    ip,
    lay,
    lay_on_tap,
    observe,
    random_flows,
    random_frames,
    redirect,
    rss,
    seen,
    veth,
    without_ports,
)
from harness.datapath.bpf import PACKET_SOCKET, XSK
from harness.datapath.hints import (
    ENTRY,
    ETH_P_8021AD,
    ETH_P_8021Q,
    RX_HASH,
    RX_VLAN,
    UNSET,
    by_nic,
)
from harness.datapath.links import VETH2_INDEX
from harness.datapath.packets import KINDS

STORE = Object("store_hints")
IN_TC = Object("tc_redirect")
TAG = 0x6123
BOND = "bond8"

SUBSETS = [
    Hints(*fields)
    for fields in itertools.product(
        (None, (0x12345678, int(RssType.L3_IPV6 | RssType.L4_ICMP)), (0, int(RssType.NONE))),
        (None, (ETH_P_8021AD, 0xF001), (ETH_P_8021Q, 0)),
        (None, 0x1234_5678_9ABC_DEF0, 2**63 + 1, 0),
    )
]


class Got(NamedTuple):
    """The twin of struct got in bpf-progs/read_hints.bpf.c."""

    timestamp: int
    hash: int
    hash_type: int
    vlan_proto: int
    vlan_tci: int
    hash_err: int
    vlan_err: int
    timestamp_err: int


def got(dumped: dict[bytes, bytes]) -> dict[int, Got]:
    return {
        int.from_bytes(key, "little"): Got(*struct.unpack("<QIIHHiii", value))
        for key, value in dumped.items()
    }


def frames_for(hints: dict[int, Hints], seed: int) -> list[Frame]:
    flows = random_flows(len(hints), seed, KINDS)
    return [build(flow, number) for number, flow in zip(hints, flows, strict=True)]


def answers(given: Hints) -> Got:
    """What the getters of a veth must say of a frame that has these hints."""
    value, kind = given.hash or (0, 0)
    protocol, tci = given.vlan or (0, 0)
    return Got(
        given.timestamp or 0,
        value,
        kind,
        protocol,
        tci,
        0 if given.hash is not None else -errno.ENODATA,
        0 if given.vlan is not None else -errno.ENODATA,
        0 if given.timestamp is not None else -errno.ENODATA,
    )


def test_the_getters_of_a_veth_answer_and_the_next_hop_has_them_too(
    bpf: Bpf, nic: Nic, seed: int
) -> None:
    hints = dict(enumerate(SUBSETS))
    reader = Object("read_hints", "v1")
    lines = [
        *veth(napi=False),
        *veth("w", VETH2_INDEX),
        *devmap(STORE),
        *give(STORE, hints),
        reader.load(),
        *devmap(reader, VETH2_INDEX),
        attach(reader.program("to_dev"), "v1"),
    ]
    way = lay(bpf, nic, STORE.name, "to_dev", lines, observed=["w1"])
    records = way.capture(frames_for(hints, seed))
    assert len(records) == len(hints)
    read = got(bpf.dump(reader.map("got")))
    assert read == {number: answers(given) for number, given in hints.items()}
    for number, given in hints.items():
        assert seen(records[number]) == given.over(UNSET), given


@pytest.mark.parametrize("listened", ["", pytest.param("v1", marks=SLOW), "w0"])
def test_hints_that_became_an_skbs_are_read_on_the_next_veth(
    bpf: Bpf, nic: Nic, seed: int, listened: str
) -> None:
    """The skb goes on by TC as it is, for it has headroom enough; it is copied if one listens."""
    given = {
        number: Hints((0xABCD0000 + number, int(RssType.L4)), (ETH_P_8021Q, number), 2**62 + number)
        for number in range(8)
    }
    reader = Object("read_hints", "w1")
    lines = [
        *veth(napi=False),
        "ethtool -K v1 gro on",
        *veth("w", VETH2_INDEX, napi=False),
        *devmap(STORE),
        *give(STORE, given),
        reader.load(),
        attach(reader.program("pass"), "w1"),
        IN_TC.load(),
        *observe(IN_TC.program("to_w0"), "v1"),
        *([f"{PACKET_SOCKET} {listened}"] if listened else []),
    ]
    way = lay(bpf, nic, STORE.name, "to_dev", lines, observed=["w1"])
    records = way.capture(frames_for(given, seed))
    assert len(records) == 8
    read = got(bpf.dump(reader.map("got")))
    assert set(read) == set(given)
    for number, hints in given.items():
        assert read[number].timestamp == hints.timestamp
        assert read[number].timestamp_err == 0
        assert (read[number].vlan_proto, read[number].vlan_tci) == hints.vlan
        assert read[number].hash == 0xABCD0000 + number
        assert seen(records[number]) == hints.over(UNSET)


def test_a_timestamp_of_generic_xdp_is_read_on_a_veth(bpf: Bpf, nic: Nic, seed: int) -> None:
    """Which copies the NIC's skb, for it has too little headroom."""
    given = {number: Hints(timestamp=2**62 + number) for number in range(8)}
    reader = Object("read_hints", "v1")
    lines = [
        *veth(napi=False),
        *give(STORE, given),
        reader.load(),
        attach(reader.program("pass"), "v1"),
        IN_TC.load(),
        *observe(IN_TC.program("to_v0"), nic.device),
    ]
    way = lay(bpf, nic, STORE.name, "pass", lines, observed=["v1"], mode="xdpgeneric")
    records = way.capture(frames_for(given, seed))
    assert len(records) == 8
    read = got(bpf.dump(reader.map("got")))
    for number, hints in given.items():
        assert (read[number].timestamp_err, read[number].timestamp) == (0, hints.timestamp)
        assert records[number].hwtstamp == hints.timestamp


def test_a_senders_pointer_is_no_timestamp_to_a_program(bpf: Bpf, nic: Nic, seed: int) -> None:
    """v1's socket wants to know when it sent, and was told when v0's program runs, on a copy."""
    to_xsk, plain = Object("store_to_xsk"), Object("redirect_plain")
    reader = Object("read_hints", "v0")
    lines = [
        *veth(napi=False),
        *devmap(plain),
        to_xsk.load(),
        f"{XSK} v1 stamped {to_xsk.map('xskmap')}",
        attach(to_xsk.program("to_xsk"), "v1"),
        reader.load(),
        attach(reader.program("pass"), "v0"),
    ]
    way = lay(bpf, nic, plain.name, "to_dev", lines, observed=["v0"])
    records = way.capture(random_frames(4, seed))
    read = got(bpf.dump(reader.map("got")))
    assert {(each.timestamp_err, each.timestamp) for each in read.values()} == {(0, 0)}
    assert {record.hwtstamp for record in records.values()} == {0}
    assert len(read) == len(records) == 4


@pytest.mark.parametrize("origin", ["frame", "skb"])
def test_the_getters_of_a_veth_say_what_the_skb_will_have(
    bpf: Bpf, nic: Nic, seed: int, origin: str
) -> None:
    """What the program stored itself comes before what the packet brought, however it came."""
    brought = Hints((1, int(RssType.L4)), (ETH_P_8021Q, 0x1111), 2**62)
    first = dict.fromkeys(range(len(SUBSETS)), brought)
    second = dict(enumerate(SUBSETS))
    last = "v1" if origin == "frame" else "w1"
    reader = Object("store_then_read", last)
    lines = [
        *veth(napi=False),
        *devmap(STORE),
        *give(STORE, first),
        "ethtool -K v1 gro on",
        *veth("w", VETH2_INDEX, napi=False),
        reader.load(),
        *give(reader, second, ENTRY),
        attach(reader.program("pass"), last),
    ]
    if origin == "skb":
        lines += [IN_TC.load(), *observe(IN_TC.program("to_w0"), "v1")]
    way = lay(bpf, nic, STORE.name, "to_dev", lines, observed=[last])
    records = way.capture(frames_for(second, seed))
    assert len(records) == len(second)
    read = got(bpf.dump(reader.map("got")))
    for number, given in second.items():
        has = Hints(
            given.hash or brought.hash,
            given.vlan or brought.vlan,
            brought.timestamp if given.timestamp is None else given.timestamp,
        )
        assert read[number] == answers(has), given
        assert seen(records[number]) == has.over(UNSET), given


def test_a_second_hop_overrides_what_the_skb_has_of_the_first(
    bpf: Bpf, nic: Nic, seed: int
) -> None:
    """The first hop is a redirect, whose skb then goes to a veth with a program as it is."""
    everything = Hints((1, int(RssType.L4)), (ETH_P_8021Q, 0x1111), 2**62)
    first = dict.fromkeys(range(len(SUBSETS)), everything)
    second = dict(enumerate(SUBSETS))
    lines = [
        *veth(napi=False),
        "ethtool -K v1 gro on",
        *veth("w", VETH2_INDEX, napi=False),
        *devmap(STORE),
        *give(STORE, first),
        *give(STORE, second, ENTRY),
        attach(STORE.program("pass_later"), "w1"),
        IN_TC.load(),
        *observe(IN_TC.program("to_w0"), "v1"),
    ]
    way = lay(bpf, nic, STORE.name, "to_dev", lines, observed=["w1"])
    records = way.capture(frames_for(second, seed))
    assert len(records) == len(second)
    for number, given in second.items():
        assert seen(records[number]) == given.over(everything.over(UNSET)), given


def present(given: Hints) -> Hints:
    """Without a hash of no type and a timestamp of 0, which are none to bpf_xdp_store_rx_all()."""
    return replace(
        given,
        hash=given.hash if given.hash and given.hash[1] else None,
        timestamp=given.timestamp or None,
    )


def stored(dumped: dict[bytes, bytes]) -> dict[int, int]:
    return {
        int.from_bytes(key, "little"): struct.unpack("<i", value)[0]
        for key, value in dumped.items()
    }


def test_store_all_on_the_nic_stores_the_hash(bpf: Bpf, nic: Nic, seed: int) -> None:
    """With its type, which a veth tells and an skb does not."""
    everything, reader = Object("store_all", nic.device), Object("read_hints", "v1")
    lines = [
        *veth(napi=False),
        *devmap(everything),
        reader.load(),
        attach(reader.program("pass"), "v1"),
    ]
    way = lay(bpf, nic, everything.name, "to_dev", lines, observed=["v1"], bound=True)
    frames = [*random_frames(16, seed), *without_ports(16)]
    records = way.capture(frames)
    assert len(records) == len(frames)
    answered = stored(bpf.dump(everything.map("returned")))
    read = got(bpf.dump(reader.map("got")))
    for sent in frames:
        reported = rss(sent.data, way.rss_key)
        given = present(Hints((reported.hash, int(reported.type))))
        assert answered[sent.id] == given.fields
        assert read[sent.id] == answers(given), sent.id
        assert seen(records[sent.id]) == by_nic(sent, way.rss_key)


def test_store_all_leaves_alone_what_the_nic_does_not_give(bpf: Bpf, nic: Nic, seed: int) -> None:
    hints = dict(enumerate(SUBSETS))
    store = Object("store_then_all", nic.device)
    lines = [*veth(), *devmap(store), *give(store, hints)]
    way = lay(bpf, nic, store.name, "to_dev", lines, observed=["v1"], bound=True)
    frames = frames_for(hints, seed)
    records = way.capture(frames)
    assert len(records) == len(hints)
    assert stored(bpf.dump(store.map("all_returned"))) == dict.fromkeys(hints, RX_HASH)
    for sent in frames:
        reported = rss(sent.data, way.rss_key)
        expected = (
            hints[sent.id].over(UNSET)._replace(hash=reported.hash, l4_hash=int(reported.covers_l4))
        )
        assert seen(records[sent.id]) == expected, hints[sent.id]


def test_with_receive_hashing_off_the_nic_gives_no_hash(bpf: Bpf, nic: Nic, seed: int) -> None:
    way = redirect(bpf, nic, "store_all", To.VETH, bound=True)
    bpf.run([f"ethtool -K {nic.device} rxhash off"])
    frames = random_frames(8, seed)
    records = way.capture(frames)
    assert len(records) == 8
    assert stored(bpf.dump(way.program.map("returned"))) == dict.fromkeys(range(8), 0)
    assert {seen(record) for record in records.values()} == {UNSET}


def test_store_all_on_a_veth_stores_what_came_with_the_frame(bpf: Bpf, nic: Nic, seed: int) -> None:
    hints = dict(enumerate(SUBSETS))
    everything = Object("store_all", "v1")
    lines = [
        *veth(napi=False),
        *devmap(STORE),
        *give(STORE, hints),
        everything.load(),
        attach(everything.program("pass"), "v1"),
    ]
    way = lay(bpf, nic, STORE.name, "to_dev", lines, observed=["v1"])
    records = way.capture(frames_for(hints, seed))
    assert len(records) == len(hints)
    assert stored(bpf.dump(everything.map("returned"))) == {
        number: present(given).fields for number, given in hints.items()
    }
    for number, given in hints.items():
        assert seen(records[number]) == given.over(UNSET), given


def test_store_all_on_a_veth_stores_what_the_skb_has(bpf: Bpf, nic: Nic, seed: int) -> None:
    everything = Object("store_all", "v1")
    lines = [
        *veth(napi=False),
        *veth("w", VETH2_INDEX),
        everything.load(),
        *devmap(everything, VETH2_INDEX),
        attach(everything.program("to_dev"), "v1"),
        IN_TC.load(),
        *observe(IN_TC.program("to_v0"), nic.device),
    ]
    way = lay(bpf, nic, "xdp_pass", "", lines, observed=["w1"])
    tagged = {number: number % 2 == 1 for number in range(8)}
    frames = [
        build(flow, number, vlan=TAG if tagged[number] else None)
        for number, flow in enumerate(random_flows(8, seed, KINDS))
    ]
    records = way.capture(frames)
    assert len(records) == 8
    fields = stored(bpf.dump(everything.map("returned")))
    for sent in frames:
        # A veth's getter has a type for an L4 hash alone.
        reported = rss(sent.data, way.rss_key)
        hashed = reported.covers_l4
        assert fields[sent.id] == RX_HASH * hashed | RX_VLAN * tagged[sent.id]
        vlan = (ETH_P_8021Q, TAG) if tagged[sent.id] else None
        assert seen(records[sent.id]) == Seen(reported.hash * hashed, int(hashed), vlan)


def test_under_a_bond_store_all_asks_the_port_and_the_getters_the_bond(
    bpf: Bpf, nic: Nic, seed: int
) -> None:
    everything, reader = Object("store_all", BOND), Object("read_hints", BOND)
    lines = [
        *veth(),
        *ip(
            f"link add {BOND} type bond mode active-backup",
            f"link set dev {nic.device} down",
            f"link set dev {nic.device} master {BOND}",
            f"link set dev {BOND} up",
        ),
        everything.load(),
        *devmap(everything),
        reader.load(),
        *devmap(reader),
        attach(everything.program("to_dev"), BOND),
    ]
    way = lay(bpf, nic, "xdp_pass", "", lines, observed=["v1"])
    frames = random_frames(16, seed)
    records = way.capture(frames)
    assert len(records) == len(frames)
    assert stored(bpf.dump(everything.map("returned"))) == dict.fromkeys(range(16), RX_HASH)
    for sent in frames:
        assert seen(records[sent.id]) == by_nic(sent, way.rss_key)

    bpf.run([f"ip link set dev {BOND} xdpdrv off", attach(reader.program("to_dev"), BOND)])
    records = way.capture(frames)
    assert len(records) == len(frames)
    read = got(bpf.dump(reader.map("got")))
    assert {each.hash_err for each in read.values()} == {-errno.EOPNOTSUPP}
    assert {seen(record) for record in records.values()} == {UNSET}


@SLOW
def test_store_all_on_a_device_without_getters_stores_nothing(bpf: Bpf, seed: int) -> None:
    way = lay_on_tap(bpf, Giving.WRITE, "store_all", "pass", bound=True)
    frames = random_frames(4, seed)
    records = way.capture(frames)
    assert len(records) == 4
    assert stored(bpf.dump(way.program.map("returned"))) == dict.fromkeys(range(4), 0)
    assert {seen(record) for record in records.values()} == {UNSET}
