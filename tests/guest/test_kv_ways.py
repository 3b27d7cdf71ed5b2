# SPDX-License-Identifier: GPL-2.0-only
"""Keys and values that one program stores are read by the next one, on each way there is."""

import enum
import errno

import pytest

from harness.api import (
    EACH_NIC,
    SLOW,
    Bpf,
    Frame,
    Giving,
    Live,
    Nic,
    Outgoing,
    Way,
    attach,
    cpus,
    delete,
    devmap,
    entry,
    get,
    lay,
    lay_on_tap,
    random_frames,
    seen,
    set_,
    veth,
)
from harness.datapath.hints import UNSET, by_nic
from harness.datapath.kv_cases import (
    EACH,
    KEYS,
    NOTHING,
    OK,
    READING,
    STORE,
    STORED,
    check_first,
    given,
    hints_of,
    read,
)
from harness.datapath.kv_script import (
    ETHERNET,
    HW_TIMESTAMP,
    REPLACE,
    SECOND,
    THIRD,
    Kind,
    done,
    found,
    move,
    scripts,
    write,
)
from harness.datapath.links import PASSING, VETH_INDEX

HEADROOM = {"eth1": 276, "eth2": 256}  # that packets come with, see test_headroom


class Hop(enum.Enum):
    """Where the second program runs."""

    VETH = "on a veth, by a devmap"
    IFINDEX = "on a veth, without a map"
    DEVMAP = "on a devmap's entry"
    CPUMAP = "on a cpumap's entry"
    DEVMAP_HASH = "on the entry of a devmap that is a hash"
    GENERIC_DEVMAP = "on a devmap's entry, where it gets skbs"
    GENERIC_DEVMAP_HASH = "on the entry of a devmap that is a hash, where it gets skbs"
    GENERIC_CPUMAP = "on a cpumap's entry, where it gets skbs"
    LIVE = "on a veth, from a live frame"
    TAP = "on a veth, from a tap"
    VHOST = "on a veth, from a tap's vhost_net"


def lay_to(hop: Hop, bpf: Bpf, nic: Nic) -> Way:
    on_v1 = [*veth(napi=False), *given(), attach(STORE.program("pass_second"), "v1")]
    mode = "xdpgeneric" if hop.name.startswith("GENERIC") else "xdpdrv"
    match hop:
        case Hop.VETH:
            lines = [*on_v1, *devmap(STORE)]
            return lay(bpf, nic, STORE.name, "to_dev", lines, observed=["v1"])
        case Hop.IFINDEX:
            return lay(bpf, nic, STORE.name, "to_ifindex", on_v1, observed=["v1"])
        case Hop.DEVMAP | Hop.GENERIC_DEVMAP:
            runs = entry(STORE.map("devmap"), 0, VETH_INDEX, STORE.program("on_devmap"))
            lines = [*veth(), *given(), runs]
            return lay(bpf, nic, STORE.name, "to_dev", lines, observed=["v1"], mode=mode)
        case Hop.DEVMAP_HASH | Hop.GENERIC_DEVMAP_HASH:
            runs = entry(STORE.map("devmap_hash"), 0, VETH_INDEX, STORE.program("on_devmap"))
            lines = [*veth(), *given(), runs]
            return lay(bpf, nic, STORE.name, "to_dev_by_hash", lines, observed=["v1"], mode=mode)
        case Hop.CPUMAP | Hop.GENERIC_CPUMAP:
            lines = [*given(), *cpus(STORE, STORE.program("on_cpumap"))]
            return lay(bpf, nic, STORE.name, "to_cpu", lines, observed=[nic.device], mode=mode)
        case Hop.LIVE:
            laid = lay(bpf, nic, STORE.name, "", [*on_v1, *devmap(STORE)], observed=["v1"])
            device = Live(nic.device, nic.packets, bpf, STORE.program("to_dev"))
            return Way(bpf, device, laid.program)
        case Hop.TAP | Hop.VHOST:
            giving = Giving.VHOST if hop is Hop.VHOST else Giving.WRITE_NOWAIT
            lines = [*on_v1, *devmap(STORE)]
            return lay_on_tap(bpf, giving, STORE.name, "to_dev", lines, observed="v1")


