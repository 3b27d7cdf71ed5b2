# SPDX-License-Identifier: GPL-2.0-only
"""What XDP stored reaches the skb, on each way on which a packet becomes one, or is one."""

import enum
import errno

import pytest

from harness.api import (
    EACH_NIC,
    SLOW,
    Bpf,
    Call,
    Giving,
    Live,
    Nic,
    Way,
    at_ingress,
    attach,
    bridge,
    cpus,
    devmap,
    entry,
    get,
    lay,
    lay_on_tap,
    random_frames,
    set_,
    veth,
    within,
)
from harness.datapath.kv_cases import EACH, NOTHING, OK, STORE, STORED, check_first
from harness.datapath.kv_names import listed
from harness.datapath.kv_script import SECOND, THIRD, done, found, scripts
from harness.datapath.links import PASSING, VETH2_INDEX
from harness.datapath.packets import KINDS
from harness.datapath.skb_cases import SETTING, TC, held, holding, reading
from harness.datapath.skb_ways import ENTRANCE, FAR, keep
from harness.datapath.topology import TAP


class Border(enum.Enum):
    """Where the packet becomes an skb, or XDP passes one."""

    NIC = "on virtio_net"
    GENERIC = "on virtio_net, in generic mode"
    VETH = "on a veth that is redirected to, with XDP"
    GRO = "on a veth that is redirected to, without"
    CPUMAP = "on a cpumap's entry"
    GENERIC_CPUMAP = "on a cpumap's entry, where it gets skbs"
    PLAIN_CPUMAP = "on a cpumap's entry that has no program"
    PLAIN_GENERIC_CPUMAP = "on such an entry, where it gets skbs"
    LIVE = "from a live frame"


def there(device: str) -> list[str]:
    """Lines that have the NIC's program store, and a TC program read at that device."""
    return [
        TC.load(),
        *reading(SECOND),
        *scripts(STORE, EACH),
        *at_ingress(TC.program("second"), device),
    ]


def lay_to(border: Border, bpf: Bpf, nic: Nic) -> Way:
    name = STORE.name
    match border:
        case Border.NIC | Border.GENERIC:
            mode = "xdpdrv" if border is Border.NIC else "xdpgeneric"
            lines = there(nic.device)
            return lay(bpf, nic, name, "pass", lines, observed=[nic.device], mode=mode)
        case Border.VETH | Border.GRO:
            gro = [] if border is Border.VETH else ["ethtool -K v1 gro on"]
            lines = [*veth(napi=border is Border.VETH), *there("v1"), *devmap(STORE), *gro]
            return lay(bpf, nic, name, "to_dev", lines, observed=["v1"])
        case Border.CPUMAP | Border.GENERIC_CPUMAP:
            mode = "xdpdrv" if border is Border.CPUMAP else "xdpgeneric"
            lines = [*there(nic.device), *cpus(STORE, STORE.program("on_cpumap"))]
            return lay(bpf, nic, name, "to_cpu", lines, observed=[nic.device], mode=mode)
        case Border.PLAIN_CPUMAP | Border.PLAIN_GENERIC_CPUMAP:
            mode = "xdpdrv" if border is Border.PLAIN_CPUMAP else "xdpgeneric"
            lines = [*there(nic.device), *cpus(STORE)]
            return lay(bpf, nic, name, "to_cpu", lines, observed=[nic.device], mode=mode)
        case Border.LIVE:
            laid = lay(bpf, nic, name, "", there(nic.device), observed=[nic.device])
            device = Live(nic.device, nic.packets, bpf, STORE.program("pass"))
            return Way(bpf, device, laid.program)


def check(bpf: Bpf, way: Way, seed: int, kinds: tuple[str, ...] = KINDS) -> None:
    way.capture(random_frames(len(STORED), seed, kinds))
    check_first(bpf)
    assert held(bpf.dump(TC.map("scripts")), SECOND) == holding()


@EACH_NIC
@pytest.mark.parametrize(
    "border",
    [pytest.param(each, marks=() if each is Border.NIC else SLOW, id=each.name) for each in Border],
)
def test_it_is_the_skbs(bpf: Bpf, nic: Nic, seed: int, border: Border) -> None:
    check(bpf, lay_to(border, bpf, nic), seed)


@SLOW
@pytest.mark.parametrize("giving", list(Giving), ids=lambda giving: giving.name)
def test_on_a_tap(bpf: Bpf, seed: int, giving: Giving) -> None:
    way = lay_on_tap(bpf, giving, STORE.name, "pass", there(TAP))
    check(bpf, way, seed, KINDS[:1] if giving is Giving.VHOST_GSO else KINDS)


# By frame: what TC sets first, then what XDP stores for the skb.
BOTH: dict[int, tuple[dict[int, bytes], dict[int, bytes]]] = {
    0: ({0: b"\x01" * 8, 1: b"\x02" * 4}, {}),
    1: ({}, {1: b"\x03" * 2}),
    2: ({0: b"\x01" * 8, 1: b"\x02" * 4, 2: b"\x03" * 2}, {1: b"\x04" * 4}),
    3: ({0: b"\x01" * 8, 1: b"\x02" * 4, 2: b"\x03" * 2}, {0: b"\x05" * 2, 2: b"\x06" * 8}),
    4: ({key: bytes([key]) * 8 for key in range(16)}, {15: b"\x77" * 8}),
    5: ({key: bytes([key]) * 8 for key in range(16)}, {15: b"\x88" * 2, 61: b"\x99" * 4}),
    # No room for both: nothing of XDP's is taken over.
    6: ({key: bytes([key]) * 8 for key in range(16)}, {15: b"\xaa" * 8, 61: b"\xbb" * 2}),
}
LOST = 6
LOOKED_AT = 0, 1, 2, 14, 15, 61  # keys


