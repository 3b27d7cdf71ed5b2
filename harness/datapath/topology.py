# SPDX-License-Identifier: GPL-2.0-only
"""Sends frames through the guest and captures them: NIC, a program that redirects, an observer.

A test makes a `Way` and calls `capture`; that returns only when the
observer has recorded every frame that was sent, so no test can pass on nothing.
"""

import enum
import re
from collections import Counter
from collections.abc import Collection, Sequence

from harness.core.errors import LabError
from harness.datapath.bpf import BPFCALL, Bpf, Object, attach, entry, observe, u32, update
from harness.datapath.devices import Giving, GuestTap, Nic
from harness.datapath.links import VETH_INDEX, veth, within
from harness.datapath.packets import Frame
from harness.datapath.skb import SkbRecord

CAPTURE_SECONDS = 10
BURST = 128  # frames; a veth's ring holds 256 (VETH_RING_SIZE) and drops what does not fit
CPUS = 2
TAP = "t0"
OBSERVER = Object("skb_observer", kept=True)
OBSERVE = OBSERVER.program("skb_observer")
OBSERVE_ANEW = (OBSERVER.load(), f"{BPFCALL} zero {OBSERVER.maps}")
CPUMAP_QUEUE = 16384  # frames, the most that there may be: as many as wait on the wire


class CaptureError(LabError):
    """Not exactly the frames that were sent arrived at the observer."""


class To(enum.Enum):
    """Where the redirected frame becomes an skb."""

    VETH = "a veth whose peer runs XDP"
    VETH_GRO = "a veth whose peer has GRO on, and no XDP"
    CPU = "another CPU, by cpumap"


class Way:
    """A way through the guest: a program on the device, and an observer at the far end.

    rss_key: of the NIC, as ethtool shows it; b"" for a tap.
    """

    def __init__(
        self, bpf: Bpf, device: Nic | GuestTap, program: Object, rss_key: bytes = b""
    ) -> None:
        self.bpf = bpf
        self.device = device
        self.program = program
        self.rss_key = rss_key
        self._captured = 0

    def capture(
        self,
        frames: Sequence[Frame],
        seconds: int = CAPTURE_SECONDS,
        *,
        arriving: Collection[int] | None = None,
    ) -> dict[int, SkbRecord]:
        """Send frames and return the skbs that they became, by the frames' ids.

        arriving: the ids of those that must arrive, if not all; the last one sent must be
        among them: what is to arrive before it would have been seen by then, for a way keeps
        the order of frames, unless it leads to several CPUs.
        Raises CaptureError unless each of them was recorded within these seconds (of
        the guest's clock), each once and nothing else of the lab's; ValueError if
        there are none or two have the same id.
        """
        ids = [frame.id for frame in frames]
        wanted = ids if arriving is None else list(arriving)
        if not frames or ids[-1] not in wanted or not set(wanted) <= set(ids):
            raise ValueError("frames that arrive: of those sent, the last one among them")
        return {record.id: record for record in self._capture(frames, Counter(wanted), seconds)}

    def capture_copies(
        self, frames: Sequence[Frame], copies: int, seconds: int = CAPTURE_SECONDS
    ) -> list[SkbRecord]:
        """As `capture`, where each frame must be seen that many times; in the order seen."""
        return self._capture(frames, Counter({frame.id: copies for frame in frames}), seconds)

    def _capture(
        self, frames: Sequence[Frame], wanted: Counter[int], seconds: int
    ) -> list[SkbRecord]:
        if not frames or len({frame.id for frame in frames}) != len(frames):
            raise ValueError("frames to capture: at least one, each with an id of its own")
        first, new, other = self._captured, [], 0
        for start in range(0, len(frames), BURST):
            burst = frames[start : start + BURST]
            self.device.send(burst)
            before = self._captured
            self._captured += sum(wanted[frame.id] for frame in burst)
            counts, *records = self.bpf.run(
                [f"{BPFCALL} records {OBSERVER.maps} {before} {self._captured} {seconds}"]
            ).splitlines()
            seen, _, other = map(int, counts.split())
            new += [SkbRecord.from_bytes(bytes.fromhex(record)) for record in records]
            if seen != self._captured:
                break
        watched = self.bpf.recorder.captured(frames, new)
        ids = Counter(record.id for record in new)
        if ids != wanted:
            unwanted = ", ".join(f"{id_}" for id_ in sorted(ids.keys() - wanted.keys()))
            raise CaptureError(
                f"{seen - first} frames of {wanted.total()} were seen"
                f" ({len(new)} recorded, {other} of the guest's own)"
                + (f"; not to arrive: {unwanted}" if unwanted else "")
                + f"\n{self._statistics()}"
            )
        return watched

    def _statistics(self) -> str:
        return self.bpf.run(["ip -s link show up", "bpftool net"])