@pytest.mark.parametrize(
    "hop",
    [
        pytest.param(
            hop,
            id=hop.name.lower(),
            marks=() if hop in (Hop.VETH, Hop.GENERIC_CPUMAP) else SLOW,
        )
        for hop in Hop
    ],
)
def test_the_next_program_reads_what_was_stored(bpf: Bpf, nic: Nic, seed: int, hop: Hop) -> None:
    way = lay_to(hop, bpf, nic)
    frames = random_frames(len(STORED), seed)
    records = way.capture(frames)
    assert len(records) == len(STORED)
    check_first(bpf)
    second = done(bpf.dump(STORE.map("scripts")), SECOND)
    assert second == {number: read(number) for number in STORED}
    for sent in frames:
        if hop in (
            Hop.GENERIC_DEVMAP,
            Hop.GENERIC_DEVMAP_HASH,
        ):  # what a device transmits has no hints
            expected = by_nic(sent, way.rss_key)
        else:
            skb = hop is Hop.GENERIC_CPUMAP
            expected = hints_of(sent.id).over(by_nic(sent, way.rss_key) if skb else UNSET)
        assert seen(records[sent.id]) == expected, sent.id
        assert sent.data.startswith(records[sent.id].data)


@SLOW
@pytest.mark.parametrize("hop", [Hop.DEVMAP, Hop.CPUMAP, Hop.GENERIC_CPUMAP])
def test_the_third_program_sees_what_the_second_left(
    bpf: Bpf, nic: Nic, seed: int, hop: Hop
) -> None:
    """The second is on a map's entry; the third on the veth, or the devmap's, that come next."""
    changing = [*READING, delete(0), set_(9, bytes(2)), set_(61, bytes(2), REPLACE)]
    reading = [*READING, get(9)]
    lines = [
        *veth(napi=False),
        *given(),
        *scripts(STORE, dict.fromkeys(STORED, changing), SECOND),
        *scripts(STORE, dict.fromkeys(STORED, reading), THIRD),
    ]
    if hop is Hop.DEVMAP:
        runs, third = STORE.program("on_devmap"), attach(STORE.program("pass_third"), "v1")
        lines += [entry(STORE.map("devmap"), 0, VETH_INDEX, runs), third]
        way = lay(bpf, nic, STORE.name, "to_dev", lines, observed=["v1"])
    else:
        third = STORE.program("third_on_devmap")
        lines += [
            PASSING.load(),
            attach(PASSING.program("xdp_pass"), "v1"),
            *cpus(STORE, STORE.program("on_cpumap_to_dev")),
            entry(STORE.map("devmap"), 0, VETH_INDEX, third),
        ]
        mode = "xdpgeneric" if hop is Hop.GENERIC_CPUMAP else "xdpdrv"
        way = lay(bpf, nic, STORE.name, "to_cpu", lines, observed=["v1"], mode=mode)
    way.capture(random_frames(len(STORED), seed))
    check_first(bpf)
    dumped = bpf.dump(STORE.map("scripts"))
    second, read_third = done(dumped, SECOND), done(dumped, THIRD)
    for number, stored in STORED.items():
        before, changes = read(number), second[number][len(READING) :]
        assert second[number][: len(READING)] == before
        assert [call.returned for call in changes] == [
            OK if 0 in stored else -errno.ENOENT,
            -errno.EBUSY if 9 in stored else OK,
            OK,
        ]
        left = {**stored, 61: bytes(2)}
        left.pop(0, None)
        left.setdefault(9, bytes(2))
        hints = before[-3:]
        assert read_third[number] == [
            *(found(left[key]) if key in left else NOTHING for key in KEYS),
            *hints,
            found(left[9]),
        ]


