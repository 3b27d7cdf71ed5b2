# SPDX-License-Identifier: GPL-2.0-only
"""Ways through the guest: frames enter by the NIC, a program redirects them, an observer records.

A test makes a `Redirection` and calls `capture`; that returns only when the
observer has recorded every frame that was sent, so no test can pass on nothing.
"""

import enum
import errno
import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.bpf import Bpf, Object, attach, batch, entries, observe, u32, update
from harness.errors import LabError
from harness.packets import Frame
from harness.skb import SkbRecord

CAPTURE_SCRIPT = Path(__file__).with_name("capture.sh").read_bytes()
CAPTURE_SECONDS = 5
SEND_SECONDS = 5.0
CPUS = 2
VETH_INDEX = 100  # v0's, chosen so that the devmap can be filled without asking
CPUMAP_QUEUE = 2048  # frames; the default of 192 is less than what one burst may hold


class CaptureError(LabError):
    """Not exactly the frames that were sent arrived at the observer."""


class To(enum.Enum):
    """Where the redirected frame becomes an skb."""

    VETH = "a veth whose peer runs XDP"
    VETH_GRO = "a veth whose peer has GRO on, and no XDP"
    CPU = "another CPU, by cpumap"


@dataclass(frozen=True)
class Nic:
    """The NIC under test. packets: an AF_PACKET socket on the host's end of it."""

    device: str
    packets: socket.socket

    def send(self, frames: Sequence[Frame]) -> None:
        """Give the NIC the frames, in this order. Raises LabError if it takes none for 5 s."""
        end = time.monotonic() + SEND_SECONDS
        for frame in frames:
            while not self._sent(frame):
                if time.monotonic() > end:
                    raise LabError(f"the tap of {self.device} takes no more frames")
                time.sleep(0.001)

    def _sent(self, frame: Frame) -> bool:
        try:
            self.packets.send(frame.data)
        except OSError as error:
            if error.errno not in (errno.ENOBUFS, errno.EAGAIN):
                raise
            return False
        return True


class Redirection:
    """A program on the NIC that redirects, and an observer at the far end.

    rss_key: of the NIC, as ethtool shows it.
    """

    def __init__(
        self, bpf: Bpf, nic: Nic, program: Object, observer: Object, rss_key: bytes
    ) -> None:
        self.bpf = bpf
        self.nic = nic
        self.program = program
        self.rss_key = rss_key
        self._observer = observer
        self._captured = 0

    def capture(self, frames: Sequence[Frame]) -> dict[int, SkbRecord]:
        """Send frames and return the skbs that they became, by the frames' ids.

        Raises CaptureError unless each of them was recorded within 5 s (of the
        guest's clock), each once and nothing else of the lab's; ValueError if
        there are none or two have the same id.
        """
        if not frames or len({frame.id for frame in frames}) != len(frames):
            raise ValueError("frames to capture: at least one, each with an id of its own")
        self.nic.send(frames)
        before, self._captured = self._captured, self._captured + len(frames)
        printed = self.bpf.script(
            CAPTURE_SCRIPT, (self._observer.maps, str(self._captured), str(CAPTURE_SECONDS))
        )
        counts, dumped = printed.splitlines()[:2]
        seen, _, other = _counts(entries(counts))
        records = {
            int.from_bytes(key, "little"): SkbRecord.from_bytes(value)
            for key, value in entries(dumped).items()
        }
        new = [record for sequence, record in sorted(records.items()) if sequence >= before]
        if seen != self._captured or {r.id for r in new} != {f.id for f in frames}:
            raise CaptureError(
                f"{seen - before} frames of {len(frames)} were seen"
                f" ({len(new)} recorded, {other} of the guest's own)\n{self._statistics()}"
            )
        return {record.id: record for record in new}

    def _statistics(self) -> str:
        return self.bpf.run(["ip -s link show up", "bpftool net"])


def redirect(
    bpf: Bpf, nic: Nic, name: str, to: To, *, program: str = "", bound: bool = False
) -> Redirection:
    """Build the way through the guest, in one round trip.

    name: of the object whose program redirects. program: one of its programs,
    else to_dev or to_cpu by `to`. bound: to the NIC, as a program must be that
    calls the driver's getters. Raises BpfError.
    """
    redirecting = Object(name, nic.device if bound else None)
    observer = Object("skb_observer")
    program = program or ("to_cpu" if to is To.CPU else "to_dev")
    observed = nic.device if to is To.CPU else "v1"
    printed = bpf.run(
        [
            observer.load(),
            redirecting.load(),
            f"ip link set dev {nic.device} promisc on up",
            *(_cpus(redirecting) if to is To.CPU else _veth(redirecting, to)),
            *observe(observer.program("skb_observer"), observed),
            f"ethtool -K {nic.device} rxhash on",
            attach(redirecting.program(program), nic.device),
            f"ethtool -x {nic.device}",
        ]
    )
    return Redirection(bpf, nic, redirecting, observer, rss_key(printed))


def rss_key(printed: str) -> bytes:
    """The key in what `ethtool -x` printed. Raises LabError if there is none."""
    found = re.search(r"^RSS hash key:\n([0-9a-f:]+)$", printed, re.MULTILINE)
    if not found:
        raise LabError(f"no RSS key in what ethtool -x printed: {printed[-500:]!r}")
    return bytes.fromhex(found[1].replace(":", ""))


def _veth(redirecting: Object, to: To) -> list[str]:
    """v0, which the program redirects to, and its peer v1, where the frames arrive.

    veth_xdp_xmit drops unless the peer has NAPI, which XDP or GRO gives it.
    """
    passing = Object("xdp_pass")
    if to is To.VETH:
        napi = [passing.load(), attach(passing.program("xdp_pass"), "v1")]
    else:
        napi = ["ethtool -K v1 gro on"]
    links = [
        f"link add v0 index {VETH_INDEX} type veth peer name v1",
        "link set dev v0 up",
        "link set dev v1 up",
    ]
    return [
        *batch("ip -batch -", links),
        *napi,
        *update(redirecting.map("devmap"), {u32(0): u32(VETH_INDEX)}),
    ]


def _cpus(redirecting: Object) -> list[str]:
    values = {u32(cpu): u32(CPUMAP_QUEUE) for cpu in range(CPUS)}
    return update(redirecting.map("cpumap"), values)


def _counts(dumped: dict[bytes, bytes]) -> tuple[int, int, int]:
    """(seen, recorded, other) of the observer's struct counts."""
    (value,) = dumped.values()
    seen, recorded, other = (int.from_bytes(value[at : at + 4], "little") for at in (0, 4, 8))
    return seen, recorded, other
