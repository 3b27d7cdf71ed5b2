# SPDX-License-Identifier: GPL-2.0-only
"""Links of the guest's: lines that make devices, in a network namespace or in the guest's own.

What is not here iproute2 does, in its own words: `ip`, `bridge_vlan`.
"""

from harness.datapath.bpf import Object, attach, batch
from harness.datapath.packets import DESTINATION, source_address

# v0's, chosen so that the devmap can be filled without asking, and beyond what the kernel gives
# to the next device: it counts up from one to the next.
VETH_INDEX = 100_000
VETH2_INDEX = 200_000  # of a second pair
PASSING = Object("xdp_pass", kept=True)
BRIDGE = "br1"
ROUTED = "10.88.0.1"  # the far side of `routed`


def within(namespace: str) -> str:
    """What to put before a command, with its path, that must run in that network namespace.

    Not `ip netns exec`: that hides bpffs below a new /sys. With its path, for
    busybox's nsenter prefers busybox's applets.
    """
    return f"nsenter --net=/run/netns/{namespace} " if namespace else ""


def ip(*commands: str, namespace: str = "") -> list[str]:
    """Lines that have these done by ip, in a namespace."""
    return batch(f"{within(namespace)}/bin/ip -batch -", commands)


def address(device: str, *addresses: str, namespace: str = "") -> list[str]:
    """Lines that give a device addresses, as 10.0.0.1/24 or 2001:db8::1/64, usable at once."""
    # An IPv6 address is tentative for a second otherwise (RFC 4862, 5.4).
    return ip(
        *(
            f"address add {each} dev {device}{' nodad' if ':' in each else ''}"
            for each in addresses
        ),
        namespace=namespace,
    )


def veth(
    name: str = "v",
    index: int = VETH_INDEX,
    *,
    napi: bool = True,
    namespace: str = "",
    mtu: int = 1500,
) -> list[str]:
    """Lines that make v0, with that index, and its peer v1, both up.

    name: "w" makes w0 and w1. namespace: in which v1 is; it is made.
    napi: let v1 run a program that passes. veth_xdp_xmit drops unless the
    peer has NAPI, which XDP or GRO gives it.
    """
    links = [
        f"link add {name}0 index {index} mtu {mtu} type veth peer name {name}1 mtu {mtu}"
        + (f" netns {namespace}" if namespace else ""),
        f"link set dev {name}0 up",
    ]
    inside = within(namespace)
    lines = [
        *([f"ip netns add {namespace}"] if namespace else []),
        *batch("ip -batch -", links),
        f"{inside}/bin/ip link set dev {name}1 up",
    ]
    if napi:
        lines.append(PASSING.load())
        lines.append(inside + attach(PASSING.program("xdp_pass"), f"{name}1"))
    return lines


def vlan(
    device: str, vid: int, *, protocol: str = "802.1Q", index: int = 0, namespace: str = ""
) -> list[str]:
    """Lines that make DEVICE.VID, a VLAN device: it tags what leaves, and gets what has its tag.

    protocol: of the tag, or 802.1ad. index: the device's; 0: the kernel's choice.
    """
    name = f"{device}.{vid}"
    chosen = f" index {index}" if index else ""
    return ip(
        f"link add link {device} name {name}{chosen} type vlan protocol {protocol} id {vid}",
        f"link set dev {name} up",
        namespace=namespace,
    )


def routed(inward: str, outward: str, frame_id: int) -> list[str]:
    """Lines that have the guest send on by IP what comes to ROUTED, from one device to another.

    frame_id: of the frame that comes out, whatever it was.
    """
    return [
        # Else what IPv6 sends of its own has the frame's id.
        f"echo 1 >/proc/sys/net/ipv6/conf/{outward}/disable_ipv6",
        *ip(
            f"link set dev {inward} address {DESTINATION}",
            f"link set dev {outward} address {source_address(frame_id)}",
            f"route add {ROUTED} dev {outward}",
            f"neighbour add {ROUTED} dev {outward} lladdr {DESTINATION}",
        ),
        *address(inward, "10.87.0.1/24"),
        "echo 1 >/proc/sys/net/ipv4/ip_forward",
    ]


def bridge(*devices: str, filtering: bool = False) -> list[str]:
    """Lines that make the bridge br1 of devices, which may be down, and of the NIC too.

    filtering: by VLAN; each device is in VLAN 1 then, untagged, until `bridge_vlan` changes it.
    """
    return ip(
        f"link add {BRIDGE} type bridge vlan_filtering {int(filtering)}",
        *(f"link set dev {device} master {BRIDGE}" for device in devices),
        f"link set dev {BRIDGE} up",
    )


def bridge_vlan(*commands: str) -> list[str]:
    """Lines that have these done by iproute2's bridge, as `add dev v1 vid 5 pvid untagged`."""
    return batch("bridge -batch -", [f"vlan {command}" for command in commands])
