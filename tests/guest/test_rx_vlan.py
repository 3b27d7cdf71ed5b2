# SPDX-License-Identifier: GPL-2.0-only
"""bpf_xdp_store_rx_vlan: a tag given in XDP becomes the skb's on the far side of a redirect."""

from harness.api import (
    EACH_FAR_SIDE,
    SLOW,
    Bpf,
    Hints,
    Nic,
    Object,
    Seen,
    To,
    build,
    give,
    random_flows,
    random_frames,
    redirect,
    seen,
)
from harness.datapath.hints import DONE, EACH_SUBSET, ETH_P_8021AD, ETH_P_8021Q, UNSET, returned
from harness.datapath.packets import KINDS

STORE = Object("store_hints")


@EACH_FAR_SIDE
def test_every_priority_of_both_protocols(bpf: Bpf, nic: Nic, to: To, seed: int) -> None:
    tags = {
        protocol_number << 4 | priority: (protocol, priority << 12 | 0xA00 + priority)
        for protocol_number, protocol in enumerate((ETH_P_8021Q, ETH_P_8021AD))
        for priority in range(16)  # PCP and DEI
    }
    hints = give(STORE, {number: Hints(vlan=tag) for number, tag in tags.items()})
    way = redirect(bpf, nic, STORE.name, to, lines=hints)
    frames = random_frames(32, seed)
    records = way.capture(frames)
    assert len(records) == len(tags) == 32
    answers = returned(bpf.dump(STORE.map("returned")))
    assert answers == dict.fromkeys(tags, DONE)
    assert {number: seen(record) for number, record in records.items()} == {
        number: Seen(vlan=tag) for number, tag in tags.items()
    }
    for sent in frames:
        assert sent.data.startswith(records[sent.id].data)


@SLOW
def test_a_device_that_takes_no_tags_out_itself_has_them(bpf: Bpf, nic: Nic, seed: int) -> None:
    hints = give(STORE, EACH_SUBSET)
    off = "ethtool -K v1 rx-vlan-hw-parse off rx-vlan-stag-hw-parse off"
    way = redirect(bpf, nic, STORE.name, To.VETH, lines=[*hints, off])
    records = way.capture(random_frames(len(EACH_SUBSET), seed))
    assert len(records) == len(EACH_SUBSET)
    for number, given in EACH_SUBSET.items():
        assert seen(records[number]) == given.over(UNSET), given


def test_a_tag_in_the_packet_stays_there(bpf: Bpf, nic: Nic, seed: int) -> None:
    """Without a stored tag the stack takes it out, as always; with one, it is the inner tag."""
    hints = give(STORE, {1: Hints(vlan=(ETH_P_8021AD, 0xE064))})
    way = redirect(bpf, nic, STORE.name, To.VETH, lines=hints)
    frames = [
        build(flow, number, vlan=0x2005) for number, flow in enumerate(random_flows(2, seed, KINDS))
    ]
    records = way.capture(frames)
    assert len(records) == 2
    assert seen(records[0]) == Seen(vlan=(ETH_P_8021Q, 0x2005))
    assert records[0].protocol != ETH_P_8021Q
    assert seen(records[1]) == Seen(vlan=(ETH_P_8021AD, 0xE064))
    assert records[1].data[12:16] == bytes.fromhex("8100 2005")
