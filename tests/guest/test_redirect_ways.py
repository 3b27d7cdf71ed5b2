# SPDX-License-Identifier: GPL-2.0-only
"""Hints on the ways that a redirected frame can go: clones, map entries' programs, namespaces."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import pytest

from harness.bpf import Bpf, Object, attach, entry, observe
from harness.devices import Giving, Nic
from harness.fixtures import SLOW
from harness.hints import (
    DONE,
    EACH_SUBSET,
    ENTRY,
    ETH_P_8021AD,
    ETH_P_8021Q,
    UNSET,
    Hints,
    by_nic,
    give,
    returned,
    seen,
)
from harness.oracle import RssType
from harness.packets import SOURCE_PREFIX, Frame, random_frames
from harness.topology import (
    CPUMAP_QUEUE,
    VETH2_INDEX,
    VETH_INDEX,
    Way,
    devmap,
    lay,
    lay_on_tap,
    veth,
    within,
)

STORE = Object("store_hints")
PLAIN = Object("redirect_plain")
PASS = Object("xdp_pass")
IN_TC = Object("tc_redirect")


def test_each_clone_of_a_broadcast_has_them(bpf: Bpf, nic: Nic, seed: int) -> None:
    lines = [
        *veth(),
        *veth("w", VETH2_INDEX),
        *devmap(STORE, VETH_INDEX, VETH2_INDEX),
        *give(STORE, EACH_SUBSET),
    ]
    way = lay(bpf, nic, STORE.name, "to_all", lines, observed=["v1", "w1"])
    records = way.capture_copies(random_frames(len(EACH_SUBSET), seed), 2)
    by_device: dict[int, list[int]] = {}
    for record in records:
        by_device.setdefault(record.ifindex, []).append(record.id)
        assert seen(record) == EACH_SUBSET[record.id].over(UNSET), EACH_SUBSET[record.id]
    assert [sorted(numbers) for numbers in by_device.values()] == [sorted(EACH_SUBSET)] * 2


@SLOW
def test_a_redirect_without_a_map(bpf: Bpf, nic: Nic, seed: int) -> None:
    lines = [*veth(), *give(STORE, EACH_SUBSET)]
    way = lay(bpf, nic, STORE.name, "to_ifindex", lines, observed=["v1"])
    records = way.capture(random_frames(len(EACH_SUBSET), seed))
    assert len(records) == len(EACH_SUBSET)
    for number, given in EACH_SUBSET.items():
        assert seen(records[number]) == given.over(UNSET), given


@SLOW
@pytest.mark.parametrize("giving", [Giving.WRITE_NOWAIT, Giving.VHOST], ids=["nowait", "vhost"])
def test_from_a_tap(bpf: Bpf, seed: int, giving: Giving) -> None:
    """Whose packets can have no metadata."""
    lines = [*give(STORE, EACH_SUBSET), *veth(), *devmap(STORE)]
    way = lay_on_tap(bpf, giving, STORE.name, "to_dev", lines, observed="v1")
    records = way.capture(random_frames(len(EACH_SUBSET), seed))
    assert len(records) == len(EACH_SUBSET)
    for number, given in EACH_SUBSET.items():
        assert seen(records[number]) == given.over(UNSET), given


ENTRIES = {
    0: Hints((1, int(RssType.L4))),
    1: Hints(None, (ETH_P_8021Q, 1)),
    2: Hints(timestamp=1),
    3: Hints((3, 0), (ETH_P_8021Q, 3), 3),
    7: Hints((7, 0), (ETH_P_8021Q, 7), 7),
}


class Map(enum.Enum):
    """Whose entry runs a program."""

    DEVMAP = "a devmap's"
    CPUMAP = "a cpumap's, on frames"
    GENERIC_CPUMAP = "a cpumap's, on skbs of generic XDP"


def through(kind: Map, bpf: Bpf, nic: Nic, program: str, lines: Sequence[str]) -> Way:
    """A way through a map; program: on its entries, with {} for devmap or cpumap."""
    if kind is Map.DEVMAP:
        runs = STORE.program(program.format("devmap"))
        there = [*veth(), entry(STORE.map("devmap"), 0, VETH_INDEX, runs)]
    else:
        runs = STORE.program(program.format("cpumap"))
        there = [entry(STORE.map("cpumap"), cpu, CPUMAP_QUEUE, runs) for cpu in (0, 1)]
    return lay(
        bpf,
        nic,
        STORE.name,
        "to_dev" if kind is Map.DEVMAP else "to_cpu",
        [*there, *lines],
        observed=["v1" if kind is Map.DEVMAP else nic.device],
        mode="xdpgeneric" if kind is Map.GENERIC_CPUMAP else "xdpdrv",
    )


@pytest.mark.parametrize("kind", Map, ids=[kind.name.lower() for kind in Map])
def test_a_maps_program_overwrites(bpf: Bpf, nic: Nic, seed: int, kind: Map) -> None:
    lines = [*give(STORE, EACH_SUBSET), *give(STORE, ENTRIES, ENTRY)]
    way = through(kind, bpf, nic, "on_{}", lines)
    frames = random_frames(len(EACH_SUBSET), seed)
    records = way.capture(frames)
    assert len(records) == len(EACH_SUBSET)
    answers = returned(bpf.dump(STORE.map("returned")))
    assert answers == dict.fromkeys([*EACH_SUBSET, *(number | ENTRY for number in ENTRIES)], DONE)
    for number, first in EACH_SUBSET.items():
        before = UNSET
        if kind is Map.GENERIC_CPUMAP:
            before = by_nic(frames[number], way.rss_key)
        expected = ENTRIES.get(number, Hints()).over(first.over(before))
        assert seen(records[number]) == expected, number


def test_a_cpumaps_program_runs_on_every_skb(bpf: Bpf, nic: Nic, seed: int) -> None:
    """It sends every second skb on to a device, which transmits: there hints are dropped."""
    count = 48
    first = {at: Hints((at, 0), (ETH_P_8021AD, at), at) for at in range(count)}
    second = {at: Hints((0xC0DE0000 + at, int(RssType.L4))) for at in range(count)}
    sending = STORE.program("on_cpumap_to_dev")
    lines = [
        *veth(),
        *devmap(STORE),
        *(entry(STORE.map("cpumap"), cpu, CPUMAP_QUEUE, sending) for cpu in (0, 1)),
        *give(STORE, first),
        *give(STORE, second, ENTRY),
    ]
    way = lay(bpf, nic, STORE.name, "to_cpu", lines, observed=[nic.device, "v1"], mode="xdpgeneric")
    frames = random_frames(count, seed)
    records = way.capture(frames)
    assert len(records) == count
    assert returned(bpf.dump(STORE.map("returned"))).keys() == {
        *first,
        *(at | ENTRY for at in second),
    }
    for sent in frames:
        if sent.id & 1:
            expected = second[sent.id].over(first[sent.id].over(UNSET))
        else:
            expected = by_nic(sent, way.rss_key)
        assert seen(records[sent.id]) == expected, sent.id
    assert len({record.ifindex for record in records.values()}) == 2


@SLOW
@pytest.mark.parametrize("kind", Map, ids=[kind.name.lower() for kind in Map])
def test_a_maps_program_adds_metadata(bpf: Bpf, nic: Nic, seed: int, kind: Map) -> None:
    lines = [*give(STORE, EACH_SUBSET), *give(STORE, ENTRIES, ENTRY)]
    way = through(kind, bpf, nic, "on_{}_with_meta", lines)
    frames = random_frames(len(EACH_SUBSET), seed)
    records = way.capture(frames)
    assert len(records) == len(EACH_SUBSET)
    for sent in frames:
        before = by_nic(sent, way.rss_key) if kind is Map.GENERIC_CPUMAP else UNSET
        expected = ENTRIES.get(sent.id, Hints()).over(EACH_SUBSET[sent.id].over(before))
        assert seen(records[sent.id]) == expected, sent.id
        assert (records[sent.id].meta_len, records[sent.id].meta) == (4, sent.id)


@pytest.mark.parametrize(
    "mode", [pytest.param("xdpdrv", marks=SLOW, id="frames"), pytest.param("xdpgeneric", id="skbs")]
)
def test_from_one_cpu_to_the_other_and_back(bpf: Bpf, nic: Nic, seed: int, mode: str) -> None:
    first = {at: Hints(None, (ETH_P_8021AD, at), at + 1) for at in range(16)}
    second = {at: Hints((0xC0DE0000 + at, 0), timestamp=2**60 + at) for at in range(16)}
    sending = STORE.program("on_cpumap_to_cpu")
    lines = [
        *(entry(STORE.map("cpumap"), cpu, CPUMAP_QUEUE, sending) for cpu in (0, 1)),
        *give(STORE, first),
        *give(STORE, second, ENTRY),
    ]
    way = lay(bpf, nic, STORE.name, "to_cpu", lines, observed=[nic.device], mode=mode)
    records = way.capture(random_frames(len(first), seed))
    assert len(records) == len(first)
    for at, given in second.items():
        assert seen(records[at]) == given.over(first[at].over(UNSET)), at


@dataclass(frozen=True)
class Noisy(Nic):
    """A NIC that also gets a frame which is not the lab's in front of each of ours."""

    def send(self, frames: Sequence[Frame]) -> None:
        others = [Frame(sent.id, sent.data.replace(SOURCE_PREFIX, bytes(4), 1)) for sent in frames]
        super().send([sent for pair in zip(others, frames, strict=True) for sent in pair])


