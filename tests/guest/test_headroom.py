# SPDX-License-Identifier: GPL-2.0-only
"""How much of the headroom a program can take: the bare kernel's, less what it stored there."""

import enum
import errno
import struct
from typing import NamedTuple

import pytest

from harness.api import (
    SLOW,
    Bpf,
    BpfError,
    Giving,
    Hints,
    Live,
    Nic,
    Object,
    RssType,
    Way,
    attach,
    build,
    cpus,
    devmap,
    entry,
    give,
    lay,
    lay_on_tap,
    observe,
    random_flows,
    random_frames,
    run_once,
    seen,
    u32,
    update,
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
from harness.datapath.packets import KINDS

STORE = Object("use_headroom")
PLAIN = Object("redirect_plain")
STORING = Object("store_hints")
IN_TC = Object("tc_redirect")

FIRST_HINTS = Hints((0x11111111, int(RssType.L4)), (ETH_P_8021Q, 0x1111), 0x1111_1111_1111_1111)
SECOND_HINTS = Hints((0x22222222, 0), (ETH_P_8021AD, 0x2222), 0x2222_2222_2222_2222)
REFUSED = Returned(-errno.ENOSPC, -errno.ENOSPC, -errno.ENOSPC)

# The kernel's struct xdp_frame, and where hints end behind it.
FRAME, HINTS_END = 40, 64
TAKEN_BY_HINTS = HINTS_END - FRAME


class Taken(NamedTuple):
    """The twin of struct taken in bpf-progs/use_headroom.bpf.c: bytes."""

    head: int
    meta: int


class Place(enum.Enum):
    """Where the program runs, and what the bare kernel lets it take for packet and metadata.

    A packet has 256 bytes in front of it (XDP_PACKET_HEADROOM), in virtio_net's mergeable
    buffers the header of 20 with the hash, too, and more in tun (NET_SKB_PAD, and vhost's
    header rounded up to cache lines); struct xdp_frame takes the first 40. A driver may
    have no metadata.
    """

    ETH1 = "on virtio_net, mergeable buffers", Taken(236, 236)
    ETH2 = "on virtio_net, small buffers", Taken(216, 216)
    ETH1_GENERIC = "on eth1, in generic mode", Taken(216, 216)
    ETH2_GENERIC = "on eth2, in generic mode", Taken(236, 236)
    FRAMES = "on a veth that eth1 redirects to", Taken(236, 236)
    SKBS = "on a veth whose peer is sent skbs", Taken(216, 216)
    DEVMAP = "on a devmap's entry", Taken(236, 236)
    CPUMAP = "on a cpumap's entry", Taken(236, 236)
    GENERIC_CPUMAP = "on a cpumap's entry, where it gets skbs", Taken(216, 216)
    LIVE = "on live frames", Taken(216, 216)
    TAP_WRITE = "on a tap, by a write that may wait", Taken(216, 216)
    TAP_NOWAIT = "on a tap, by one that may not", Taken(280, 0)
    TAP_VHOST = "on a tap, by vhost_net", Taken(344, 0)

    @property
    def there(self) -> Taken:
        """How much there is for a program that stores nothing."""
        return self.value[1]

    @property
    def has_skbs(self) -> bool:
        """Whether the program runs on skbs, which the NIC's hash came with."""
        return self in (Place.ETH1_GENERIC, Place.ETH2_GENERIC, Place.SKBS, Place.GENERIC_CPUMAP)


GIVING = {
    Place.TAP_WRITE: Giving.WRITE,
    Place.TAP_NOWAIT: Giving.WRITE_NOWAIT,
    Place.TAP_VHOST: Giving.VHOST,
}


def _marks(place: Place) -> list[pytest.MarkDecorator]:
    # From Linux 7 on tun has room for metadata there.
    of_base = [pytest.mark.base("6.12")] if place in (Place.TAP_NOWAIT, Place.TAP_VHOST) else []
    return of_base if place is Place.ETH1 else [SLOW, *of_base]


EACH_PLACE = pytest.mark.parametrize(
    ("place", "nic"),
    [
        pytest.param(
            place,
            "eth2" if place in (Place.ETH2, Place.ETH2_GENERIC) else "eth1",
            id=place.name.lower(),
            marks=_marks(place),
        )
        for place in Place
    ],
    indirect=["nic"],
)


def lay_at(place: Place, bpf: Bpf, nic: Nic, given: list[str], first: Object = PLAIN) -> Way:
    """A way on which the program that measures runs at that place; first: redirects there."""
    on_v1 = [*veth(napi=False), STORE.load(), *given]
    on_v1.append(attach(STORE.program("measure_and_pass"), "v1"))
    there = [nic.device]
    match place:
        case Place.ETH1 | Place.ETH2:
            return lay(bpf, nic, STORE.name, "measure_and_pass", given, observed=there)
        case Place.ETH1_GENERIC | Place.ETH2_GENERIC:
            mode = "xdpgeneric"
            return lay(bpf, nic, STORE.name, "measure_and_pass", given, observed=there, mode=mode)
        case Place.FRAMES:
            return lay(bpf, nic, first.name, "to_dev", [*on_v1, *devmap(first)], observed=["v1"])
        case Place.SKBS:
            sending = [IN_TC.load(), *observe(IN_TC.program("to_v0"), nic.device)]
            return lay(bpf, nic, "xdp_pass", "", [*on_v1, *sending], observed=["v1"])
        case Place.DEVMAP:
            runs = entry(first.map("devmap"), 0, VETH_INDEX, STORE.program("measure_on_devmap"))
            lines = [*veth(), STORE.load(), *given, runs]
            return lay(bpf, nic, first.name, "to_dev", lines, observed=["v1"])
        case Place.CPUMAP | Place.GENERIC_CPUMAP:
            mode = "xdpgeneric" if place is Place.GENERIC_CPUMAP else "xdpdrv"
            runs = STORE.program("measure_on_cpumap")
            lines = [STORE.load(), *given, *cpus(first, runs)]
            return lay(bpf, nic, first.name, "to_cpu", lines, observed=there, mode=mode)
        case Place.LIVE:
            laid = lay(bpf, nic, STORE.name, "", given, observed=there)
            device = Live(nic.device, nic.packets, bpf, STORE.program("measure_and_pass"))
            return Way(bpf, device, laid.program)
        case Place.TAP_WRITE | Place.TAP_NOWAIT | Place.TAP_VHOST:
            return lay_on_tap(bpf, GIVING[place], STORE.name, "measure_and_pass", given)


def taken(bpf: Bpf) -> dict[int, Taken]:
    """What the program could take, by the frames' ids."""
    return {
        int.from_bytes(key, "little"): Taken(*struct.unpack("<II", value))
        for key, value in bpf.dump(STORE.map("taken")).items()
    }


@pytest.mark.unchanged
@EACH_PLACE
def test_what_stores_nothing_has_all_of_it(bpf: Bpf, nic: Nic, seed: int, place: Place) -> None:
    way = lay_at(place, bpf, nic, [])
    records = way.capture(random_frames(2, seed))
    assert len(records) == 2
    assert taken(bpf) == dict.fromkeys(range(2), place.there)


@EACH_PLACE
def test_hints_take_theirs_from_when_they_are_stored(
    bpf: Bpf, nic: Nic, seed: int, place: Place
) -> None:
    """Stored first, one alone, again at the last byte; when as much room as they need is left.

    One byte less is refused, and nothing is taken by it.
    """
    there = place.there
    less = Taken(there.head - TAKEN_BY_HINTS, max(0, there.meta - TAKEN_BY_HINTS))
    first = {
        1: FIRST_HINTS,
        2: Hints(timestamp=1),
        3: FIRST_HINTS,
        4: FIRST_HINTS,
        5: FIRST_HINTS,
    }
    second = {0: SECOND_HINTS, 3: SECOND_HINTS, 5: SECOND_HINTS}
    before = {4: less.head, 5: less.head + 1}
    given = [
        *give(STORE, first),
        *give(STORE, second, SECOND),
        *update(STORE.map("before"), {u32(at): u32(grown) for at, grown in before.items()}),
    ]
    way = lay_at(place, bpf, nic, given)
    frames = random_frames(6, seed)
    records = way.capture(frames)
    assert len(records) == 6
    refused = {0, 5}
    assert taken(bpf) == {at: there if at in refused else less for at in range(6)}
    assert returned(bpf.dump(STORE.map("returned"))) == {
        **{at: REFUSED if at in refused else DONE for at in first},
        **{at | SECOND: REFUSED if at in refused else DONE for at in second},
    }
    for sent in frames:
        expected = by_nic(sent, way.rss_key) if place.has_skbs else UNSET
        if sent.id not in refused:
            expected = first[sent.id].over(expected)
            expected = second.get(sent.id, Hints()).over(expected)
        assert seen(records[sent.id]) == expected, sent.id
        assert sent.data.startswith(records[sent.id].data)


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(Place.FRAMES, marks=SLOW),
        pytest.param(Place.DEVMAP, marks=SLOW),
        pytest.param(Place.CPUMAP, marks=SLOW),
        Place.GENERIC_CPUMAP,
    ],
    ids=lambda place: place.name.lower(),
)
def test_what_was_stored_before_a_redirect_is_out_of_reach(
    bpf: Bpf, nic: Nic, seed: int, place: Place
) -> None:
    there = place.there
    stored = {1: FIRST_HINTS, 2: Hints(timestamp=1)}
    way = lay_at(place, bpf, nic, give(STORING, stored), STORING)
    frames = random_frames(3, seed)
    records = way.capture(frames)
    assert len(records) == 3
    less = Taken(there.head - TAKEN_BY_HINTS, there.meta - TAKEN_BY_HINTS)
    assert taken(bpf) == {0: there, 1: less, 2: less}
    for sent in frames:
        before = by_nic(sent, way.rss_key) if place.has_skbs else UNSET
        assert seen(records[sent.id]) == stored.get(sent.id, Hints()).over(before), sent.id