def test_nothing_of_it_goes_on_the_wire(bpf: Bpf, nic: Nic, seed: int) -> None:
    lay(bpf, nic, STORE.name, "tx", scripts(STORE, EACH, SECOND), observed=[])
    frames = random_frames(len(STORED), seed)
    nic.send(frames)
    came = nic.receive(len(frames))
    stored = done(bpf.dump(STORE.map("scripts")), SECOND)
    assert {number: [call.returned for call in calls] for number, calls in stored.items()} == {
        number: [OK] * len(calls) for number, calls in EACH.items()
    }
    assert came == [Outgoing(sent.id, sent.data) for sent in frames]


@SLOW
@EACH_NIC
@pytest.mark.parametrize("stored", ["keys", "hints", "both"])
def test_a_packet_that_grew_goes_on_the_wire(bpf: Bpf, nic: Nic, seed: int, stored: str) -> None:
    """Up to what is stored, which nobody needs then: the device's header has its place."""
    frames = random_frames(8, seed)
    keys = [] if stored == "hints" else [set_(1, bytes(8)), set_(2, bytes(2))]
    hints = [] if stored == "keys" else [set_(HW_TIMESTAMP, bytes(8))]
    grown = HEADROOM[nic.device] - 64 - (16 + 8 + 2 if keys else 0)
    lay(bpf, nic, STORE.name, "tx", [], observed=[])
    calls = [*keys, *hints, move(Kind.HEAD, -grown)]
    grow = {sent.id: [*calls, move(Kind.HEAD, -1), write(sent.data)] for sent in frames}
    bpf.run(scripts(STORE, grow, SECOND))
    nic.send(frames)
    came = {out.id: out.data for out in nic.receive(len(frames))}
    for ran in done(bpf.dump(STORE.map("scripts")), SECOND).values():
        assert [call.returned for call in ran] == [OK] * len(calls) + [-errno.EINVAL, OK]
    assert came.keys() == {sent.id for sent in frames}
    for sent in frames:
        data = came[sent.id]
        assert len(data) == len(sent.data) + grown
        assert data.startswith(sent.data[:ETHERNET])
        assert data.endswith(sent.data)


@SLOW
@pytest.mark.parametrize("hop", [Hop.VETH, Hop.DEVMAP, Hop.CPUMAP, Hop.GENERIC_CPUMAP])
def test_they_stay_while_head_and_end_and_metadata_move(
    bpf: Bpf, nic: Nic, seed: int, hop: Hop
) -> None:
    """On both sides of the redirect. The second program takes half away and adds to the rest."""
    way = lay_to(hop, bpf, nic)
    moves = [move(Kind.HEAD, -64), move(Kind.META, -32), move(Kind.TAIL, -4), move(Kind.HEAD, 64)]
    value = bytes(range(1, 9))
    first = [set_(3, value), *moves, set_(9, value[:4]), set_(1, value[:2]), get(3)]
    second = [
        move(Kind.META, 32),
        get(3),
        *moves,
        delete(3),
        set_(9, value[4:]),
        get(1),
        get(3),
        get(9),
    ]
    bpf.run([*scripts(STORE, {0: first}), *scripts(STORE, {0: second}, SECOND)])
    (inner,) = random_frames(1, seed)
    (record,) = way.capture([Frame(inner.id, inner.data + bytes(8))]).values()
    dumped = bpf.dump(STORE.map("scripts"))
    assert [call.returned for call in done(dumped)[0]] == [OK] * 7 + [8]
    # An skb's metadata are no longer the program's.
    meta = -errno.EINVAL if hop is Hop.GENERIC_CPUMAP else OK
    assert [call.returned for call in done(dumped, SECOND)[0]] == [
        *(meta, 8, OK, OK, OK, OK, OK, OK),
        *(2, -errno.ENOENT, 4),
    ]
    assert done(dumped, SECOND)[0][1] == found(value)
    assert done(dumped, SECOND)[0][-3:] == [found(value[:2]), NOTHING, found(value[4:])]
    assert inner.data.startswith(record.data)