def test_what_a_cpumaps_program_drops_is_all_that_it_drops(bpf: Bpf, nic: Nic, seed: int) -> None:
    """And it runs on what came in the same batch behind that."""
    given = {at: Hints((at, 0), (ETH_P_8021AD, at), at) for at in range(48)}
    dropping = STORE.program("on_cpumap_or_drop")
    lines = [
        *(entry(STORE.map("cpumap"), cpu, CPUMAP_QUEUE, dropping) for cpu in (0, 1)),
        *give(STORE, given, ENTRY),
    ]
    observed = [nic.device]
    laid = lay(bpf, nic, STORE.name, "to_cpu", lines, observed=observed, mode="xdpgeneric")
    way = Way(bpf, Noisy(nic.device, nic.packets), laid.program)
    records = way.capture(random_frames(len(given), seed))
    assert len(records) == len(given)
    for number, hints in given.items():
        assert seen(records[number]) == hints.over(UNSET), hints


def only_the_nics_hash_arrives(
    bpf: Bpf, way: Way, seed: int, by_entry: Mapping[int, Hints] = MappingProxyType({})
) -> None:
    """Of frames for which hints were stored, also by a map entry's program."""
    frames = random_frames(len(EACH_SUBSET), seed)
    records = way.capture(frames)
    assert len(records) == len(EACH_SUBSET)
    answers = returned(bpf.dump(STORE.map("returned")))
    assert answers == dict.fromkeys([*EACH_SUBSET, *(number | ENTRY for number in by_entry)], DONE)
    for sent in frames:
        assert seen(records[sent.id]) == by_nic(sent, way.rss_key)


