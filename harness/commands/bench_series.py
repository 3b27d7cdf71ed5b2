# SPDX-License-Identifier: GPL-2.0-only
"""What the series costs, in guest instructions: the same on any machine, however noisy.

Under `-icount shift=0` one instruction of the guest takes one nanosecond of
its clock, so the difference of two clock readings in the guest is a count. One
packet at a time goes from the driver through the XDP program to TC ingress;
the most frequent count is taken, as a timer tick may fall between.

What of it is the program's own, for arguments and calls, is told by a twin: the
same program, but the functions that it calls do nothing.
"""

import json
import statistics
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, replace

from harness.artefacts.tree import origin
from harness.commands import bench_calls
from harness.console.log import own_console
from harness.core.errors import LabError
from harness.core.git import git
from harness.core.progress import say, step
from harness.core.workspace import Layout, Selection, machine_dir
from harness.datapath.bpf import Bpf, Object, attach, observe, u32
from harness.datapath.devices import Nic
from harness.datapath.links import veth
from harness.datapath.packets import build as build_frame
from harness.datapath.packets import random_flows
from harness.datapath.topology import devmap
from harness.machine import qemu, vm
from harness.machine.held import built
from harness.machine.options import Options
from harness.testing.dut import NICS, RESET_SCRIPT

PACKETS = 100
WARM_UP = 300  # packets; the 256 buffers posted before XDP came have no headroom and are copied
REPEAT = 100_000  # runs of BPF_PROG_TEST_RUN; its result is a mean, rounded to instructions
PACE = 0.01  # seconds between two packets: one is through in a twentieth of it
ARRIVAL_SECONDS = 10.0
WAYS = ("redirect", "pass")
NOTHING = "nothing"  # loads on a kernel without the series too
TAKEN = struct.Struct("=QQ")  # struct taken of bpf-progs/bench.h
ARRIVED = struct.Struct("=16xI4x")  # of its struct way


@dataclass(frozen=True)
class Cost:
    """Instructions of a packet.

    to_program: from the driver's poll to the XDP program; what fentry takes is in it.
    redirect, passed: from there to TC ingress.
    setters: of those that the program calls, from entry to ret, so with each one's endbr64 and
        ftrace's nop.
    kernel_redirect, kernel_passed: from setter to skb, that is the setters and what the kernel does
        more than for a packet without hints.
    """

    kernel: str
    behaviour: str
    to_program: int
    redirect: int
    passed: int
    setters: int = 0
    kernel_redirect: int = 0
    kernel_passed: int = 0


def measure(selection: Selection) -> tuple[list[Cost], list[bench_calls.CallCost]]:
    """Packets, on the bare kernel first, and calls. Builds the bare kernel if it is not current."""
    costs, calls = [], []
    for kernel, chosen in (("bare", replace(selection, bare=True)), ("series", selection)):
        with _counting_machine(chosen) as (bpf, nic):
            nothing = _nothing(bpf, nic, kernel)
            costs.append(nothing)
            if kernel == "series":
                # What a twin calls does nothing, but takes a few instructions; 1 is the call.
                idle = _alone(bpf, "idle") - _alone(bpf, NOTHING) - 1
                costs += _storing(bpf, nic, nothing, idle)
                with step("bench", f"{kernel} kernel, calls on the store"):
                    calls = bench_calls.measure(bpf, idle)
    return costs, calls


def report(selection: Selection) -> None:
    """Measure, print the tables, and write them as JSON too."""
    costs, calls = measure(selection)
    file = Layout.of(selection).variant / "bench.json"
    tables = {"packets": map(asdict, costs), "calls": map(asdict, calls)}
    measured = {"tree": _tree(selection)} | {name: [*rows] for name, rows in tables.items()}
    file.write_text(json.dumps(measured, indent=2) + "\n")
    rows: list[tuple[object, ...]] = [
        ("", "driver", "XDP", "to skb", "setters,", "setter", "to skb"),
        ("guest instructions", "to XDP", *WAYS, "alone", *WAYS),
    ]
    rows += [(f"{cost.kernel} kernel, {cost.behaviour}", *astuple(cost)[2:]) for cost in costs]
    for row in rows:
        say(f"{row[0]:<24}" + "".join(f"{value:>10}" for value in row[1:]))
    for call in calls:
        say(f"{call.call:<24}{call.instructions:>10}")
    say(f"as JSON: {file}")


def _tree(selection: Selection) -> str:
    """git's name of what was compiled, by which `patches cover` knows it; "" of a user's tree."""
    if selection.tree:
        return ""
    return git(origin(selection), "rev-parse", f"{selection.commit or 'HEAD'}^{{tree}}").strip()


