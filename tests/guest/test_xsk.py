# SPDX-License-Identifier: GPL-2.0-only
"""AF_XDP: a socket gets the packet, and no hint."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from harness.api import (
    Bpf,
    BpfError,
    Hints,
    Nic,
    Object,
    Outgoing,
    RssType,
    attach,
    build,
    cpus,
    devmap,
    give,
    lay,
    observe,
    random_flows,
    random_frames,
    seen,
    veth,
)
from harness.datapath.bpf import PACKET_SOCKET, XSK
from harness.datapath.hints import DONE, ETH_P_8021AD, UNSET, returned
from harness.datapath.links import ROUTED, VETH2_INDEX, routed
from harness.datapath.topology import CPUS, OBSERVE

pytestmark = pytest.mark.slow

TO_XSK = Object("store_to_xsk")
PLAIN = Object("redirect_plain")
STORE = Object("store_hints")

# Each subset of the fields.
HINTS = {
    number: Hints(
        (0xC0DE0000 + number, int(RssType.L4)) if number & 1 else None,
        (ETH_P_8021AD, 0xE000 + number) if number & 2 else None,
        2**60 + number if number & 4 else None,
    )
    for number in range(8)
}


@pytest.mark.parametrize("mode", ["xdpdrv", "xdpgeneric"])
def test_a_socket_gets_the_packet_as_it_came(bpf: Bpf, nic: Nic, seed: int, mode: str) -> None:
    """It sends it back."""
    lines = [f"{XSK} {nic.device} copy {TO_XSK.map('xskmap')}", *give(TO_XSK, HINTS)]
    lay(bpf, nic, TO_XSK.name, "to_xsk", lines, observed=[], mode=mode)
    frames = random_frames(len(HINTS), seed)
    nic.send(frames)
    assert nic.receive(len(frames)) == [Outgoing(sent.id, sent.data) for sent in frames]
    assert returned(bpf.dump(TO_XSK.map("returned"))) == dict.fromkeys(HINTS, DONE)


@pytest.mark.parametrize("program", ["pass", "to_cpu"])
def test_what_a_socket_sent_is_its_own_until_a_timestamp_is_stored(
    bpf: Bpf, nic: Nic, seed: int, program: str
) -> None:
    """Where an skb has the timestamp the sender's skb has a pointer, which its end writes to.

    v1's socket sends what it gets to v0, which has generic XDP: that keeps the sender's skb.
    """
    lines = [
        *veth(napi=False),
        *devmap(PLAIN),
        TO_XSK.load(),
        f"{XSK} v1 copy {TO_XSK.map('xskmap')}",
        attach(TO_XSK.program("to_xsk"), "v1"),
        STORE.load(),
        *cpus(STORE),
        *give(STORE, HINTS),
        attach(STORE.program(program), "v0", "xdpgeneric"),
    ]
    way = lay(bpf, nic, PLAIN.name, "to_dev", lines, observed=["v0"])
    records = way.capture(random_frames(len(HINTS), seed))
    assert len(records) == len(HINTS)
    for number, given in HINTS.items():
        assert seen(records[number]) == given.over(UNSET), given
        assert records[number].has_sender == int(given.timestamp is None), given


def test_a_senders_pointer_is_no_timestamp_where_its_packet_is_received(
    bpf: Bpf, nic: Nic, seed: int
) -> None:
    """v1's socket wants to know when it sent: v0's skb has a pointer, until IP takes it over."""
    (flow,) = random_flows(1, seed, ["ipv4/udp"])
    lines = [
        *veth(napi=False),
        *veth("w", VETH2_INDEX, napi=False),
        *devmap(PLAIN),
        TO_XSK.load(),
        f"{XSK} v1 stamped {TO_XSK.map('xskmap')}",
        attach(TO_XSK.program("to_xsk"), "v1"),
        *routed("v0", "w0", 1),
        *observe(OBSERVE, "v0"),
    ]
    way = lay(bpf, nic, PLAIN.name, "to_dev", lines, observed=["w1"])
    sent = build(replace(flow, destination=ip_address(ROUTED)), 1)
    before, after = way.capture_copies([sent], 2)
    assert before.has_sender
    assert before.hwtstamp != 0
    assert not after.has_sender
    assert after.hwtstamp == 0
    told = bpf.run(["until [ -s /run/xsk-sent ]; do sleep 0.01; done; cat /run/xsk-sent"])
    assert int(told) > 0


def test_a_senders_pointer_is_no_timestamp_in_the_ring_of_a_packet_socket(
    bpf: Bpf, nic: Nic, seed: int
) -> None:
    """It sees v0's skb first, which still has the pointer of v1's socket."""
    stamped = "/run/packet-stamped"
    lines = [
        *veth(napi=False),
        *devmap(PLAIN),
        TO_XSK.load(),
        f"{XSK} v1 stamped {TO_XSK.map('xskmap')}",
        attach(TO_XSK.program("to_xsk"), "v1"),
        f"{PACKET_SOCKET} v0 {stamped}",
    ]
    way = lay(bpf, nic, PLAIN.name, "to_dev", lines, observed=["v0"])
    (frame,) = random_frames(1, seed)
    (record,) = way.capture([frame]).values()
    assert record.has_sender
    assert record.hwtstamp != 0
    line = f"grep ^{frame.data[:12].hex()} {stamped}"
    told = bpf.run([f"until {line} >/dev/null; do sleep 0.01; done; {line}"])
    assert [stamp for _, stamp in map(str.split, told.splitlines())] == ["0"]


def test_a_senders_pointer_is_not_copied(bpf: Bpf, nic: Nic, seed: int) -> None:
    """v0's generic XDP runs on a copy, whose sender's skb still has it."""
    storing = Object("store_hints_frags")
    lines = [
        *veth(napi=False),
        *devmap(PLAIN),
        TO_XSK.load(),
        f"{XSK} v1 stamped {TO_XSK.map('xskmap')}",
        attach(TO_XSK.program("to_xsk"), "v1"),
        storing.load(),
        attach(storing.program("pass"), "v0", "xdpgeneric"),
    ]
    way = lay(bpf, nic, PLAIN.name, "to_dev", lines, observed=["v0"])
    records = way.capture(random_frames(4, seed))
    assert {(each.has_sender, each.hwtstamp) for each in records.values()} == {(0, 0)}
    told = bpf.run(["until [ -s /run/xsk-sent ]; do sleep 0.01; done; cat /run/xsk-sent"])
    assert int(told) > 0


@pytest.mark.unchanged
def test_a_socket_knows_by_which_napi_its_packets_come(bpf: Bpf, nic: Nic, seed: int) -> None:
    """It is what a busy poll of the socket polls."""
    lines = [f"{XSK} {nic.device} copy {TO_XSK.map('xskmap')}"]
    lay(bpf, nic, TO_XSK.name, "to_xsk", lines, observed=[])
    frames = random_frames(1, seed)
    nic.send(frames)
    assert [out.id for out in nic.receive(1)] == [0]
    assert int(bpf.run(["cat /run/xsk"])) > CPUS  # lower ones are CPUs


@pytest.mark.base("6.12")
@pytest.mark.unchanged
def test_virtio_net_has_no_zero_copy(bpf: Bpf, nic: Nic) -> None:
    """Else hints would have to be proven in memory that user space can write to, too."""
    with pytest.raises(BpfError, match="bind: Operation not supported"):
        bpf.run([TO_XSK.load(), f"{XSK} {nic.device} zerocopy {TO_XSK.map('xskmap')}"])