def test_generic_xdp_drops_hints_of_what_a_device_transmits(bpf: Bpf, nic: Nic, seed: int) -> None:
    """By the map's program, too."""
    runs = entry(STORE.map("devmap"), 0, VETH_INDEX, STORE.program("on_devmap"))
    lines = [*veth(), runs, *give(STORE, EACH_SUBSET), *give(STORE, ENTRIES, ENTRY)]
    way = lay(bpf, nic, STORE.name, "to_dev", lines, observed=["v1"], mode="xdpgeneric")
    only_the_nics_hash_arrives(bpf, way, seed, ENTRIES)


@SLOW
def test_generic_xdp_drops_hints_of_what_goes_there_without_a_map(
    bpf: Bpf, nic: Nic, seed: int
) -> None:
    lines = [*veth(), *give(STORE, EACH_SUBSET)]
    way = lay(bpf, nic, STORE.name, "to_ifindex", lines, observed=["v1"], mode="xdpgeneric")
    only_the_nics_hash_arrives(bpf, way, seed)


@SLOW
def test_generic_xdp_drops_hints_of_a_broadcast(bpf: Bpf, nic: Nic, seed: int) -> None:
    lines = [
        *veth(),
        *veth("w", VETH2_INDEX),
        *devmap(STORE, VETH_INDEX, VETH2_INDEX),
        *give(STORE, EACH_SUBSET),
    ]
    observed = ["v1", "w1"]
    way = lay(bpf, nic, STORE.name, "to_all", lines, observed=observed, mode="xdpgeneric")
    frames = random_frames(len(EACH_SUBSET), seed)
    records = way.capture_copies(frames, 2)
    assert returned(bpf.dump(STORE.map("returned"))) == dict.fromkeys(EACH_SUBSET, DONE)
    assert len({record.ifindex for record in records}) == 2
    for record in records:
        assert seen(record) == by_nic(frames[record.id], way.rss_key), EACH_SUBSET[record.id]