def _nothing(bpf: Bpf, nic: Nic, kernel: str) -> Cost:
    with step("bench", f"{kernel} kernel, {NOTHING}"):
        to_program, redirect = _way(bpf, nic, NOTHING, NOTHING, "redirect")
        _, passed = _way(bpf, nic, NOTHING, NOTHING, "pass")
    return Cost(kernel, NOTHING, to_program, redirect, passed)


def _storing(bpf: Bpf, nic: Nic, nothing: Cost, idle: int) -> Iterator[Cost]:
    for name, calls in bench_calls.OF_A_PACKET.items():
        with step("bench", f"{nothing.kernel} kernel, {name}"):
            twin = f"{name}_idle"
            to_program, redirect = _way(bpf, nic, name, name, "redirect")
            _, passed = _way(bpf, nic, name, name, "pass")
            _, twin_redirect = _way(bpf, nic, name, twin, "redirect")
            _, twin_passed = _way(bpf, nic, name, twin, "pass")
            by_idle = len(calls) * idle
            yield Cost(
                nothing.kernel,
                name,
                to_program,
                redirect,
                passed,
                sum(bench_calls.cost(bpf, call, idle) for call in calls),
                redirect - twin_redirect + by_idle,
                passed - twin_passed + by_idle,
            )


@contextmanager
def _counting_machine(selection: Selection) -> Iterator[tuple[Bpf, Nic]]:
    """A machine whose clock counts instructions: one CPU, one thread, no waiting."""
    counting = qemu.Accelerator(
        "tcg,thread=single", "Nehalem,+rdrand", "icount counts instructions"
    )
    with built(selection) as artefacts:
        console = own_console(machine_dir())
        spec = replace(artefacts.spec(console), accelerator=counting, options=Options(cpus=1))
        spec = replace(spec, icount=True)
        with vm.boot(spec, artefacts.access) as machine:
            if not machine.packets:
                raise machine.no_tap or LabError("no tap")
            yield Bpf(machine.guest, artefacts.programs.objects), Nic(NICS[0], machine.packets[0])


def _way(bpf: Bpf, nic: Nic, name: str, program: str, way: str) -> tuple[int, int]:
    """From the driver to the object's program, and from there to TC ingress."""
    measured = Object(f"bench_{name}")
    bpf.script(RESET_SCRIPT, (" ".join(NICS), f"lab: bench of {program} by {way}"))
    bpf.run(
        [
            f"{measured.load()} autoattach",
            *veth(),
            *devmap(measured),
            *observe(measured.program("bench_arrived"), "v1" if way == "redirect" else nic.device),
            f"ip link set dev {nic.device} promisc on up",
            attach(measured.program(f"{way}_{program}"), nic.device),
        ]
    )
    (flow,) = random_flows(1, seed=1, kinds=["ipv4/udp"])
    frame = build_frame(flow, 0)
    nic.send([frame] * WARM_UP)
    _wait(bpf, measured, WARM_UP)
    for _ in range(PACKETS):
        nic.send([frame])
        time.sleep(PACE)
    _wait(bpf, measured, WARM_UP + PACKETS)
    took = bpf.dump(measured.map("took"))
    taken = [TAKEN.unpack(took[u32(WARM_UP + number)]) for number in range(PACKETS)]
    to_program, to_tc = zip(*taken, strict=True)
    return statistics.mode(to_program), statistics.mode(to_tc)


def _wait(bpf: Bpf, measured: Object, packets: int) -> None:
    """Until that many packets have arrived. Raises LabError if they don't."""
    end = time.monotonic() + ARRIVAL_SECONDS
    while True:
        (way,) = bpf.dump(measured.map("way")).values()
        (arrived,) = ARRIVED.unpack(way)
        if arrived >= packets:
            return
        if time.monotonic() > end:
            raise LabError(f"{arrived} of {packets} packets arrived for {measured.name}")


def _alone(bpf: Bpf, program: str) -> int:
    """Of one run of bench_nothing's program alone, by BPF_PROG_TEST_RUN."""
    measured = Object(f"bench_{NOTHING}")
    printed = bpf.run(
        [
            f"[ -d {measured.directory} ] || {measured.load()}",
            "head -c 64 /dev/zero >/tmp/frame",
            f"bpftool -j prog run pinned {measured.program(f'alone_{program}')}"
            f" data_in /tmp/frame repeat {REPEAT}",
        ],
        timeout=120.0,
    )
    return int(json.loads(printed)["duration"])
