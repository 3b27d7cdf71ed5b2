# SPDX-License-Identifier: GPL-2.0-only
"""Keys and values, and hints by their keys, in XDP programs that run on skbs."""

import pytest

from harness.api import (
    SLOW,
    Bpf,
    Nic,
    Object,
    attach,
    cpus,
    delete,
    devmap,
    entry,
    lay,
    observe,
    random_frames,
    seen,
    set_,
    veth,
)
from harness.datapath.hints import by_nic
from harness.datapath.kv_cases import (
    EACH,
    NOTHING,
    OK,
    READING,
    STORE,
    STORED,
    check_first,
    given,
    read,
)
from harness.datapath.kv_script import (
    HW_HASH,
    HW_TIMESTAMP,
    HW_VLAN,
    SECOND,
    THIRD,
    Kind,
    done,
    move,
    scripts,
    write,
)
from harness.datapath.links import PASSING, VETH2_INDEX, VETH_INDEX

pytestmark = SLOW

PLAIN = Object("redirect_plain")
PASS = Object("xdp_pass")
IN_TC = Object("tc_redirect")


def test_xdp_on_an_skb_starts_empty(bpf: Bpf, nic: Nic, seed: int) -> None:
    """The NIC's program passes; the skb goes to a veth, and what was stored does not."""
    lines = [
        *veth(napi=False),
        *given(),
        attach(STORE.program("pass_second"), "v1"),
        IN_TC.load(),
        *observe(IN_TC.program("to_v0"), nic.device),
    ]
    way = lay(bpf, nic, STORE.name, "pass", lines, observed=["v1"])
    way.capture(random_frames(len(STORED), seed))
    check_first(bpf)
    second = done(bpf.dump(STORE.map("scripts")), SECOND)
    assert second == dict.fromkeys(STORED, [NOTHING] * len(READING))


def test_a_second_redirect_of_an_skb_starts_empty(bpf: Bpf, nic: Nic, seed: int) -> None:
    """What the first one told an entry's program, in skb->cb, is not told again."""
    lines = [
        *veth(napi=False),
        *given(),
        *devmap(STORE),
        PLAIN.load(),
        *cpus(PLAIN, STORE.program("on_cpumap")),
        attach(PLAIN.program("to_cpu"), "v1", "xdpgeneric"),
    ]
    way = lay(bpf, nic, STORE.name, "to_dev", lines, observed=["v1"], mode="xdpgeneric")
    way.capture(random_frames(len(STORED), seed))
    check_first(bpf)
    second = done(bpf.dump(STORE.map("scripts")), SECOND)
    assert second == dict.fromkeys(STORED, [NOTHING] * len(READING))


def test_each_skb_of_a_broadcast_has_its_own(bpf: Bpf, nic: Nic, seed: int) -> None:
    """Two entries whose programs read, and the first takes a key away and writes another."""
    changing = [*READING, delete(0), set_(9, bytes(8))]
    lines = [
        *veth(),
        *veth("w", VETH2_INDEX),
        *given(),
        *scripts(STORE, dict.fromkeys(STORED, changing), SECOND),
        entry(STORE.map("devmap"), 0, VETH_INDEX, STORE.program("on_devmap")),
        entry(STORE.map("devmap"), 1, VETH2_INDEX, STORE.program("third_on_devmap")),
    ]
    observed = ["v1", "w1"]
    way = lay(bpf, nic, STORE.name, "to_all", lines, observed=observed, mode="xdpgeneric")
    way.capture_copies(random_frames(len(STORED), seed), 2)
    check_first(bpf)
    dumped = bpf.dump(STORE.map("scripts"))
    second = done(dumped, SECOND)
    assert {number: calls[:-2] for number, calls in second.items()} == {
        number: read(number) for number in STORED
    }
    assert done(dumped, THIRD) == {number: read(number) for number in STORED}


