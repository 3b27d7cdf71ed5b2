# SPDX-License-Identifier: GPL-2.0-only
"""The words of harness/api.py that no proof of the series needs: what they say is so."""

import pytest

from harness.api import (
    Bpf,
    BpfError,
    CaptureError,
    Frame,
    Nic,
    Outgoing,
    Way,
    address,
    bridge,
    bridge_vlan,
    build,
    lay,
    listening,
    random_flows,
    random_frames,
    running,
    veth,
    vlan,
)
from harness.datapath.links import VETH2_INDEX

pytestmark = pytest.mark.unchanged

FORWARD = "tc filter add dev {} ingress flower action mirred egress redirect dev {}"


def forwarded(bpf: Bpf, nic: Nic, *lines: str, observed: str) -> Way:
    """A way from the NIC to v0, whose peer is v1, with these lines behind it."""
    to_v0 = [f"tc qdisc add dev {nic.device} clsact", FORWARD.format(nic.device, "v0")]
    ways = [*veth(napi=False), *lines, *to_v0]
    return lay(bpf, nic, "redirect_plain", "", ways, observed=[observed])


def tagged(count: int, seed: int, vids: list[int]) -> list[Frame]:
    """Frames with tags of these VLANs in turn."""
    flows = random_flows(count, seed)
    return [build(flow, at, vlan=vids[at % len(vids)]) for at, flow in enumerate(flows)]


def test_a_vlan_device_gets_what_has_its_tag(bpf: Bpf, nic: Nic, seed: int) -> None:
    way = forwarded(bpf, nic, *vlan("v1", 5), observed="v1.5")
    frames = tagged(9, seed, [5, 6])
    records = way.capture(frames, arriving=[0, 2, 4, 6, 8])
    assert {record.vlan_present for record in records.values()} == {0}


def test_what_arrives_against_the_assertion(bpf: Bpf, nic: Nic, seed: int) -> None:
    way = forwarded(bpf, nic, observed="v1")
    frames = random_frames(4, seed)
    with pytest.raises(CaptureError, match=r"not to arrive: 0, 2"):
        way.capture(frames, arriving=[1, 3])


def test_the_last_one_must_arrive(bpf: Bpf, nic: Nic, seed: int) -> None:
    """Where it does not, nothing was shown of the others."""
    way = forwarded(bpf, nic, *vlan("v1", 5), observed="v1.5")
    with pytest.raises(CaptureError, match=r"^1 frames of 2 were seen"):
        way.capture(tagged(2, seed, [5, 6]), 1, arriving=[0, 1])
    with pytest.raises(ValueError, match="the last one"):
        way.capture(random_frames(2, seed), arriving=[0])
    with pytest.raises(ValueError, match="the last one"):
        way.capture(random_frames(2, seed), arriving=[1, 2])


@pytest.mark.parametrize(("protocol", "tpid"), [("802.1Q", 0x8100), ("802.1ad", 0x88A8)])
def test_the_tag_on_the_wire(bpf: Bpf, nic: Nic, seed: int, protocol: str, tpid: int) -> None:
    device = nic.device
    lines = [
        *veth(napi=False),
        *vlan(device, 5, protocol=protocol),
        f"tc qdisc add dev {device} clsact",
        FORWARD.format(device, f"{device}.5"),
    ]
    lay(bpf, nic, "redirect_plain", "", lines, observed=[])
    frames = random_frames(4, seed)
    nic.send(frames)
    assert nic.receive(4) == [Outgoing(sent.id, sent.data, (tpid, 5)) for sent in frames]


def test_duplicates_on_the_wire(bpf: Bpf, nic: Nic, seed: int) -> None:
    device = nic.device
    lines = [
        f"tc qdisc add dev {device} clsact",
        f"tc filter add dev {device} ingress flower action mirred egress mirror dev {device}"
        f" action mirred egress redirect dev {device}",
    ]
    lay(bpf, nic, "redirect_plain", "", lines, observed=[])
    frames = random_frames(2, seed)
    nic.send(frames)
    assert [out.id for out in nic.receive(4)] == [0, 0, 1, 1]


def test_a_bridge_lets_through_its_vlans_only(bpf: Bpf, nic: Nic, seed: int) -> None:
    lines = [
        *veth("w", VETH2_INDEX, napi=False),
        *bridge("v1", "w0", filtering=True),
        *bridge_vlan("add dev v1 vid 5", "add dev w0 vid 5 untagged", "del dev v1 vid 1"),
    ]
    way = forwarded(bpf, nic, *lines, observed="w1")
    frames = [*tagged(8, seed, [5, 6]), *[build(flow, 8) for flow in random_flows(1, seed)]]
    frames.append(build(random_flows(1, seed)[0], 9, vlan=5))
    records = way.capture(frames, arriving=[0, 2, 4, 6, 9])
    assert {record.vlan_present for record in records.values()} == {0}


def test_addresses_of_two_namespaces_talk(bpf: Bpf) -> None:
    """At once, also by IPv6, whose address is not tried out first."""
    bpf.run(
        [
            *veth(napi=False, namespace="far"),
            *address("v0", "10.1.0.1/24", "2001:db8::1/64"),
            *address("v1", "10.1.0.2/24", "2001:db8::2/64", namespace="far"),
        ]
    )
    serve = "nsenter --net=/run/netns/far /bin/busybox nc -l -p 5000"
    for here in ("10.1.0.2", "2001:db8::2"):
        with running(bpf, serve, until=listening(5000, namespace="far")) as server:
            bpf.run([f"echo words | nc {here} 5000"])
            assert server.wait() == "words\n"


def test_a_process_ends_with_its_block(bpf: Bpf) -> None:
    with running(bpf, "touch /tmp/up; sleep 1000 & sleep 2000", until="[ -e /tmp/up ]"):
        assert len(bpf.run(["pidof sleep"]).split()) == 2
    assert bpf.run(["pidof sleep || :; ls -d /tmp/tmp.* 2>/dev/null || :"]) == ""


def test_a_process_that_is_not_ready_says_why(bpf: Bpf) -> None:
    with (
        pytest.raises(BpfError, match="no such port"),
        running(bpf, "echo no such port; exit 3", until=listening(5000)),
    ):
        pass


def test_a_process_that_fails_says_why(bpf: Bpf) -> None:
    with (
        running(bpf, "echo some words; exit 3") as process,
        pytest.raises(BpfError, match=r"exit status 3 in the guest: .*\n +some words"),
    ):
        process.wait()


def test_a_process_that_becomes_another_program_is_waited_for(bpf: Bpf) -> None:
    with running(bpf, "exec echo words") as process:
        assert process.wait() == "words\n"


def test_only_that_port_counts(bpf: Bpf) -> None:
    ready, other = listening(5001), listening(5000)
    with running(bpf, "busybox nc -l -p 5001", until=ready):
        lines = [f"if {other}; then echo other; fi", f"if {ready}; then echo ready; fi"]
        assert bpf.run(lines) == "ready\n"