def test_generic_xdp_drops_hints_of_what_it_sends_back(bpf: Bpf, nic: Nic, seed: int) -> None:
    """By v1 to v0, whose skb is the one that was sent: what it has of a tag would be seen."""
    lines = [
        *veth(napi=False),
        *devmap(PLAIN),
        STORE.load(),
        *give(STORE, EACH_SUBSET),
        attach(STORE.program("tx"), "v1", "xdpgeneric"),
    ]
    way = lay(bpf, nic, PLAIN.name, "to_dev", lines, observed=["v0"], mode="xdpgeneric")
    only_the_nics_hash_arrives(bpf, way, seed)


def test_hints_cross_network_namespaces(bpf: Bpf, nic: Nic, seed: int) -> None:
    """The container's case: the frame's first skb is one of another namespace."""
    lines = [*veth(namespace="far"), *devmap(STORE), *give(STORE, EACH_SUBSET)]
    way = lay(bpf, nic, STORE.name, "to_dev", lines, observed=["v1"], namespace="far")
    records = way.capture(random_frames(len(EACH_SUBSET), seed))
    assert len(records) == len(EACH_SUBSET)
    for number, given in EACH_SUBSET.items():
        assert seen(records[number]) == given.over(UNSET), given


@pytest.mark.parametrize("kind", ["frames", pytest.param("skbs", marks=SLOW)])
def test_xdp_tx_to_a_veth_peer(bpf: Bpf, nic: Nic, seed: int, kind: str) -> None:
    """v1's program sends back to v0, from another namespace; frames too reach v1 as either."""
    inside = within("far")
    lines = [
        *veth(napi=False, namespace="far"),
        STORE.load(),
        *give(STORE, EACH_SUBSET),
        inside + attach(STORE.program("tx"), "v1"),
    ]
    if kind == "frames":
        lines += [*devmap(PLAIN), PASS.load(), attach(PASS.program("xdp_pass"), "v0")]
        way = lay(bpf, nic, PLAIN.name, "to_dev", lines, observed=["v0"])
    else:
        lines += [
            attach(PASS.program("xdp_pass"), "v0"),
            IN_TC.load(),
            *observe(IN_TC.program("to_v0"), nic.device),
        ]
        way = lay(bpf, nic, PASS.name, "xdp_pass", lines, observed=["v0"])
    records = way.capture(random_frames(len(EACH_SUBSET), seed))
    assert len(records) == len(EACH_SUBSET)
    for number, given in EACH_SUBSET.items():
        assert seen(records[number]) == given.over(UNSET), given


def test_nothing_of_them_goes_on_the_wire(bpf: Bpf, nic: Nic, seed: int) -> None:
    lay(bpf, nic, STORE.name, "tx", give(STORE, EACH_SUBSET), observed=[])
    frames = random_frames(len(EACH_SUBSET), seed)
    nic.send(frames)
    came = nic.receive(len(frames))
    assert came == {sent.id: (sent.data, None) for sent in frames}
    assert returned(bpf.dump(STORE.map("returned"))) == dict.fromkeys(EACH_SUBSET, DONE)
