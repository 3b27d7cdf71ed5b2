# SPDX-License-Identifier: GPL-2.0-only
"""No packet has a key of one before it, whose buffer it has.

Every second packet gets keys. Packets are counted and judged in the guest, by
kv_alternate, for they are many.
"""

import enum
import random
import struct
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest

from harness.api import (
    Bpf,
    Nic,
    Object,
    attach,
    build,
    cpus,
    devmap,
    random_flow,
    veth,
)
from harness.datapath.bpf import live

STORE = Object("kv_alternate")
PASS = Object("xdp_pass")

FRAMES = 100_000
ENOUGH = 5_000  # of each sort: a queue may overflow, but this is far more than any holds
BURST = 10_000
SECONDS = 10.0


class Verdicts(NamedTuple):
    """The twin of struct verdicts in bpf-progs/kv_alternate.bpf.c."""

    first: int
    with_keys: int
    without: int
    wrong: int


def verdicts_when(bpf: Bpf, reached: Callable[[Verdicts], bool]) -> Verdicts:
    """The verdicts when they have got so far. Raises AssertionError for a wrong packet before."""
    end = time.monotonic() + SECONDS
    while True:
        (value,) = bpf.dump(STORE.map("verdicts")).values()
        counted = Verdicts(*struct.unpack("<4I", value))
        assert counted.wrong == 0, counted
        if reached(counted):
            return counted
        assert time.monotonic() < end, counted


def enough(counted: Verdicts) -> bool:
    """Whether that many packets of each sort got to the end of the way."""
    return counted.with_keys > ENOUGH and counted.without > ENOUGH


def came(frames: int, counted: Verdicts) -> bool:
    """Whether that many got to the first program."""
    return counted.first >= frames


class Path(enum.Enum):
    """What becomes of frames after keys were stored for every second one."""

    VETH = "redirected to a veth"
    CPU = "redirected to a CPU"
    GENERIC_CPU = "redirected to a CPU by generic XDP"


def lay(path: Path, nic: Nic) -> list[str]:
    lines = [STORE.load(), PASS.load(), f"ip link set dev {nic.device} promisc on up"]
    if path is Path.VETH:
        count = attach(STORE.program("count_and_drop"), "v1")
        return [*lines, *veth(napi=False), *devmap(STORE), count]
    return [*lines, *cpus(STORE, STORE.program("count_on_cpumap"))]


@pytest.mark.slow
@pytest.mark.parametrize("path", Path, ids=[path.name.lower() for path in Path])
def test_live_frames(bpf: Bpf, nic: Nic, seed: int, path: Path) -> None:
    frame = build(random_flow("ipv4/udp", random.Random(seed)), 0).data
    lines = lay(path, nic)
    if path is Path.GENERIC_CPU:
        lines.append(attach(STORE.program("to_cpu"), nic.device, "xdpgeneric"))
        runs = PASS.program("xdp_pass")
    else:
        runs = STORE.program("to_dev" if path is Path.VETH else "to_cpu")
    bpf.run([*lines, live(runs, nic.device, FRAMES, frame)])
    assert verdicts_when(bpf, enough).first == FRAMES


@pytest.mark.slow
@pytest.mark.parametrize("program", ["drop_even", "abort_even"])
def test_live_frames_that_are_dropped(bpf: Bpf, nic: Nic, seed: int, program: str) -> None:
    """Those with keys are; those that come after them in their pages have none."""
    frame = build(random_flow("ipv4/udp", random.Random(seed)), 0).data
    lines = lay(Path.VETH, nic)
    bpf.run([*lines, live(STORE.program(program), nic.device, FRAMES, frame)])
    counted = verdicts_when(bpf, lambda counted: counted.without > ENOUGH)
    assert counted.first == FRAMES
    assert counted.with_keys == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("nic", "program"),
    [("eth1", "to_dev"), ("eth1", "to_cpu"), ("eth1", "pass"), ("eth2", "to_dev")],
    indirect=["nic"],
)
def test_frames_through_the_nic(bpf: Bpf, nic: Nic, seed: int, program: str) -> None:
    sent = build(random_flow("ipv4/udp", random.Random(seed)), 0)
    path = Path.CPU if program == "to_cpu" else Path.VETH
    bpf.run([*lay(path, nic), attach(STORE.program(program), nic.device)])
    for burst in range(1, FRAMES // BURST + 1):
        nic.send([sent] * BURST)
        verdicts_when(bpf, partial(came, burst * BURST))
    if program != "pass":
        verdicts_when(bpf, enough)
