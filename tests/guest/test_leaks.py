# SPDX-License-Identifier: GPL-2.0-only
"""No packet shows the hints of one before it, whose buffer it has.

Every second packet gets hints. Packets are counted and judged in the guest,
by leak_observer, for they are many; what comes from a live frame passes through
the same conversions as what comes from a driver.
"""

import enum
import random
import struct
import time
from typing import NamedTuple

import pytest

from harness.api import (
    Bpf,
    Nic,
    Object,
    Rss,
    RssType,
    attach,
    build,
    cpus,
    devmap,
    entries,
    observe,
    random_flow,
    u32,
    update,
    veth,
)
from harness.datapath.bpf import live

OBSERVER = Object("leak_observer")
STORE = Object("store_alternate")
PASS = Object("xdp_pass")
IN_TC = Object("tc_redirect")
DUMP = f"bpftool -j map dump pinned {OBSERVER.map('verdicts')}"

LIVE_FRAMES = 100_000
ENOUGH = 5_000  # of each sort: a queue may overflow, but this is far more than any holds
BURST = 10_000  # frames; a tap and a cpumap hold some more, the NIC's ring has 256 buffers
BURSTS = 10
SECONDS = 10.0
NO_HASH = Rss(0, RssType.NONE)


class Verdicts(NamedTuple):
    """The twin of struct verdicts in bpf-progs/leak_observer.bpf.c, its last two apart."""

    with_hints: int
    without: int
    wrong: int
    id: int
    hash: int
    l4_hash: int
    tag: int
    timestamp: int


def expecting(plain: Rss) -> list[str]:
    """Lines that tell the observer the hash of frames without hints."""
    value = struct.pack("<8I2I", *[0] * 8, plain.hash, int(plain.covers_l4))
    return update(OBSERVER.map("verdicts"), {u32(0): value})


def verdicts(dumped: str) -> Verdicts:
    """What the line DUMP printed."""
    (value,) = entries(dumped).values()
    return Verdicts(*struct.unpack("<8I8x", value))


class Path(enum.Enum):
    """Where live frames get hints, and become an skb."""

    VETH = "redirected to a veth"
    CPU = "redirected to a CPU"
    PASS = "passed at once"
    SKBS = "passed by a veth, as skbs of its peer"
    GENERIC = "passed by generic XDP"
    GENERIC_CPU = "redirected to a CPU by generic XDP"


@pytest.mark.slow
@pytest.mark.parametrize("path", Path, ids=[path.name.lower() for path in Path])
def test_live_frames(bpf: Bpf, nic: Nic, seed: int, path: Path) -> None:
    frame = build(random_flow("ipv4/udp", random.Random(seed)), 0).data
    observed = "v1" if path in (Path.VETH, Path.SKBS) else nic.device
    runs = STORE.program("pass")
    lines = [OBSERVER.load(), STORE.load(), PASS.load(), f"ip link set dev {nic.device} up"]
    match path:
        case Path.VETH:
            runs = STORE.program("to_dev")
            lines += [*veth(), *devmap(STORE)]
        case Path.CPU:
            runs = STORE.program("to_cpu")
            lines += cpus(STORE)
        case Path.SKBS:
            runs = PASS.program("xdp_pass")
            lines += [
                *veth(napi=False),
                attach(STORE.program("pass"), "v1"),
                IN_TC.load(),
                *observe(IN_TC.program("to_v0"), nic.device),
            ]
        case Path.GENERIC:
            runs = PASS.program("xdp_pass")
            lines.append(attach(STORE.program("pass"), nic.device, "xdpgeneric"))
        case Path.GENERIC_CPU:
            runs = PASS.program("xdp_pass")
            lines += [
                *cpus(STORE),
                attach(STORE.program("to_cpu"), nic.device, "xdpgeneric"),
            ]
    lines += [
        *expecting(NO_HASH),
        *observe(OBSERVER.program("leak_observer"), observed),
        live(runs, nic.device, LIVE_FRAMES, frame),
    ]
    bpf.run(lines)
    end = time.monotonic() + SECONDS
    while True:
        counted = verdicts(bpf.run([DUMP]))
        assert counted.wrong == 0, counted
        if counted.with_hints > ENOUGH and counted.without > ENOUGH:
            break
        assert time.monotonic() < end, counted


@pytest.mark.slow
@pytest.mark.parametrize(
    ("nic", "program"),
    [
        ("eth1", "pass"),
        ("eth1", "to_dev"),
        ("eth1", "to_cpu"),
        ("eth2", "pass"),
        ("eth2", "to_dev"),
    ],
    indirect=["nic"],
)
def test_frames_through_the_nic(bpf: Bpf, nic: Nic, seed: int, program: str) -> None:
    sent = build(random_flow("ipv4/udp", random.Random(seed)), 0)
    lines = [OBSERVER.load(), STORE.load(), f"ip link set dev {nic.device} promisc on up"]
    if program == "to_dev":
        lines += [*veth(), *devmap(STORE)]
    elif program == "to_cpu":
        lines += cpus(STORE)
    lines += [
        *expecting(NO_HASH),
        *observe(OBSERVER.program("leak_observer"), "v1" if program == "to_dev" else nic.device),
        attach(STORE.program(program), nic.device),
    ]
    bpf.run(lines)
    before, _ = taken(bpf, nic)
    for burst in range(1, 2 * BURSTS):
        nic.send([sent] * BURST)
        end = time.monotonic() + SECONDS
        while True:
            now, counted = taken(bpf, nic)
            assert counted.wrong == 0, counted
            if now - before == burst * BURST:
                break
            assert time.monotonic() < end, f"{now - before} frames came in, {counted}"
        if counted.with_hints + counted.without >= BURSTS * BURST:
            break
    assert counted.with_hints + counted.without >= BURSTS * BURST, counted
    assert counted.with_hints > ENOUGH, counted
    assert counted.without > ENOUGH, counted


def taken(bpf: Bpf, nic: Nic) -> tuple[int, Verdicts]:
    """How many frames came in by the NIC, and what became of those that got through.

    A veth holds 256 frames, and drops more if its CPU stands still for a moment.
    """
    received = f"cat /sys/class/net/{nic.device}/statistics/rx_packets"
    first, dumped = bpf.run([received, DUMP]).splitlines()
    return int(first), verdicts(dumped)
