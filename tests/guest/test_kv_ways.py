# SPDX-License-Identifier: GPL-2.0-only
"""Keys and values that one program stores are read by the next one, on each way there is."""

import enum
import errno

import pytest

from harness.bpf import Bpf, Object, attach, entry, observe
from harness.devices import Giving, Live, Nic
from harness.fixtures import SLOW
from harness.hints import ETH_P_8021AD, UNSET, Hints, by_nic, seen
from harness.kvscript import (
    FIRST,
    HW_HASH,
    HW_TIMESTAMP,
    HW_VLAN,
    SECOND,
    THIRD,
    Call,
    Done,
    Kind,
    delete,
    done,
    failed,
    found,
    get,
    move,
    scripts,
    set_,
)
from harness.oracle import RssType
from harness.packets import Frame, random_frames
from harness.topology import (
    OBSERVE,
    VETH2_INDEX,
    VETH_INDEX,
    Way,
    cpus,
    devmap,
    lay,
    lay_on_tap,
    veth,
    within,
)

STORE = Object("kv_script")
FRAGS = Object("kv_script_frags")
PLAIN = Object("redirect_plain")
PASS = Object("xdp_pass")
IN_TC = Object("tc_redirect")
FAR = "far"

OK = 0
NOTHING = failed(errno.ENOENT)
HINTS = Hints((0xC0DE1234, int(RssType.L4_UDP)), (ETH_P_8021AD, 0xE123), 2**63 + 5)

# By frame: what its first program stores. Each size, at its extremes, in both orders.
STORED: dict[int, dict[int, bytes]] = {
    0: {},
    1: {0: b"\0\0", 1: bytes(4), 2: bytes(8)},
    2: {63: b"\xff" * 2, 62: b"\xff" * 4, 61: b"\xff" * 8},
    3: {5: b"\x01\x80", 0: b"\x01\x02\x03\x84", 63: b"\x01\x02\x03\x04\x05\x06\x07\x88"},
    4: {key: bytes([key, 0x40 + key] * 4) for key in range(8)},
    5: {7: b"\x11\x22\x33\x44"},
}
KEYS = (0, 1, 2, 5, 7, 61, 62, 63)


def storing(number: int) -> list[Call]:
    """The calls of a frame's first program."""
    calls = [set_(key, value) for key, value in STORED[number].items()]
    if number % 2:
        calls += [
            set_(HW_HASH, bytes.fromhex("3412dec0") + int(RssType.L4_UDP).to_bytes(4, "little")),
            set_(HW_VLAN, bytes.fromhex("88a8 23e1")),
            set_(HW_TIMESTAMP, (2**63 + 5).to_bytes(8, "little")),
        ]
    return calls


READING = [get(key) for key in KEYS] + [
    get(key, 4 if key == HW_VLAN else 8) for key in (64, 65, 66)
]


def read(number: int, *, keys: bool = True) -> list[Done]:
    """What READING gives of such a frame; keys: whether they are still there."""
    stored = STORED[number] if keys else {}
    hints = [call.value for call in storing(number)[-3:]] if number % 2 else []
    return [
        *(found(stored[key]) if key in stored else NOTHING for key in KEYS),
        *(map(found, hints) if hints else [NOTHING] * 3),
    ]


EACH = {number: storing(number) for number in STORED}
READ = dict.fromkeys(STORED, READING)


def given(program: Object = STORE) -> list[str]:
    """Lines that have a frame's first program store, and the second and third read."""
    return [
        *scripts(program, EACH),
        *scripts(program, READ, SECOND),
        *scripts(program, READ, THIRD),
    ]


def check_first(bpf: Bpf, program: Object = STORE) -> None:
    """All that was to be stored was."""
    first = done(bpf.dump(program.map("scripts")), FIRST)
    assert {number: [call.returned for call in calls] for number, calls in first.items()} == {
        number: [OK] * len(calls) for number, calls in EACH.items()
    }


