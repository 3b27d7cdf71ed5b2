# SPDX-License-Identifier: GPL-2.0-only
"""An skb's keys when IP cuts it up or puts it together, and in the guest's own TCP."""

import itertools
from collections.abc import Mapping, Sequence

import pytest

from harness.api import (
    SLOW,
    Bpf,
    Call,
    Frame,
    Nic,
    address,
    at_egress,
    at_ingress,
    attach,
    build,
    frame,
    get,
    lay,
    listening,
    random_flows,
    running,
    set_,
    source_address,
    u32,
    veth,
    within,
)
from harness.datapath.bpf import BPFCALL
from harness.datapath.kv_cases import OK, STORE
from harness.datapath.kv_script import FIRST, HEAD, SECOND, THIRD, done, found, scripts
from harness.datapath.skb_cases import TC
from harness.datapath.skb_ways import FAR, keep
from harness.datapath.topology import OBSERVER

pytestmark = SLOW

PIECE = 400  # bytes of a fragment
INNER = 7  # id of what is in the tunnel's packet
NEAR, HERE = "10.9.2.1", "10.9.2.2"
ORDERS = list(itertools.permutations(range(3)))


def pieces(address: str, sent: Frame) -> list[Frame]:
    """A GRE packet with that frame, in three fragments, each with an id of its own."""
    from scapy.layers.inet import IP
    from scapy.layers.l2 import GRE
    from scapy.packet import Raw

    packet = bytes(GRE(proto=0x6558) / Raw(sent.data))
    cut = [packet[at : at + PIECE] for at in range(0, len(packet), PIECE)]
    return [
        frame(
            IP(src=NEAR, dst=HERE, id=4711, proto=47, frag=at * PIECE // 8, flags=flags)
            / Raw(piece),
            100 + at,
            destination=address,
        )
        for at, (piece, flags) in enumerate(zip(cut, ["MF"] * (len(cut) - 1) + [0], strict=True))
    ]


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_a_reassembled_packet_has_its_first_fragments(
    bpf: Bpf, nic: Nic, seed: int, order: Sequence[int]
) -> None:
    """In whatever order they come."""
    (flow,) = random_flows(1, seed, ["ipv4/udp"])
    sent = build(flow, INNER, payload=bytes(1000))
    sets = {100 + at: [set_(0, bytes([at + 1]) * 2), set_(at + 1, bytes(4))] for at in range(3)}
    lines = [
        TC.load(),
        *scripts(TC, sets),
        *scripts(TC, {INNER: [get(at) for at in range(4)]}, SECOND),
        f"ip address add {HERE}/24 dev {nic.device}",
        f"ip link add g1 type gretap local {HERE} remote {NEAR}",
        "ip link set dev g1 up",
        *at_ingress(TC.program("first"), nic.device),
        *at_ingress(TC.program("second"), "g1"),
    ]
    way = lay(bpf, nic, "xdp_pass", "xdp_pass", lines, observed=["g1"])
    address = bpf.run([f"cat /sys/class/net/{nic.device}/address"]).strip()
    fragments = pieces(address, sent)
    assert len(fragments) == len(order)
    way.device.send([fragments[at] for at in order])
    bpf.run([f"{BPFCALL} await {OBSERVER.maps} 1 10"])
    dumped = bpf.dump(TC.map("scripts"))
    assert {at: [call.returned for call in calls] for at, calls in done(dumped).items()} == {
        at: [OK, OK] for at in sets
    }
    (zero, one, two, three) = done(dumped, SECOND)[INNER]
    assert zero == found(b"\x01\x01")
    assert one == found(bytes(4))
    assert {two.returned, three.returned} == {-2}


# The guest's own packets have such a source, so that programs take them for frames of that id.
OWN = 1


def runs(dumped: Mapping[bytes, bytes], script: int) -> int:
    """How often a script ran."""
    return int(HEAD.unpack_from(dumped[u32(script)])[1])


def both_ends() -> list[str]:
    """Lines that let 10.9.3.1 here, on v0, and 10.9.3.2 in FAR, on v1, talk."""
    return [
        *veth(napi=False, namespace=FAR),
        *address("v0", "10.9.3.1/24"),
        *address("v1", "10.9.3.2/24", namespace=FAR),
        f"{within(FAR)}/bin/ip link set dev v1 address {source_address(OWN)}",
    ]


SIZE, PORT = 24 << 20, 5000


def talk(bpf: Bpf) -> str:
    """Have v1's end send that many bytes to v0's, by TCP; "same" if all came as they were."""
    # It is cat that sends: busybox's nc would send 1 KiB at a time.
    give = "printf '#!/bin/sh\\nexec cat /tmp/sent\\n' >/tmp/give"
    bpf.run([f"head -c {SIZE} /dev/urandom >/tmp/sent", give, "chmod +x /tmp/give"])
    server = f"{within(FAR)}/bin/busybox nc -l -p {PORT} -e /tmp/give"
    with running(bpf, server, until=listening(PORT, namespace=FAR)) as sender:
        bpf.run([f"nc 10.9.3.2 {PORT} </dev/null >/tmp/came"], timeout=240)
        sender.wait()
    compare = "cmp /tmp/sent /tmp/came && echo same"
    return bpf.run([compare, "rm /tmp/sent /tmp/came /tmp/give"]).strip()


@pytest.mark.deadline(300)
@pytest.mark.parametrize("gro", ["on", "off"])
def test_tcp_with_programs_at_both_ends(bpf: Bpf, gro: str) -> None:
    """Megabytes, of each packet something is stored at TC and by XDP, and read: all bytes come."""
    stored: list[Call] = [set_(5, b"12345678"), set_(6, b"1234")]
    lines = [
        *both_ends(),
        TC.load(),
        STORE.load(),
        *scripts(TC, {OWN: [set_(1, b"87654321")]}, FIRST),
        *scripts(STORE, {OWN: stored}, SECOND),
        *scripts(TC, {OWN: [get(1), get(5), get(6)]}, THIRD),
        *at_egress(TC.program("first"), "v1", within(FAR)),
        keep("v0", "1"),
        attach(STORE.program("pass_second"), "v0"),
        f"ethtool -K v0 gro {gro}",
        *at_ingress(TC.program("third"), "v0"),
    ]
    bpf.run(lines)
    assert talk(bpf) == "same"
    dumped = bpf.dump(TC.map("scripts"))
    third = done(dumped, THIRD)
    assert third[OWN] == [found(b"87654321"), found(b"12345678"), found(b"1234")]
    frames = runs(bpf.dump(STORE.map("scripts")), OWN | SECOND)
    assert frames >= SIZE // 1500  # it takes one packet of the wire's size at a time
    assert 0 < runs(dumped, OWN | THIRD) <= frames


@pytest.mark.deadline(300)
def test_each_segment_has_what_was_stored_for_all(bpf: Bpf) -> None:
    """Of what TCP gave as one packet, and was cut up for a device that can't."""
    lines = [
        *both_ends(),
        TC.load(),
        *scripts(TC, {OWN: [set_(1, b"87654321")]}, FIRST),
        *scripts(TC, {OWN: [get(1)]}, THIRD),
        f"{within(FAR)}/bin/ethtool -K v1 tso off",
        *at_egress(TC.program("first"), "v1", within(FAR)),
        keep("v0", "1"),
        *at_ingress(TC.program("third"), "v0"),
    ]
    bpf.run(lines)
    assert talk(bpf) == "same"
    dumped = bpf.dump(TC.map("scripts"))
    assert done(dumped, THIRD)[OWN] == [found(b"87654321")]
    assert runs(dumped, OWN | THIRD) > 2 * runs(dumped, OWN | FIRST)