@pytest.mark.parametrize("program", ["to_dev", "tx"])
def test_a_veths_program_stores_for_an_skb(bpf: Bpf, nic: Nic, seed: int, program: str) -> None:
    """Which the veth makes a frame of, and sends to another one, or back."""
    far, ran = ("w1", SECOND) if program == "to_dev" else ("v0", THIRD)
    reads = STORE.program("pass_second" if program == "to_dev" else "pass_third")
    lines = [
        *veth(napi=False),
        *veth("w", VETH2_INDEX, napi=False),
        STORE.load(),
        *given(),
        *(scripts(STORE, EACH, SECOND) if program == "tx" else []),
        *devmap(STORE, VETH2_INDEX),
        attach(STORE.program(program), "v1"),
        attach(reads, far),
        IN_TC.load(),
        *observe(IN_TC.program("to_v0"), nic.device),
    ]
    way = lay(bpf, nic, PASS.name, "xdp_pass", lines, observed=[far])
    way.capture(random_frames(len(STORED), seed))
    dumped = bpf.dump(STORE.map("scripts"))
    stored = done(dumped, SECOND if program == "tx" else 0)
    assert {number: [call.returned for call in calls] for number, calls in stored.items()} == {
        number: [OK] * len(calls) for number, calls in EACH.items()
    }
    assert done(dumped, ran) == {number: read(number) for number in STORED}


def test_hints_that_an_entrys_program_takes_away(bpf: Bpf, nic: Nic, seed: int) -> None:
    """The skb does not get them, nor what the program then has in their place."""
    hints = [
        set_(HW_HASH, (0x12345678).to_bytes(4, "little") + bytes(4)),
        set_(HW_VLAN, bytes.fromhex("8100 2301")),
        set_(HW_TIMESTAMP, b"\x11" * 8),
    ]
    keys = HW_HASH, HW_VLAN, HW_TIMESTAMP
    gone = [[key] for key in keys] + [list(keys)]
    second = [[delete(key) for key in each] for each in gone]
    second[3] += [move(Kind.HEAD, -216), move(Kind.HEAD, 216)]
    lines = [
        *scripts(STORE, dict.fromkeys(range(4), hints)),
        *scripts(STORE, dict(enumerate(second)), SECOND),
        *cpus(STORE, STORE.program("on_cpumap")),
    ]
    way = lay(bpf, nic, STORE.name, "to_cpu", lines, observed=[nic.device], mode="xdpgeneric")
    frames = random_frames(4, seed)
    records = way.capture(frames)
    ran = done(bpf.dump(STORE.map("scripts")), SECOND)
    assert {call.returned for calls in ran.values() for call in calls} == {OK}
    for sent in frames:
        shown, plain = seen(records[sent.id]), by_nic(sent, way.rss_key)
        left = set(keys) - set(gone[sent.id])
        assert shown.hash == (0x12345678 if HW_HASH in left else plain.hash)
        assert shown.vlan == ((0x8100, 0x123) if HW_VLAN in left else None)
        assert shown.timestamp == (0x1111111111111111 if HW_TIMESTAMP in left else 0)


@pytest.mark.parametrize("to", ["cpu", "dev"])
def test_an_entrys_program_on_an_skb_that_grew(bpf: Bpf, nic: Nic, seed: int, to: str) -> None:
    """For which generic XDP's first program left less headroom than a packet comes with."""
    frames = random_frames(len(STORED), seed)
    grow = {sent.id: [*EACH[sent.id], move(Kind.HEAD, -40), write(sent.data)] for sent in frames}
    back = [*READING, move(Kind.HEAD, 40)]
    lines = [
        *veth(napi=False),
        PASSING.load(),
        attach(PASSING.program("xdp_pass"), "v1"),
        *given(),
        *scripts(STORE, grow),
        *scripts(STORE, dict.fromkeys(STORED, back), SECOND),
        *cpus(STORE, STORE.program("on_cpumap")),
        entry(STORE.map("devmap"), 0, VETH_INDEX, STORE.program("on_devmap")),
    ]
    observed = [nic.device if to == "cpu" else "v1"]
    way = lay(bpf, nic, STORE.name, f"to_{to}", lines, observed=observed, mode="xdpgeneric")
    records = way.capture(frames)
    dumped = bpf.dump(STORE.map("scripts"))
    assert {call.returned for calls in done(dumped).values() for call in calls} == {OK}
    second = done(dumped, SECOND)
    assert {number: calls[:-1] for number, calls in second.items()} == {
        number: read(number) for number in STORED
    }
    for sent in frames:
        assert records[sent.id].len == len(sent.data)