def hints_of(number: int) -> Hints:
    return HINTS if number % 2 else Hints()


class Hop(enum.Enum):
    """Where the second program runs."""

    VETH = "on a veth, by a devmap"
    IFINDEX = "on a veth, without a map"
    DEVMAP = "on a devmap's entry"
    CPUMAP = "on a cpumap's entry"
    GENERIC_DEVMAP = "on a devmap's entry, where it gets skbs"
    GENERIC_CPUMAP = "on a cpumap's entry, where it gets skbs"
    LIVE = "on a veth, from a live frame"
    TAP = "on a veth, from a tap"
    VHOST = "on a veth, from a tap's vhost_net"


def lay_to(hop: Hop, bpf: Bpf, nic: Nic) -> Way:
    on_v1 = [*veth(napi=False), *given(), attach(STORE.program("pass_second"), "v1")]
    generic = hop in (Hop.GENERIC_DEVMAP, Hop.GENERIC_CPUMAP)
    mode = "xdpgeneric" if generic else "xdpdrv"
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
        if hop is Hop.GENERIC_DEVMAP:  # what a device transmits has no hints
            expected = by_nic(sent, way.rss_key)
        else:
            skb = hop is Hop.GENERIC_CPUMAP
            expected = hints_of(sent.id).over(by_nic(sent, way.rss_key) if skb else UNSET)
        assert seen(records[sent.id]) == expected, sent.id
        assert sent.data.startswith(records[sent.id].data)


@SLOW
def test_a_packet_in_many_buffers(bpf: Bpf, nic: Nic, seed: int) -> None:
    lines = [
        f"ip link set dev {nic.device} mtu 9000",
        *veth(napi=False, mtu=9000),
        *given(FRAGS),
        *devmap(FRAGS),
        attach(FRAGS.program("pass_second"), "v1"),
    ]
    way = lay(bpf, nic, FRAGS.name, "to_dev", lines, observed=["v1"])
    frames = random_frames(len(STORED), seed, payload=bytes(8000))
    records = way.capture(frames)
    assert len(records) == len(STORED)
    check_first(bpf, FRAGS)
    second = done(bpf.dump(FRAGS.map("scripts")), SECOND)
    assert second == {number: read(number) for number in STORED}
    for sent in frames:
        assert records[sent.id].len == len(sent.data)


@SLOW
@pytest.mark.parametrize("namespace", ["", FAR], ids=["here", "far"])
def test_back_by_xdp_tx_to_a_veth_peer(bpf: Bpf, nic: Nic, seed: int, namespace: str) -> None:
    """In the peer's namespace, or not: there the keys are gone, and hints are not."""
    inside = within(namespace)
    lines = [
        *veth(napi=False, namespace=namespace),
        *given(),
        *devmap(STORE),
        inside + attach(STORE.program("tx"), "v1"),
        attach(STORE.program("pass_third"), "v0"),
    ]
    way = lay(bpf, nic, STORE.name, "to_dev", lines, observed=["v0"])
    records = way.capture(random_frames(len(STORED), seed))
    assert len(records) == len(STORED)
    check_first(bpf)
    dumped = bpf.dump(STORE.map("scripts"))
    expected = {number: read(number, keys=not namespace) for number in STORED}
    assert done(dumped, SECOND) == expected
    assert done(dumped, THIRD) == expected
    for number in STORED:
        assert seen(records[number]) == hints_of(number).over(UNSET), number


def far_veth() -> list[str]:
    """Lines that make w0 and w1, both in another network namespace."""
    inside = within(FAR)
    return [
        f"ip netns add {FAR}",
        f"{inside}/bin/ip link add w0 index {VETH2_INDEX} type veth peer name w1",
        f"{inside}/bin/ip link set dev w0 up",
        f"{inside}/bin/ip link set dev w1 up",
    ]


