# SPDX-License-Identifier: GPL-2.0-only
"""What the series costs, in guest instructions: the same on any machine, however noisy.

Under `-icount shift=0` one instruction of the guest takes one nanosecond of
its clock, so the difference of two clock readings in the guest is a count. One
packet at a time goes from the XDP program to TC ingress; the median counts, as
a timer tick that falls between is an outlier.
"""

import json
import statistics
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from harness import qemu, vm
from harness.bpf import Bpf, Object, attach, observe, u32
from harness.build import build
from harness.config import Layout, Selection, build_root
from harness.errors import LabError
from harness.fixtures import NICS, RESET_SCRIPT
from harness.lock import locked
from harness.packets import build as build_frame
from harness.packets import random_flows
from harness.progress import say, step
from harness.topology import Nic, devmap, veth

PACKETS = 100
REPEAT = 100_000  # runs of BPF_PROG_TEST_RUN; its result is a mean, rounded to instructions
PACE = 0.005  # seconds between two packets: one is through in a tenth of it
ARRIVAL_SECONDS = 10.0
BARE_BEHAVIOURS = ("nothing",)  # what loads on a kernel without the series


@dataclass(frozen=True)
class Cost:
    """Instructions of the median packet from the XDP program's start to TC ingress, by way.

    alone: of one run of a program that does just this, by BPF_PROG_TEST_RUN.
    """

    kernel: str
    behaviour: str
    redirect: int
    passed: int
    alone: int


def measure(selection: Selection) -> list[Cost]:
    """The table, bare kernel first. Builds the bare kernel as well if it is not current."""
    costs = []
    for kernel, chosen in (("bare", replace(selection, bare=True)), ("series", selection)):
        with _counting_machine(chosen) as (machine, objects):
            bpf = Bpf(machine.guest, objects)
            if not machine.packets:
                raise machine.no_tap or LabError("no tap")
            nic = Nic(NICS[0], machine.packets[0])
            names = BARE_BEHAVIOURS if kernel == "bare" else _behaviours(objects)
            for name in names:
                with step("bench", f"{kernel} kernel, {name}") as current:
                    cost = Cost(
                        kernel,
                        name,
                        _way(bpf, nic, name, "redirect"),
                        _way(bpf, nic, name, "pass"),
                        _alone(bpf, name),
                    )
                    current.note = f"{kernel} kernel, {name}: {cost.redirect} by redirect"
                costs.append(cost)
    return costs


def report(selection: Selection) -> None:
    """Measure, print the table, and write it as JSON too."""
    costs = measure(selection)
    file = Layout.of(selection).variant / "bench.json"
    file.write_text(json.dumps([asdict(cost) for cost in costs], indent=2) + "\n")
    say(f"{'instructions from XDP to skb':<32} {'redirect':>9} {'pass':>9} {'alone':>9}")
    for cost in costs:
        label = f"{cost.kernel} kernel, {cost.behaviour}"
        say(f"{label:<32} {cost.redirect:>9} {cost.passed:>9} {cost.alone:>9}")
    say(f"as JSON: {file}")


def _behaviours(objects: Path) -> list[str]:
    names = [path.name.removeprefix("bench_") for path in objects.glob("bench_*.bpf.o")]
    return sorted((name.removesuffix(".bpf.o") for name in names), key=lambda n: n != "nothing")


@contextmanager
def _counting_machine(selection: Selection) -> Iterator[tuple[vm.Machine, Path]]:
    """A machine whose clock counts instructions: one CPU, one thread, no waiting."""
    with locked(build_root()):
        artefacts = build(selection)
    counting = qemu.Accelerator(
        "tcg,thread=single", "Nehalem,+rdrand", "icount counts instructions"
    )
    console = build_root() / "vm" / "bench.log"
    spec = replace(artefacts.spec(console), accelerator=counting, cpus=1, icount=True)
    with vm.boot(spec, artefacts.access) as machine:
        yield machine, artefacts.programs.objects


def _way(bpf: Bpf, nic: Nic, behaviour: str, way: str) -> int:
    measured = Object(f"bench_{behaviour}")
    bpf.script(RESET_SCRIPT, (" ".join(NICS), f"lab: bench of {measured.name} by {way}"))
    bpf.run(
        [
            measured.load(),
            *veth(),
            *devmap(measured),
            *observe(measured.program("bench_arrived"), "v1" if way == "redirect" else nic.device),
            f"ip link set dev {nic.device} promisc on up",
            attach(measured.program(f"{way}_{behaviour}"), nic.device),
        ]
    )
    for number, flow in enumerate(random_flows(PACKETS, seed=1, kinds=["ipv4/udp"])):
        nic.send([build_frame(flow, number)])
        time.sleep(PACE)
    return round(statistics.median(_taken(bpf, measured)))


def _taken(bpf: Bpf, measured: Object) -> list[int]:
    """The nanoseconds of each packet; raises LabError unless all arrived in time."""
    end = time.monotonic() + ARRIVAL_SECONDS
    while True:
        (way,) = bpf.dump(measured.map("way")).values()
        arrived = struct.unpack("<QII", way)[1]
        if arrived >= PACKETS:
            break
        if time.monotonic() > end:
            raise LabError(f"{arrived} of {PACKETS} packets arrived for {measured.name}")
    taken = bpf.dump(measured.map("took"))
    return [int.from_bytes(taken[u32(number)], "little") for number in range(PACKETS)]


def _alone(bpf: Bpf, behaviour: str) -> int:
    measured = Object(f"bench_{behaviour}")
    program = measured.program(f"alone_{behaviour}")
    printed = bpf.run(
        [
            "head -c 64 /dev/zero >/tmp/frame",
            f"bpftool -j prog run pinned {program} data_in /tmp/frame repeat {REPEAT}",
        ],
        timeout=120.0,
    )
    duration = json.loads(printed)["duration"]
    return int(duration)
