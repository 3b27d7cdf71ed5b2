# SPDX-License-Identifier: GPL-2.0-only
"""Keys and values of packets in many buffers, of which nothing may be lost."""

import pytest

from harness.api import (
    SLOW,
    Bpf,
    Call,
    Frame,
    Nic,
    Object,
    Way,
    at_ingress,
    attach,
    cpus,
    delete,
    devmap,
    get,
    lay,
    random_frames,
    seen,
    set_,
    veth,
    within,
)
from harness.datapath.hints import UNSET, by_nic
from harness.datapath.kv_cases import EACH, NOTHING, OK, STORED, check_first, given, hints_of, read
from harness.datapath.kv_script import HW_TIMESTAMP, SECOND, Kind, done, found, move, scripts
from harness.datapath.skb_cases import TC, held, holding, reading

pytestmark = SLOW

FRAGS = Object("kv_script_frags")
FAR = "far"
MTU = 9000
PAYLOAD = bytes(8000)


def to_veth(bpf: Bpf, nic: Nic, namespace: str = "") -> Way:
    """To a veth whose other end, in that namespace, runs the second program."""
    lines = [
        f"ip link set dev {nic.device} mtu {MTU}",
        *veth(napi=False, mtu=MTU, namespace=namespace),
        *given(FRAGS),
        *devmap(FRAGS),
        within(namespace) + attach(FRAGS.program("pass_second"), "v1"),
    ]
    return lay(bpf, nic, FRAGS.name, "to_dev", lines, observed=["v1"], namespace=namespace)


def check_whole(way: Way, frames: list[Frame], *, cut: int = 0) -> None:
    """Each arrives as an skb of its length, but for what was cut off its end."""
    records = way.capture(frames)
    for sent in frames:
        assert records[sent.id].len == len(sent.data) - cut
        assert sent.data.startswith(records[sent.id].data)


@pytest.mark.parametrize("namespace", ["", FAR], ids=["here", "far"])
def test_redirected_to_a_veth(bpf: Bpf, nic: Nic, seed: int, namespace: str) -> None:
    """Into another namespace, too, where the keys are gone and nothing else is."""
    way = to_veth(bpf, nic, namespace)
    frames = random_frames(len(STORED), seed, payload=PAYLOAD)
    records = way.capture(frames)
    check_first(bpf, FRAGS)
    second = done(bpf.dump(FRAGS.map("scripts")), SECOND)
    assert second == {number: read(number, keys=not namespace) for number in STORED}
    for sent in frames:
        assert records[sent.id].len == len(sent.data)
        assert seen(records[sent.id]) == hints_of(sent.id).over(UNSET)


def test_they_are_the_skbs(bpf: Bpf, nic: Nic, seed: int) -> None:
    lines = [
        f"ip link set dev {nic.device} mtu {MTU}",
        TC.load(),
        *reading(SECOND),
        *scripts(FRAGS, EACH),
        *at_ingress(TC.program("second"), nic.device),
    ]
    way = lay(bpf, nic, FRAGS.name, "pass", lines, observed=[nic.device])
    check_whole(way, random_frames(len(STORED), seed, payload=PAYLOAD))
    check_first(bpf, FRAGS)
    assert held(bpf.dump(TC.map("scripts")), SECOND) == holding()


def test_on_a_cpumaps_entry_as_skbs(bpf: Bpf, nic: Nic, seed: int) -> None:
    lines = [
        f"ip link set dev {nic.device} mtu {MTU}",
        *given(FRAGS),
        *cpus(FRAGS, FRAGS.program("on_cpumap")),
    ]
    way = lay(bpf, nic, FRAGS.name, "to_cpu", lines, observed=[nic.device], mode="xdpgeneric")
    frames = random_frames(len(STORED), seed, payload=PAYLOAD)
    records = way.capture(frames)
    check_first(bpf, FRAGS)
    second = done(bpf.dump(FRAGS.map("scripts")), SECOND)
    assert second == {number: read(number) for number in STORED}
    for sent in frames:
        assert records[sent.id].len == len(sent.data)
        assert seen(records[sent.id]) == hints_of(sent.id).over(by_nic(sent, way.rss_key))


HINT = set_(HW_TIMESTAMP, bytes(8))
TAKEN_AWAY: list[list[Call]] = [
    [set_(1, bytes(8)), delete(1)],
    [HINT, delete(HW_TIMESTAMP)],
    [HINT, set_(1, bytes(8)), delete(1)],
    [HINT, set_(1, bytes(8)), delete(HW_TIMESTAMP), delete(1)],
    [set_(1, bytes(8)), set_(2, bytes(2)), delete(1)],
]


@pytest.mark.parametrize("program", ["to_dev", "pass"])
def test_nothing_but_a_key_is_taken_away(bpf: Bpf, nic: Nic, seed: int, program: str) -> None:
    if program == "to_dev":
        way = to_veth(bpf, nic)
    else:
        lines = [f"ip link set dev {nic.device} mtu {MTU}"]
        way = lay(bpf, nic, FRAGS.name, program, lines, observed=[nic.device])
    bpf.run(scripts(FRAGS, dict(enumerate(TAKEN_AWAY))))
    check_whole(way, random_frames(len(TAKEN_AWAY), seed, payload=PAYLOAD))
    ran = done(bpf.dump(FRAGS.map("scripts")))
    assert {at: [call.returned for call in calls] for at, calls in ran.items()} == {
        at: [OK] * len(calls) for at, calls in enumerate(TAKEN_AWAY)
    }


def test_the_last_buffer_is_cut_off(bpf: Bpf, nic: Nic, seed: int) -> None:
    """Then the packet is in one buffer, and has what was stored."""
    way = to_veth(bpf, nic)
    value = bytes(range(1, 9))
    (sent,) = random_frames(1, seed, payload=PAYLOAD)
    cut = len(sent.data) - 1000
    bpf.run(
        [
            *scripts(FRAGS, {0: [set_(3, value), move(Kind.TAIL, -cut), get(3)]}),
            *scripts(FRAGS, {0: [get(3), get(4)]}, SECOND),
        ]
    )
    check_whole(way, [sent], cut=cut)
    dumped = bpf.dump(FRAGS.map("scripts"))
    assert [call.returned for call in done(dumped)[0]] == [OK, OK, 8]
    assert done(dumped, SECOND)[0] == [found(value), NOTHING]