def lay(
    bpf: Bpf,
    nic: Nic,
    name: str,
    program: str,
    lines: Sequence[str],
    *,
    observed: Sequence[str],
    bound: bool = False,
    mode: str = "xdpdrv",
    namespace: str = "",
) -> Way:
    """Build a way through the guest, in one round trip.

    name, program: of the object, which is loaded, and which of its programs goes on the NIC,
    "" if none.
    lines: what lies behind it; they run when that object is loaded.
    observed: the devices at whose TC ingress skbs are recorded, none if only `Nic.receive` or
    the programs' maps are looked at. bound: to the
    NIC, as a program must be that calls the driver's getters. mode: how it is
    attached. namespace: where the observed devices are. Raises BpfError.
    """
    first = Object(name, nic.device if bound else None)
    inside = within(namespace)
    printed = bpf.run(
        [
            *OBSERVE_ANEW,
            first.load(),
            f"ip link set dev {nic.device} promisc on up",
            *lines,
            *(line for device in observed for line in observe(OBSERVE, device, inside)),
            f"ethtool -K {nic.device} rxhash on",
            *([attach(first.program(program), nic.device, mode)] if program else []),
            f"ethtool -x {nic.device}",
        ]
    )
    return Way(bpf, nic, first, rss_key(printed))


def lay_on_tap(
    bpf: Bpf,
    giving: Giving,
    name: str,
    program: str,
    lines: Sequence[str] = (),
    *,
    observed: str = TAP,
    bound: bool = False,
) -> Way:
    """As `lay`, on a tap of the guest's, made for it, that is given frames that way."""
    first = Object(name, TAP if bound else None)
    bpf.run(
        [
            *OBSERVE_ANEW,
            f"ip tuntap add dev {TAP} mode tap",
            f"ip link set dev {TAP} up",
            first.load(),
            *lines,
            *observe(OBSERVE, observed),
            attach(first.program(program), TAP),
        ]
    )
    return Way(bpf, GuestTap(TAP, bpf, giving), first)


def redirect(
    bpf: Bpf,
    nic: Nic,
    name: str,
    to: To,
    *,
    program: str = "",
    bound: bool = False,
    mtu: int = 1500,
    lines: Sequence[str] = (),
) -> Way:
    """A way whose program redirects.

    program: else to_dev or to_cpu by `to`. mtu: of v0 and v1. lines: that run
    before the program is attached. The rest as `lay`.
    """
    redirecting = Object(name, nic.device if bound else None)
    if to is To.CPU:
        there, observed = cpus(redirecting), nic.device
    else:
        there, observed = [*veth(napi=to is To.VETH, mtu=mtu), *devmap(redirecting)], "v1"
        if to is To.VETH_GRO:
            there.append("ethtool -K v1 gro on")
    program = program or ("to_cpu" if to is To.CPU else "to_dev")
    return lay(bpf, nic, name, program, [*there, *lines], observed=[observed], bound=bound)


def rss_key(printed: str) -> bytes:
    """The key in what `ethtool -x` printed. Raises LabError if there is none."""
    found = re.search(r"^RSS hash key:\n([0-9a-f:]+)$", printed, re.MULTILINE)
    if not found:
        raise LabError(f"no RSS key in what ethtool -x printed: {printed[-500:]!r}")
    return bytes.fromhex(found[1].replace(":", ""))


def devmap(redirecting: Object, *indices: int) -> list[str]:
    """Lines that let the object's devmap lead to these devices, v0 if none is given."""
    values = dict(enumerate(indices or (VETH_INDEX,)))
    return update(
        redirecting.map("devmap"), {u32(at): u32(index) + u32(0) for at, index in values.items()}
    )


def cpus(redirecting: Object, runs: str = "") -> list[str]:
    """Lines that let the object's cpumap lead to both CPUs; runs: a program, pinned, that does."""
    path = redirecting.map("cpumap")
    if runs:
        return [entry(path, cpu, CPUMAP_QUEUE, runs) for cpu in range(CPUS)]
    return update(path, {u32(cpu): u32(CPUMAP_QUEUE) + u32(0) for cpu in range(CPUS)})
