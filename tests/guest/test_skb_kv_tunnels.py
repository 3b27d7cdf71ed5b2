# SPDX-License-Identifier: GPL-2.0-only
"""Into a tunnel's packet and out of it: an skb's keys stay, or leave, with the namespace."""

import pytest

from harness.api import (
    SLOW,
    Bpf,
    Nic,
    at_egress,
    at_ingress,
    ip,
    lay,
    random_frames,
    veth,
    within,
)
from harness.datapath.kv_cases import EACH, STORE, STORED, check_first
from harness.datapath.kv_script import FIRST, SECOND, THIRD, done, scripts
from harness.datapath.links import VETH2_INDEX
from harness.datapath.skb_cases import SETTING, TC, held, holding, reading
from harness.datapath.skb_ways import ENTRANCE, FAR, keep

pytestmark = SLOW

# The packets of the tunnel go from v0 to v1, which is in another namespace.
ENDS = {4: ("10.9.1.1", "10.9.1.2"), 6: ("fd09::1", "fd09::2")}
GRE, VXLAN = "local {} remote {}", "type vxlan id 7 local {} remote {} dstport 4789"
# By IP's version, and what it is made of.
TUNNELS = {
    "GRE": (4, f"type gretap {GRE}"),
    "GRE over IPv6": (6, f"type ip6gretap {GRE} encaplimit none"),
    "VXLAN": (4, f"{VXLAN} noudpcsum"),
    "VXLAN over IPv6": (6, f"{VXLAN} udp6zerocsumtx udp6zerocsumrx"),
}


def underlay() -> list[str]:
    """Lines that make v0 here and v1 in FAR, which reach each other."""
    return [
        *veth("v", VETH2_INDEX, napi=False, namespace=FAR),
        *_addresses("v0", 0),
        *_addresses("v1", 1, FAR),
        *ip("link set dev lo up", namespace=FAR),
    ]


def _addresses(device: str, end: int, namespace: str = "") -> list[str]:
    return ip(
        f"address add {ENDS[4][end]}/24 dev {device}",
        f"address add {ENDS[6][end]}/64 dev {device} nodad",
        namespace=namespace,
    )


def ends(kind: str) -> list[str]:
    """Lines that make t0 here, of index ENTRANCE, and t1 in FAR."""
    version, made_of = TUNNELS[kind]
    near, far = ENDS[version]
    return [
        *ip(f"link add t0 index {ENTRANCE} {made_of.format(near, far)}", "link set dev t0 up"),
        *ip(f"link add t1 {made_of.format(far, near)}", "link set dev t1 up", namespace=FAR),
    ]


@pytest.mark.parametrize("kind", TUNNELS)
def test_a_tunnels_packet_has_its_contents_keys(bpf: Bpf, nic: Nic, seed: int, kind: str) -> None:
    """At v0's egress. What comes out of it behind v1, in another namespace, has none."""
    lines = [
        TC.load(),
        *(line for which in (FIRST, SECOND, THIRD) for line in reading(which)),
        *scripts(STORE, EACH),
        *underlay(),
        *ends(kind),
        *at_ingress(TC.program("first_then_send"), nic.device),
        *at_egress(TC.program("second"), "v0"),
        *at_ingress(TC.program("third"), "t1", within(FAR)),
    ]
    way = lay(bpf, nic, STORE.name, "pass", lines, observed=["t1"], namespace=FAR)
    way.capture(random_frames(len(STORED), seed))
    check_first(bpf)
    dumped = bpf.dump(TC.map("scripts"))
    assert held(dumped) == holding()
    assert held(dumped, SECOND) == holding()
    assert held(dumped, THIRD) == holding(keys=False)


@pytest.mark.parametrize("kind", TUNNELS)
@pytest.mark.parametrize(
    ("beyond", "kept"), [("", False), ("beyond", False), ("beyond", True)], ids=str
)
def test_what_comes_out_of_a_tunnel(
    bpf: Bpf, nic: Nic, seed: int, kind: str, beyond: str, kept: bool
) -> None:
    """A program at v1 sets for the tunnel's packet; t1 may be in a namespace of its own."""
    there = beyond or FAR
    moved = [
        f"ip netns add {beyond}",
        *ip(f"link set dev t1 netns {beyond}", namespace=FAR),
        *ip("link set dev t1 up", namespace=beyond),
    ]
    lines = [
        TC.load(),
        *scripts(TC, SETTING, SECOND),
        *reading(THIRD),
        *underlay(),
        *ends(kind),
        *(moved if beyond else []),
        *([keep("t1", "1", there)] if kept else []),
        *at_ingress(TC.program("first_then_send"), nic.device),
        *at_ingress(TC.program("second"), "v1", within(FAR)),
        *at_ingress(TC.program("third"), "t1", within(there)),
    ]
    way = lay(bpf, nic, "xdp_pass", "xdp_pass", lines, observed=["t1"], namespace=there)
    way.capture(random_frames(len(STORED), seed))
    dumped = bpf.dump(TC.map("scripts"))
    assert {call.returned for calls in done(dumped, SECOND).values() for call in calls} == {0}
    keys = not beyond or kept
    assert held(dumped, THIRD) == holding(keys=keys)


@pytest.mark.parametrize("kind", TUNNELS)
@pytest.mark.parametrize("kept", [False, True], ids=["not kept", "kept"])
def test_a_tunnels_device_in_another_namespace_than_its_packets(
    bpf: Bpf, nic: Nic, seed: int, kind: str, kept: bool
) -> None:
    """A program beside t0 sets; v0, by which the tunnel's packet leaves, may let that in."""
    inner = "inner"
    lines = [
        TC.load(),
        *scripts(TC, SETTING),
        *reading(SECOND),
        *underlay(),
        *ends(kind),
        f"ip netns add {inner}",
        *ip(f"link set dev t0 netns {inner}"),
        *veth("u", ENTRANCE, napi=False),
        *ip(f"link set dev u1 netns {inner}"),
        *ip("link set dev u1 up", "link set dev t0 up", namespace=inner),
        *([keep("v0", "1")] if kept else []),
        *at_ingress(TC.program("send"), nic.device),
        *at_ingress(TC.program("first_then_send"), "u1", within(inner)),
        *at_egress(TC.program("second"), "v0"),
    ]
    way = lay(bpf, nic, "xdp_pass", "xdp_pass", lines, observed=["t1"], namespace=FAR)
    way.capture(random_frames(len(STORED), seed))
    dumped = bpf.dump(TC.map("scripts"))
    assert {call.returned for calls in done(dumped).values() for call in calls} == {0}
    assert held(dumped, SECOND) == holding(keys=kept)
