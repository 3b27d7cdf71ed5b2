# SPDX-License-Identifier: GPL-2.0-only
"""Ways of an skb, each of several links: by a VLAN device, a bridge, a bond, tunnels, and so on.

Each begins at the device of index ENTRANCE. What is stored for an skb must follow it, or, where
it leaves its network namespace, stay behind.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from harness.datapath.bpf import LINK
from harness.datapath.links import VETH2_INDEX, bridge, ip, veth, vlan, within
from harness.datapath.packets import DESTINATION, Frame, build, random_flows, source_address

ENTRANCE = 300_000  # TO in bpf-progs/kv_skb.bpf.c
FAR = "far"
VLAN = 5
SENDERS = 16  # ids of frames, from 0 on
# Of a tunnel's ends, both on this machine.
NEAR_END, FAR_END = "10.9.0.1", "10.9.0.2"
CONTAINER = IPv4Address("10.9.4.2")
EVERYBODY = "ff:ff:ff:ff:ff:ff"


@dataclass(frozen=True)
class Passage:
    """Devices that an skb passes.

    lines: that make them.
    exit: the last one, in that namespace.
    ethernet, address: that frames must be sent to; the latter None if any IP address will do.
    """

    name: str
    lines: Sequence[str]
    exit: str
    namespace: str = ""
    ethernet: str = DESTINATION
    address: IPv4Address | None = None

    def __str__(self) -> str:
        return self.name

    def frames(self, count: int, seed: int) -> list[Frame]:
        """Frames 0 to count - 1 that the passage lets pass."""
        if self.address:
            kinds = ["ipv4/udp", "ipv4/tcp"]
            flows = [
                replace(flow, destination=self.address) for flow in random_flows(count, seed, kinds)
            ]
        else:
            flows = random_flows(count, seed)
        return [build(flow, at, destination=self.ethernet) for at, flow in enumerate(flows)]


def another_extension(device: str, receiver: str) -> list[str]:
    """Lines that have TC give skbs at a device's ingress a second extension, beside their keys.

    It notes a chain that ended nowhere. A receiver, which has a clsact, would go on in that
    chain, find none, and drop the packet.
    """
    chain = f"tc filter add dev {device} ingress protocol all"
    return [
        f"{LINK} l2-miss {receiver}",
        f"{chain} pref 8 flower action goto chain 5",
        f"{chain} pref 1 chain 5 flower dst_mac 02:00:00:00:00:99 action pass",
    ]


def _up(device: str, namespace: str = "") -> str:
    return f"{within(namespace)}/bin/ip link set dev {device} up"


def _far(namespace: str) -> list[str]:
    return ip(f"netns add {namespace}") if namespace else []


def _move(device: str, namespace: str) -> list[str]:
    """Lines that bring a device up, in the namespace."""
    there = [f"ip link set dev {device} netns {namespace}"] if namespace else []
    return [*there, _up(device, namespace)]


def keep(device: str, value: str = "", namespace: str = "") -> str:
    """The line that tells a device to let in what is stored elsewhere, "1", or asks it, ""."""
    return f"{within(namespace)}{LINK} keep {device} {value}".rstrip()


def by_veth(namespace: str = "") -> Passage:
    """Into a veth."""
    lines = veth("v", ENTRANCE, napi=False, namespace=namespace)
    return Passage("veth", lines, "v1", namespace)


def by_netkit(namespace: str = "") -> Passage:
    """Into a netkit device."""
    lines = [
        *_far(namespace),
        f"{LINK} netkit n0 {ENTRANCE} n1",
        "ip link set dev n0 up",
        *_move("n1", namespace),
    ]
    return Passage("netkit", lines, "n1", namespace)


def by_bridge() -> Passage:
    """Through a veth, a bridge and another veth."""
    lines = [
        *veth("v", ENTRANCE, napi=False),
        *veth("w", VETH2_INDEX, napi=False),
        *bridge("v1", "w0"),
    ]
    return Passage("bridge", lines, "w1")


def by_vlan(namespace: str = "") -> Passage:
    """Through a VLAN device, which tags, and one that takes the tag away."""
    lines = [
        *_far(namespace),
        *veth("v", VETH2_INDEX, napi=False),
        *vlan("v0", VLAN, index=ENTRANCE),
        *vlan("v1", VLAN),
        *_move(f"v1.{VLAN}", namespace),
    ]
    return Passage("VLAN device", lines, f"v1.{VLAN}", namespace)


def by_bond() -> Passage:
    """Through a bond of one device to a bond of its peer."""
    lines = [
        *veth("v", VETH2_INDEX, napi=False),
        *ip(
            f"link add bond8 index {ENTRANCE} type bond mode active-backup",
            "link add bond9 type bond mode active-backup",
            "link set dev v0 down",
            "link set dev v1 down",
            "link set dev v0 master bond8",
            "link set dev v1 master bond9",
            "link set dev bond8 up",
            "link set dev bond9 up",
        ),
    ]
    return Passage("bond", lines, "bond9")


def by_macvlan(namespace: str = "") -> Passage:
    """Out by a macvlan of one end of a veth, in by one of the other."""
    lines = [
        *_far(namespace),
        *veth("v", VETH2_INDEX, napi=False),
        *ip(
            f"link add link v0 name m0 index {ENTRANCE} type macvlan mode private",
            "link set dev m0 up",
            f"link add link v1 name m1 address {DESTINATION} type macvlan mode private",
        ),
        *_move("m1", namespace),
    ]
    return Passage("macvlan", lines, "m1", namespace)


def by_macvlan_to_all(namespace: str = "") -> Passage:
    """As `by_macvlan`, by broadcasts, of which each macvlan gets a clone, later."""
    return replace(by_macvlan(namespace), name="macvlan's broadcasts", ethernet=EVERYBODY)


def by_macvlan_source(namespace: str = "") -> Passage:
    """Into a macvlan that gets a clone of what some senders send."""
    macaddr = "link set dev m1 type macvlan macaddr add"
    lines = [
        *_far(namespace),
        *veth("v", ENTRANCE, napi=False),
        *ip(
            "link add link v1 name m1 type macvlan mode source",
            *(f"{macaddr} {source_address(number)}" for number in range(SENDERS)),
        ),
        *_move("m1", namespace),
    ]
    return Passage("macvlan by source", lines, "m1", namespace)


def by_ipvlan(namespace: str = "") -> Passage:
    """Into an ipvlan, which has an IP address, and no Ethernet address, of its own."""
    address = f"{within(namespace)}/bin/ip address add {CONTAINER}/24 dev i1"
    lines = [
        *_far(namespace),
        *veth("v", ENTRANCE, napi=False),
        *ip("link add link v1 name i1 type ipvlan mode l2"),
        *_move("i1", namespace),
        address,
    ]
    return Passage("ipvlan", lines, "i1", namespace, address=CONTAINER)


def by_gretap(namespace: str = "") -> Passage:
    """Into a GRE tunnel whose other end is here too; namespace: of the device at that end."""
    lines = [
        *_far(namespace),
        *_ends(),
        *ip(
            f"link add g0 index {ENTRANCE} type gretap local {NEAR_END} remote {FAR_END}",
            "link set dev g0 up",
            f"link add g1 type gretap local {FAR_END} remote {NEAR_END}",
        ),
        *_move("g1", namespace),
    ]
    return Passage("GRE", lines, "g1", namespace)


def by_vxlan(namespace: str = "") -> Passage:
    """Into a VXLAN device, and out of one of this machine's: no packet of the tunnel is made.

    They are of two VNIs, or would be one too many (vxlan_encap_bypass()).
    """
    made_of = "type vxlan id {} local {} dstport 4789"
    lines = [
        *_far(namespace),
        *_ends(),
        *ip(
            f"link add t0 index {ENTRANCE} {made_of.format(7, NEAR_END)}",
            "link set dev t0 up",
            f"link add t1 {made_of.format(8, FAR_END)}",
        ),
        f"bridge fdb append 00:00:00:00:00:00 dev t0 dst {FAR_END} vni 8",
        *_move("t1", namespace),
    ]
    return Passage("VXLAN", lines, "t1", namespace)


def _ends() -> list[str]:
    return ip(
        "link add ends type dummy",
        f"address add {NEAR_END}/32 dev ends",
        f"address add {FAR_END}/32 dev ends",
        "link set dev ends up",
    )
