# SPDX-License-Identifier: GPL-2.0-only
"""What XDP stored is the skb's, and goes where it goes; TC programs read, set and delete."""

import pytest
from _pytest.mark import ParameterSet

from harness.api import (
    SLOW,
    Bpf,
    Nic,
    Object,
    Passage,
    at_ingress,
    bridge,
    by_bond,
    by_bridge,
    by_gretap,
    by_ipvlan,
    by_macvlan,
    by_netkit,
    by_veth,
    by_vlan,
    by_vxlan,
    lay,
    random_frames,
    u32,
    veth,
    within,
)
from harness.datapath.kv_cases import OK, STORED
from harness.datapath.kv_script import SECOND, THIRD, done, scripts
from harness.datapath.links import VETH2_INDEX, VETH_INDEX
from harness.datapath.skb_cases import SETTING, TC, held, holding, passes, reading
from harness.datapath.skb_ways import (
    ENTRANCE,
    FAR,
    VLAN,
    another_extension,
    by_macvlan_source,
    by_macvlan_to_all,
    keep,
)

IN_TC = Object("tc_redirect")
EXTENSIONS = Object("skb_extensions")


def slow_but_for_the_first(*passages: Passage) -> list[ParameterSet]:
    """Them as parameters of a test."""
    first, *others = passages
    return [
        pytest.param(first, id=str(first)),
        *(pytest.param(other, id=str(other), marks=SLOW) for other in others),
    ]


@pytest.mark.parametrize(
    "passage",
    slow_but_for_the_first(
        by_veth(),
        by_bridge(),
        by_vlan(),
        by_bond(),
        by_macvlan(),
        by_macvlan_to_all(),
        by_macvlan_source(),
        by_ipvlan(),
        by_gretap(),
        by_vxlan(),
        by_netkit(),
    ),
)
def test_they_follow_the_packet(bpf: Bpf, nic: Nic, seed: int, passage: Passage) -> None:
    passes(bpf, nic, seed, passage, keys=True)


@pytest.mark.parametrize(
    "passage",
    slow_but_for_the_first(
        by_veth(FAR),
        by_vlan(FAR),
        by_macvlan(FAR),
        by_macvlan_to_all(FAR),
        by_macvlan_source(FAR),
        by_ipvlan(FAR),
        by_gretap(FAR),
        by_vxlan(FAR),
        by_netkit(FAR),
    ),
)
def test_they_stay_in_their_namespace(bpf: Bpf, nic: Nic, seed: int, passage: Passage) -> None:
    passes(bpf, nic, seed, passage, keys=False)


@SLOW
def test_where_a_clones_end_the_others_stay(bpf: Bpf, nic: Nic, seed: int) -> None:
    """netkit takes them from the clone while the other one waits for its next script."""
    lines = reading(THIRD)
    passes(bpf, nic, seed, by_netkit(FAR), "first_then_clone", keys=False, lines=lines)
    assert held(bpf.dump(TC.map("scripts")), THIRD) == holding()


def test_redirect_to_a_peer_in_another_namespace(bpf: Bpf, nic: Nic, seed: int) -> None:
    passes(bpf, nic, seed, by_veth(FAR), "first_then_peer", keys=False)


# Devices of another namespace, whose packets leave by v0 here.
SENDERS = {
    "VLAN device": f"type vlan id {VLAN}",
    "macvlan": "type macvlan mode private",
    "ipvlan": "type ipvlan mode l2",
}


@SLOW
@pytest.mark.parametrize("kind", SENDERS)
@pytest.mark.parametrize(
    ("namespace", "told"), [("", ""), (FAR, ""), (FAR, "d0"), (FAR, "v0")], ids=str
)
def test_what_a_device_sends_by_another(
    bpf: Bpf, nic: Nic, seed: int, kind: str, namespace: str, told: str
) -> None:
    """A program sets on u1, beside the device: in its namespace, or in the other one's.

    told: to keep keys, of which only what receives is asked.
    """
    inside = within(namespace)
    moved = [f"ip netns add {FAR}", f"ip link set dev d0 netns {FAR}"] if namespace else []
    beside = [f"ip link set dev u1 netns {FAR}"] if namespace else []
    lines = [
        TC.load(),
        *scripts(TC, SETTING),
        *reading(SECOND),
        *veth("v", VETH2_INDEX, napi=False),
        f"ip link add link v0 name d0 index {ENTRANCE} {SENDERS[kind]}",
        *moved,
        *veth("u", VETH_INDEX, napi=False),
        *beside,
        f"{inside}/bin/ip link set dev u1 up",
        f"{inside}/bin/ip link set dev d0 up",
        *([keep(told, "1", FAR if told == "d0" else "")] if told else []),
        IN_TC.load(),
        *at_ingress(IN_TC.program("to_v0"), nic.device),
        *at_ingress(TC.program("first_then_send"), "u1", inside),
        *at_ingress(TC.program("second"), "v1"),
    ]
    way = lay(bpf, nic, "xdp_pass", "xdp_pass", lines, observed=["v1"])
    way.capture(random_frames(len(STORED), seed))
    dumped = bpf.dump(TC.map("scripts"))
    assert {call.returned for calls in done(dumped).values() for call in calls} == {OK}
    assert held(dumped, SECOND) == holding(keys=not namespace or told == "v0")


@SLOW
def test_beside_another_extension(bpf: Bpf, nic: Nic, seed: int) -> None:
    """What a veth takes away are the others."""
    lines = [
        TC.load(),
        *scripts(TC, SETTING),
        *reading(SECOND),
        f"mkdir {EXTENSIONS.directory}",  # bpftool makes it for links only
        f"{EXTENSIONS.load()} autoattach",
        *veth(napi=False),
        *bridge("v0", nic.device),
        *at_ingress(TC.program("first"), nic.device),
        *at_ingress(TC.program("second"), "v1"),
        *another_extension(nic.device, "v1"),
    ]
    way = lay(bpf, nic, "xdp_pass", "xdp_pass", lines, observed=["v1"])
    way.capture(random_frames(len(STORED), seed))
    sent, received = (bpf.dump(EXTENSIONS.map(name)) for name in ("sent", "received"))
    assert sent.keys() == received.keys() == {u32(number) for number in STORED}
    for number in STORED:
        beside, left = (int.from_bytes(each[u32(number)], "little") for each in (sent, received))
        assert left.bit_count() == bool(STORED[number])
        assert beside & ~left
    assert held(bpf.dump(TC.map("scripts")), SECOND) == holding()