@pytest.mark.unchanged
def test_a_test_run_has_what_is_behind_the_frame(bpf: Bpf, nic: Nic, seed: int) -> None:
    """As metadata, the most of which there may be."""
    (flow,) = random_flows(1, seed, KINDS)
    frame, run = build(flow, 7).data, STORE.program("measure_and_pass")
    bpf.run([STORE.load(), f"ip link set dev {nic.device} up"])
    for metadata in (0, 196, 212, 256 - FRAME):
        bpf.run([run_once(run, bytes(metadata), frame)])
        # Metadata move with the head, and grow in front of those that there are.
        assert taken(bpf) == {7: Taken(216 - metadata, 216 - metadata)}, metadata
    with pytest.raises(BpfError, match="Invalid argument"):
        bpf.run([run_once(run, bytes(256 - FRAME + 4), frame)])


def test_in_a_test_run_hints_need_room_behind_the_frame(bpf: Bpf, seed: int) -> None:
    (flow,) = random_flows(1, seed, KINDS)
    frame, run = build(flow, 7).data, STORE.program("measure_and_pass")
    bpf.run([STORE.load(), *give(STORE, {7: FIRST_HINTS})])
    for metadata, answer, left in ((0, DONE, 192), (192, DONE, 0), (196, REFUSED, 20)):
        bpf.run([run_once(run, bytes(metadata), frame)])
        assert returned(bpf.dump(STORE.map("returned"))) == {7: answer}, metadata
        assert taken(bpf)[7].head == left, metadata
