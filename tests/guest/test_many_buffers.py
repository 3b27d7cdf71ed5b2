# SPDX-License-Identifier: GPL-2.0-only
"""Hints of packets that are in many buffers: frames and skbs with fragments."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from harness.api import (
    SLOW,
    Bpf,
    Frame,
    Nic,
    Object,
    To,
    attach,
    bridge,
    build,
    cpus,
    devmap,
    give,
    lay,
    observe,
    random_flows,
    random_frames,
    redirect,
    seen,
    veth,
)
from harness.datapath.bpf import PACKET_SOCKET
from harness.datapath.hints import DONE, EACH_SUBSET, UNSET, by_nic, returned
from harness.datapath.links import ROUTED, VETH2_INDEX, routed

IN_TC = Object("tc_redirect")
OTHER = "02:00:00:00:00:99"  # whom no frame is for


def frames_of(seed: int) -> list[Frame]:
    return random_frames(len(EACH_SUBSET), seed, payload=bytes(8000))


@SLOW
def test_the_nics_hash_arrives(bpf: Bpf, nic: Nic, seed: int) -> None:
    bpf.run([f"ip link set dev {nic.device} mtu 9000"])
    way = redirect(bpf, nic, "redirect_hash_frags", To.VETH_GRO, bound=True, mtu=9000)
    frames = frames_of(seed)
    records = way.capture(frames)
    assert len(records) == len(frames)
    for sent in frames:
        assert seen(records[sent.id]) == by_nic(sent, way.rss_key)
        assert records[sent.id].len == len(sent.data)


@pytest.mark.parametrize(
    "to",
    [
        pytest.param(To.VETH_GRO, id="veth"),
        pytest.param(To.CPU, id="cpu", marks=SLOW),
        pytest.param(None, id="pass", marks=SLOW),
    ],
)
def test_each_subset(bpf: Bpf, nic: Nic, seed: int, to: To | None) -> None:
    store = Object("store_hints_frags")
    bpf.run([f"ip link set dev {nic.device} mtu 9000"])
    if to is None:
        way = lay(bpf, nic, store.name, "pass", give(store, EACH_SUBSET), observed=[nic.device])
    else:
        way = redirect(bpf, nic, store.name, to, mtu=9000, lines=give(store, EACH_SUBSET))
    frames = frames_of(seed)
    records = way.capture(frames)
    assert len(records) == len(EACH_SUBSET)
    assert returned(bpf.dump(store.map("returned"))) == dict.fromkeys(EACH_SUBSET, DONE)
    for number, given in EACH_SUBSET.items():
        assert seen(records[number]) == given.over(UNSET), given
        assert records[number].len == len(frames[number].data)
        # A flag of xdp_buff beside those of the hints; sockets drop what has it.
        assert records[number].pfmemalloc == 0


@SLOW
@pytest.mark.parametrize("kind", ["frames", "skbs"])
def test_a_veths_program(bpf: Bpf, nic: Nic, seed: int, kind: str) -> None:
    store = Object("store_hints_frags")
    storing = [*give(store, EACH_SUBSET), attach(store.program("pass"), "v1")]
    bpf.run([f"ip link set dev {nic.device} mtu 9000", store.load(), *veth(napi=False, mtu=9000)])
    if kind == "frames":
        plain = Object("redirect_plain_frags")
        way = lay(bpf, nic, plain.name, "to_dev", [*devmap(plain), *storing], observed=["v1"])
    else:
        sending = [IN_TC.load(), *observe(IN_TC.program("to_v0"), nic.device)]
        way = lay(bpf, nic, "xdp_pass", "", [*storing, *sending], observed=["v1"])
    frames = frames_of(seed)
    records = way.capture(frames)
    assert len(records) == len(EACH_SUBSET)
    for sent in frames:
        before = by_nic(sent, way.rss_key) if kind == "skbs" else UNSET
        assert seen(records[sent.id]) == EACH_SUBSET[sent.id].over(before), sent.id
        assert records[sent.id].len == len(sent.data)


@SLOW
def test_to_cut_off_all_other_buffers_does_no_harm(bpf: Bpf, nic: Nic, seed: int) -> None:
    store = Object("store_hints_frags")
    bpf.run([f"ip link set dev {nic.device} mtu 9000"])
    lines = give(store, EACH_SUBSET)
    way = redirect(bpf, nic, store.name, To.VETH, program="to_dev_cut", lines=lines)
    records = way.capture(frames_of(seed))
    assert len(records) == len(EACH_SUBSET)
    for number, given in EACH_SUBSET.items():
        assert seen(records[number]) == given.over(UNSET), given
        assert records[number].len == 100


@SLOW
@pytest.mark.parametrize("program", ["pass", "to_cpu"])
def test_generic_xdp(bpf: Bpf, nic: Nic, seed: int, program: str) -> None:
    """They are copied to buffers of the kernel's before the program runs."""
    store = Object("store_hints_frags")
    bpf.run([f"ip link set dev {nic.device} mtu 9000"])
    lines = [*give(store, EACH_SUBSET), *cpus(store)]
    way = lay(bpf, nic, store.name, program, lines, observed=[nic.device], mode="xdpgeneric")
    frames = frames_of(seed)
    records = way.capture(frames)
    assert len(records) == len(EACH_SUBSET)
    assert returned(bpf.dump(store.map("returned"))) == dict.fromkeys(EACH_SUBSET, DONE)
    for sent in frames:
        record = records[sent.id]
        assert seen(record) == EACH_SUBSET[sent.id].over(by_nic(sent, way.rss_key)), sent.id
        assert sent.data.startswith(record.data)
        assert record.len == len(sent.data)


@pytest.mark.parametrize("kind", ["many buffers", pytest.param("cloned", marks=SLOW)])
def test_a_cpumap_gets_what_generic_xdp_copied(bpf: Bpf, nic: Nic, seed: int, kind: str) -> None:
    """The stack takes them for what they are: on the base it looks at the wrong header.

    TC on the device does not tell: it sees the packet as a whole in both cases.
    """
    plain = Object("redirect_plain_frags")
    (flow,) = random_flows(1, seed, ["ipv4/udp"])
    flow = replace(flow, destination=ip_address(ROUTED))
    ends = veth("w", VETH2_INDEX, napi=False, mtu=9000)
    if kind == "cloned":
        lines = [
            *ends,
            *veth(napi=False),
            f"{PACKET_SOCKET} v0",
            f"ip link set dev {nic.device} address {OTHER}",
            *bridge(nic.device, "v0"),
            plain.load(),
            *cpus(plain),
            attach(plain.program("to_cpu"), "v1", "xdpgeneric"),
            *routed("v1", "w0", 1),
        ]
        way = lay(bpf, nic, "xdp_pass", "", lines, observed=["w1"])
        sent = build(flow, 1)
    else:
        bpf.run([f"ip link set dev {nic.device} mtu 9000"])
        lines = [*ends, *cpus(plain), *routed(nic.device, "w0", 1)]
        way = lay(bpf, nic, plain.name, "to_cpu", lines, observed=["w1"], mode="xdpgeneric")
        sent = build(flow, 1, payload=bytes(8000))
    assert way.capture([sent])[1].len == len(sent.data)
