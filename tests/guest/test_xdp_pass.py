# SPDX-License-Identifier: GPL-2.0-only
"""XDP_PASS: stored hints override what the driver or the skb had, the others stay as they were."""

import enum
import itertools

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
    Way,
    attach,
    build,
    cpus,
    devmap,
    give,
    lay,
    lay_on_tap,
    observe,
    random_flows,
    random_frames,
    rss,
    seen,
    veth,
)
from harness.datapath.hints import DONE, ETH_P_8021AD, ETH_P_8021Q, UNSET, returned
from harness.datapath.packets import KINDS

STORE = Object("store_hints")
IN_TC = Object("tc_redirect")
INBAND_TCI = 0x6123


class Passing(enum.Enum):
    """Where the program that stores runs, and passes."""

    NIC = "on virtio_net"
    GENERIC = "on virtio_net, in generic mode"
    FRAMES = "on a veth that is redirected to"
    SKBS = "on a veth whose peer is sent skbs"
    GENERIC_CPU = "in generic mode, and over a cpumap"


def _on_paths(*quick: Passing) -> pytest.MarkDecorator:
    """On each path, by eth1, and by eth2 on that which its driver has to do with."""
    by_eth1 = [
        pytest.param(path, "eth1", id=path.name.lower(), marks=() if path in quick else SLOW)
        for path in Passing
    ]
    by_eth2 = pytest.param(Passing.NIC, "eth2", id="nic-small", marks=SLOW)
    return pytest.mark.parametrize(("path", "nic"), [*by_eth1, by_eth2], indirect=["nic"])


# For each frame, so that each subset comes with and without a tag in the packet.
SUBSETS = [
    Hints(*fields)
    for fields in itertools.product(
        (None, (0x12345678, int(RssType.L4_TCP)), (0, int(RssType.L3_IPV4))),
        (None, (ETH_P_8021AD, 0xF001)),
        (None, 0x1234_5678_9ABC_DEF0),
    )
] * 2


def way_of(path: Passing, bpf: Bpf, nic: Nic, hints: dict[int, Hints]) -> Way:
    given = give(STORE, hints)
    storing = [STORE.load(), attach(STORE.program("pass"), "v1"), *given]
    match path:
        case Passing.NIC:
            return lay(bpf, nic, STORE.name, "pass", given, observed=[nic.device])
        case Passing.GENERIC:
            return lay(
                bpf, nic, STORE.name, "pass", given, observed=[nic.device], mode="xdpgeneric"
            )
        case Passing.GENERIC_CPU:
            lines = [*given, *cpus(STORE)]
            return lay(
                bpf, nic, STORE.name, "to_cpu", lines, observed=[nic.device], mode="xdpgeneric"
            )
        case Passing.FRAMES:
            plain = Object("redirect_plain")
            lines = [*veth(napi=False), *devmap(plain), *storing]
            return lay(bpf, nic, plain.name, "to_dev", lines, observed=["v1"])
        case Passing.SKBS:
            sending = [IN_TC.load(), *observe(IN_TC.program("to_v0"), nic.device)]
            lines = [*veth(napi=False), *storing, *sending]
            return lay(bpf, nic, "xdp_pass", "", lines, observed=["v1"])


def unstored(path: Passing, frame: Frame, rss_key: bytes, tagged: bool) -> Seen:
    """What the skb must show if nothing is stored: what the NIC says, and the packet's own tag.

    An skb that virtio_net builds from what an XDP program passed has no hash.
    """
    before = UNSET
    if path not in (Passing.NIC, Passing.FRAMES):
        reported = rss(frame.data, rss_key)
        before = before._replace(hash=reported.hash, l4_hash=int(reported.covers_l4))
    return before._replace(vlan=(ETH_P_8021Q, INBAND_TCI)) if tagged else before


def check(path: Passing, bpf: Bpf, nic: Nic, hints: dict[int, Hints], seed: int) -> None:
    """Send as many frames, the second half of them tagged, and look at their skbs."""
    way = way_of(path, bpf, nic, hints)
    tagged = {number: number >= len(hints) // 2 for number in hints}
    frames = [
        build(flow, number, vlan=INBAND_TCI if tagged[number] else None)
        for number, flow in enumerate(random_flows(len(hints), seed, KINDS))
    ]
    records = way.capture(frames)
    assert len(records) == len(hints)
    answers = returned(bpf.dump(STORE.map("returned")))
    assert answers == dict.fromkeys(hints, DONE)
    for number, given in hints.items():
        before = unstored(path, frames[number], way.rss_key, tagged[number])
        assert seen(records[number]) == given.over(before), f"{number}: {given} over {before}"


@_on_paths(*Passing)
def test_each_subset(bpf: Bpf, nic: Nic, path: Passing, seed: int) -> None:
    check(path, bpf, nic, dict(enumerate(SUBSETS)), seed)


@pytest.mark.unchanged
@_on_paths(Passing.NIC)
def test_nothing_stored_nothing_changed(bpf: Bpf, nic: Nic, path: Passing, seed: int) -> None:
    check(path, bpf, nic, dict.fromkeys(range(8), Hints()), seed)


@SLOW
def test_a_stored_hash_is_none_of_the_kernels_own(bpf: Bpf, nic: Nic, seed: int) -> None:
    """In place of one that is: of an skb on its way into a veth."""
    hints = {1: Hints((1, int(RssType.L4))), 2: Hints((2, int(RssType.L3_IPV4)))}
    lines = [
        *veth(napi=False),
        STORE.load(),
        attach(STORE.program("pass"), "v1"),
        *give(STORE, hints),
        IN_TC.load(),
        *observe(IN_TC.program("to_v0_hashed"), nic.device),
    ]
    way = lay(bpf, nic, "xdp_pass", "", lines, observed=["v1"])
    frames = random_frames(3, seed)
    records = way.capture(frames)
    seen = [(records[at].hash, records[at].l4_hash, records[at].sw_hash) for at in range(3)]
    assert seen == [(0x50F7, 1, 1), (1, 1, 0), (2, 0, 0)]


@pytest.mark.parametrize(
    ("giving", "count"),
    [
        pytest.param(Giving.WRITE, 12, id="write", marks=SLOW),
        pytest.param(Giving.WRITE_NOWAIT, 12, id="nowait", marks=SLOW),
        pytest.param(Giving.VHOST, 96, id="vhost"),
        pytest.param(Giving.VHOST_GSO, 96, id="gso", marks=SLOW),
    ],
)
def test_on_a_tap(bpf: Bpf, seed: int, giving: Giving, count: int) -> None:
    """A process writes frames to the device, or gives more than a batch of them to vhost_net."""
    hints = dict(zip(range(count), itertools.cycle(SUBSETS), strict=False))
    way = lay_on_tap(bpf, giving, STORE.name, "pass", give(STORE, hints))
    kinds = KINDS[:1] if giving is Giving.VHOST_GSO else KINDS
    records = way.capture(random_frames(len(hints), seed, kinds))
    assert len(records) == len(hints)
    assert returned(bpf.dump(STORE.map("returned"))) == dict.fromkeys(hints, DONE)
    for number, given in hints.items():
        assert seen(records[number]) == given.over(UNSET), given