@pytest.mark.parametrize("mode", ["xdpdrv", pytest.param("xdpgeneric", marks=SLOW)])
def test_an_entrys_device_in_another_namespace(bpf: Bpf, nic: Nic, seed: int, mode: str) -> None:
    """It is there because the map was written to from there; its program sees no key."""
    inside = within(FAR)
    lines = [
        *far_veth(),
        PASS.load(),
        inside + attach(PASS.program("xdp_pass"), "w1"),
        *given(),
        inside + entry(STORE.map("devmap"), 0, VETH2_INDEX, STORE.program("on_devmap")),
    ]
    way = lay(bpf, nic, STORE.name, "to_dev", lines, observed=["w1"], mode=mode, namespace=FAR)
    way.capture(random_frames(len(STORED), seed))
    check_first(bpf)
    second = done(bpf.dump(STORE.map("scripts")), SECOND)
    assert second == {number: read(number, keys=False) for number in STORED}


@SLOW
@pytest.mark.parametrize("far_first", [False, True], ids=["here first", "far first"])
def test_a_clone_of_a_broadcast_loses_them_by_itself(
    bpf: Bpf, nic: Nic, seed: int, far_first: bool
) -> None:
    """v1, in this namespace, is sent one, and w1, in another, the other."""
    inside = within(FAR)
    here, far = (1, 0) if far_first else (0, 1)
    lines = [
        *veth(napi=False),
        *far_veth(),
        *given(),
        entry(STORE.map("devmap"), here, VETH_INDEX, STORE.program("pass_on_devmap")),
        inside + entry(STORE.map("devmap"), far, VETH2_INDEX, STORE.program("pass_on_devmap")),
        attach(STORE.program("pass_second"), "v1"),
        inside + attach(STORE.program("pass_third"), "w1"),
        *observe(OBSERVE, "w1", inside),
    ]
    way = lay(bpf, nic, STORE.name, "to_all", lines, observed=["v1"])
    way.capture_copies(random_frames(len(STORED), seed), 2)
    check_first(bpf)
    dumped = bpf.dump(STORE.map("scripts"))
    assert done(dumped, SECOND) == {number: read(number) for number in STORED}
    assert done(dumped, THIRD) == {number: read(number, keys=False) for number in STORED}


@SLOW
def test_xdp_on_an_skb_starts_empty(bpf: Bpf, nic: Nic, seed: int) -> None:
    """The NIC's program passes; the skb goes to a veth, and what was stored does not."""
    lines = [
        *veth(napi=False),
        *given(),
        attach(STORE.program("pass_second"), "v1"),
        IN_TC.load(),
        *observe(IN_TC.program("to_v0"), nic.device),
    ]
    way = lay(bpf, nic, STORE.name, "pass", lines, observed=["v1"])
    way.capture(random_frames(len(STORED), seed))
    check_first(bpf)
    second = done(bpf.dump(STORE.map("scripts")), SECOND)
    assert second == dict.fromkeys(STORED, [NOTHING] * len(READING))


def test_nothing_of_it_goes_on_the_wire(bpf: Bpf, nic: Nic, seed: int) -> None:
    lay(bpf, nic, STORE.name, "tx", scripts(STORE, EACH, SECOND), observed=[])
    frames = random_frames(len(STORED), seed)
    nic.send(frames)
    assert nic.receive(len(frames)) == {sent.id: (sent.data, None) for sent in frames}


@SLOW
def test_through_a_tail_call(bpf: Bpf, nic: Nic, seed: int) -> None:
    lines = [
        *given(),
        f"bpftool map update pinned {STORE.map('tails')} key 0 0 0 0"
        f" value pinned {STORE.program('pass_second')}",
    ]
    way = lay(bpf, nic, STORE.name, "tail_call", lines, observed=[nic.device])
    way.capture(random_frames(len(STORED), seed))
    check_first(bpf)
    second = done(bpf.dump(STORE.map("scripts")), SECOND)
    assert second == {number: read(number) for number in STORED}


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