def sets(values: dict[int, bytes]) -> list[Call]:
    return [set_(key, value) for key, value in values.items()]


@pytest.mark.parametrize("mode", ["xdpdrv", pytest.param("xdpgeneric", marks=SLOW)])
def test_of_an_skb_that_has_keys_already(bpf: Bpf, nic: Nic, seed: int, mode: str) -> None:
    """A veth's program starts with nothing; on PASS its keys replace the skb's, one by one."""
    looking = [get(key) for key in LOOKED_AT]
    empty = {number: [get(0), *sets(xdp)] for number, (_, xdp) in BOTH.items()}
    lines = [
        *veth(napi=False),
        *bridge("v0", nic.device),  # not TC's redirect: generic XDP passes over it
        TC.load(),
        STORE.load(),
        *scripts(TC, {number: sets(tc) for number, (tc, _) in BOTH.items()}),
        *scripts(STORE, empty, SECOND),
        *scripts(TC, dict.fromkeys(BOTH, looking), THIRD),
        attach(STORE.program("pass_second"), "v1", mode),
        *at_ingress(TC.program("first"), nic.device),
        *at_ingress(TC.program("third"), "v1"),
    ]
    way = lay(bpf, nic, "xdp_pass", "xdp_pass", lines, observed=["v1"])
    lost = listed(bpf)[1]
    way.capture(random_frames(len(BOTH), seed))
    ran = done(bpf.dump(STORE.map("scripts")), SECOND)
    assert {number: [call.returned for call in calls] for number, calls in ran.items()} == {
        number: [-errno.ENOENT] + [OK] * len(xdp) for number, (_, xdp) in BOTH.items()
    }
    third = done(bpf.dump(TC.map("scripts")), THIRD)
    for number, (tc, xdp) in BOTH.items():
        both = tc if number == LOST else {**tc, **xdp}
        expected = [found(both[key]) if key in both else NOTHING for key in LOOKED_AT]
        assert third[number] == expected, number
    assert listed(bpf)[1] == lost + 1


@SLOW
@pytest.mark.parametrize("mode", ["xdpdrv", "xdpgeneric"])
@pytest.mark.parametrize("namespace", ["", FAR], ids=["here", "far"])
@pytest.mark.parametrize("kept", [False, True], ids=["", "kept"])
def test_an_skb_that_xdp_redirects(
    bpf: Bpf, nic: Nic, seed: int, mode: str, namespace: str, kept: bool
) -> None:
    """As an skb, in generic mode, it keeps its own keys; as a frame it loses them."""
    inside = within(namespace)
    into = [f"ip netns add {FAR}", f"ip link set dev w0 netns {FAR}"] if namespace else []
    far_too = [f"ip link set dev w1 netns {FAR}"] if namespace else []
    lines = [
        *veth(napi=False),
        *veth("w", VETH2_INDEX, napi=False),
        *into,
        *far_too,
        f"{inside}/bin/ip link set dev w0 up",
        f"{inside}/bin/ip link set dev w1 up",
        *bridge("v0", nic.device),  # not TC's redirect: generic XDP passes over it
        TC.load(),
        PASSING.load(),
        inside + attach(PASSING.program("xdp_pass"), "w1"),
        STORE.load(),
        *scripts(TC, SETTING),
        *reading(THIRD),
        inside + entry(STORE.map("devmap"), 0, VETH2_INDEX, STORE.program("pass_on_devmap")),
        *([keep("w0", "1", namespace)] if kept else []),
        attach(STORE.program("to_dev"), "v1", mode),
        *at_ingress(TC.program("first"), nic.device),
        *at_ingress(TC.program("third"), "w1", inside),
    ]
    way = lay(bpf, nic, "xdp_pass", "xdp_pass", lines, observed=["w1"], namespace=namespace)
    way.capture(random_frames(len(STORED), seed))
    dumped = bpf.dump(TC.map("scripts"))
    assert {
        number: [call.returned for call in calls] for number, calls in done(dumped).items()
    } == {number: [OK] * len(calls) for number, calls in SETTING.items()}
    keys = mode == "xdpgeneric" and (not namespace or kept)
    assert held(dumped, THIRD) == holding(keys=keys)


@SLOW
def test_what_xdp_stores_for_a_clone_is_not_the_others(bpf: Bpf, nic: Nic, seed: int) -> None:
    """A clone goes to v1, whose program passes; the other one then by a bridge to w1."""
    other = [set_(7, b"mine"), set_(1, b"22")]
    lines = [
        *veth("v", ENTRANCE, napi=False),
        *veth("w", VETH2_INDEX, napi=False),
        *bridge("w0", nic.device),
        TC.load(),
        STORE.load(),
        *scripts(TC, SETTING),
        *scripts(STORE, dict.fromkeys(STORED, other), SECOND),
        *reading(SECOND),
        attach(STORE.program("pass_second"), "v1"),
        *at_ingress(TC.program("first_then_clone"), nic.device),
        *at_ingress(TC.program("second"), "w1"),
    ]
    way = lay(bpf, nic, "xdp_pass", "xdp_pass", lines, observed=["v1", "w1"])
    way.capture_copies(random_frames(len(STORED), seed), 2)
    ran = done(bpf.dump(STORE.map("scripts")), SECOND)
    assert {call.returned for calls in ran.values() for call in calls} == {OK}
    assert held(bpf.dump(TC.map("scripts")), SECOND) == holding()
