# SPDX-License-Identifier: GPL-2.0-only
"""Hints on the ways that a redirected frame can go: clones, CPUs, namespaces, back again."""

import pytest

from harness.api import (
    SLOW,
    Bpf,
    Giving,
    Nic,
    Object,
    Outgoing,
    Way,
    attach,
    cpus,
    devmap,
    give,
    lay,
    lay_on_tap,
    observe,
    random_frames,
    seen,
    u32,
    veth,
    within,
)
from harness.datapath.hints import DONE, EACH_SUBSET, UNSET, by_nic, returned
from harness.datapath.links import VETH2_INDEX, VETH_INDEX

STORE = Object("store_hints")
PLAIN = Object("redirect_plain")
PASS = Object("xdp_pass")
IN_TC = Object("tc_redirect")


@pytest.mark.parametrize("name", ["store_hints", pytest.param("store_meta", marks=SLOW)])
def test_each_clone_of_a_broadcast_has_them(bpf: Bpf, nic: Nic, seed: int, name: str) -> None:
    """And the metadata that lie in front of the packet, if there are some."""
    store = Object(name)
    lines = [
        *veth(),
        *veth("w", VETH2_INDEX),
        *devmap(store, VETH_INDEX, VETH2_INDEX),
        *give(store, EACH_SUBSET),
    ]
    way = lay(bpf, nic, store.name, "to_all", lines, observed=["v1", "w1"])
    records = way.capture_copies(random_frames(len(EACH_SUBSET), seed), 2)
    by_device: dict[int, list[int]] = {}
    for record in records:
        by_device.setdefault(record.ifindex, []).append(record.id)
        assert seen(record) == EACH_SUBSET[record.id].over(UNSET), EACH_SUBSET[record.id]
        metadata = (4, 0xDA7A0000 | record.id) if name == "store_meta" else (0, 0)
        assert (record.meta_len, record.meta) == metadata
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


@SLOW
def test_a_cpu_may_have_an_skb_before_the_other_is_done_with_it(
    bpf: Bpf, nic: Nic, seed: int
) -> None:
    slow = Object("slow_producer")
    lines = [*cpus(STORE), *give(STORE, EACH_SUBSET), f"{slow.load()} autoattach"]
    way = lay(bpf, nic, STORE.name, "to_cpu", lines, observed=[nic.device], mode="xdpgeneric")
    frames = random_frames(len(EACH_SUBSET), seed)
    records = way.capture(frames)
    assert len(records) == len(EACH_SUBSET)
    assert bpf.dump(slow.map("held")) == {u32(0): u32(len(frames))}
    for sent in frames:
        assert seen(records[sent.id]) == EACH_SUBSET[sent.id].over(by_nic(sent, way.rss_key))


def only_the_nics_hash_arrives(bpf: Bpf, way: Way, seed: int) -> None:
    """Of frames for which hints were stored."""
    frames = random_frames(len(EACH_SUBSET), seed)
    records = way.capture(frames)
    assert len(records) == len(EACH_SUBSET)
    assert returned(bpf.dump(STORE.map("returned"))) == dict.fromkeys(EACH_SUBSET, DONE)
    for sent in frames:
        assert seen(records[sent.id]) == by_nic(sent, way.rss_key)


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
    assert came == [Outgoing(sent.id, sent.data) for sent in frames]
    assert returned(bpf.dump(STORE.map("returned"))) == dict.fromkeys(EACH_SUBSET, DONE)
