# SPDX-License-Identifier: GPL-2.0-only
"""Hints and the programs that a devmap's or cpumap's entry runs."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from harness.api import (
    SLOW,
    Bpf,
    Frame,
    Hints,
    Nic,
    Object,
    RssType,
    Way,
    cpus,
    devmap,
    entry,
    give,
    lay,
    random_frames,
    seen,
    veth,
)
from harness.datapath.hints import (
    DONE,
    EACH_SUBSET,
    ENTRY,
    ETH_P_8021AD,
    ETH_P_8021Q,
    UNSET,
    by_nic,
    returned,
)
from harness.datapath.links import VETH_INDEX
from harness.datapath.packets import SOURCE_PREFIX

STORE = Object("store_hints")
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
        there = cpus(STORE, runs)
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
        *cpus(STORE, sending),
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
        *cpus(STORE, sending),
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
        *cpus(STORE, dropping),
        *give(STORE, given, ENTRY),
    ]
    observed = [nic.device]
    laid = lay(bpf, nic, STORE.name, "to_cpu", lines, observed=observed, mode="xdpgeneric")
    way = Way(bpf, Noisy(nic.device, nic.packets), laid.program)
    records = way.capture(random_frames(len(given), seed))
    assert len(records) == len(given)
    for number, hints in given.items():
        assert seen(records[number]) == hints.over(UNSET), hints


def test_generic_xdp_drops_hints_of_what_a_device_transmits(bpf: Bpf, nic: Nic, seed: int) -> None:
    runs = entry(STORE.map("devmap"), 0, VETH_INDEX, STORE.program("on_devmap"))
    lines = [*veth(), runs, *give(STORE, EACH_SUBSET), *give(STORE, ENTRIES, ENTRY)]
    way = lay(bpf, nic, STORE.name, "to_dev", lines, observed=["v1"], mode="xdpgeneric")
    frames = random_frames(len(EACH_SUBSET), seed)
    records = way.capture(frames)
    assert len(records) == len(EACH_SUBSET)
    answers = returned(bpf.dump(STORE.map("returned")))
    assert answers == dict.fromkeys([*EACH_SUBSET, *(number | ENTRY for number in ENTRIES)], DONE)
    for sent in frames:
        assert seen(records[sent.id]) == by_nic(sent, way.rss_key)
