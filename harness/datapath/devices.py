# SPDX-License-Identifier: GPL-2.0-only
"""Where frames come in: the NIC under test, from the host, or a tap of the guest's."""

import enum
import errno
import itertools
import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.core.errors import LabError
from harness.datapath.bpf import Bpf, by_tap, by_vhost, live
from harness.datapath.packets import SOURCE_PREFIX, Frame
from harness.machine.tap import PACKET_AUXDATA

SEND_SECONDS = 10.0
# linux/if_packet.h: tp_status, tp_vlan_tci and tp_vlan_tpid of struct tpacket_auxdata
AUXDATA = struct.Struct("=I12xHH")
TP_STATUS_VLAN_VALID = 1 << 4


@dataclass(frozen=True)
class Outgoing:
    """A frame of the lab's as a NIC sent it.

    vlan: (TPID, TCI) of its outermost tag, or None.
    data: the frame without that tag, which the host takes out (skb_vlan_untag()).
    """

    id: int
    data: bytes
    vlan: tuple[int, int] | None = None


@dataclass(frozen=True)
class Nic:
    """The NIC under test.

    packets: an AF_PACKET socket on the host's end of it.
    """

    device: str
    packets: socket.socket

    def send(self, frames: Sequence[Frame]) -> None:
        """Give the NIC the frames, in this order. Raises LabError if it takes none for 10 s."""
        end = time.monotonic() + SEND_SECONDS
        for frame in frames:
            while not self._sent(frame):
                if time.monotonic() > end:
                    raise LabError(f"the tap of {self.device} takes no more frames")
                time.sleep(0.001)

    def receive(self, count: int) -> list[Outgoing]:
        """What the NIC sends of the lab's frames, in order, until there are that many.

        Fewer if they don't come within 10 s. Frames that came before count too.
        To prove that nothing else came, send one frame more, and find it at the end of the list.
        """
        return list(itertools.islice(self._came(), count))

    def _came(self) -> Iterator[Outgoing]:
        """The lab's frames that the NIC sends, until some time is over."""
        end = time.monotonic() + SEND_SECONDS
        while time.monotonic() < end:
            if not select.select([self.packets], [], [], 0.1)[0]:
                continue
            data, ancillary, _, _ = self.packets.recvmsg(65536, socket.CMSG_SPACE(AUXDATA.size))
            if data[6:10] == SOURCE_PREFIX:
                tags = [_tag(value) for _, kind, value in ancillary if kind == PACKET_AUXDATA]
                yield Outgoing(int.from_bytes(data[10:12], "big"), data, tags[0] if tags else None)

    def _sent(self, frame: Frame) -> bool:
        try:
            self.packets.send(frame.data)
        except OSError as error:
            if error.errno not in (errno.ENOBUFS, errno.EAGAIN):
                raise
            return False
        return True


class Giving(enum.Enum):
    """How a tap of the guest's is given frames. Each goes by another function of tun's.

    A write that may wait leaves XDP to the generic code (tun_can_build_skb()), and so
    do segments to come (tun_xdp_one()).
    """

    WRITE = "write(), which may wait"
    WRITE_NOWAIT = "write(), with O_NONBLOCK"
    VHOST = "vhost_net, up to 256 at once"
    VHOST_GSO = "vhost_net, of TCP over IPv4 that is yet to be cut into segments"


@dataclass(frozen=True)
class GuestTap:
    """A tap of the guest's."""

    device: str
    bpf: Bpf
    giving: Giving

    def send(self, frames: Sequence[Frame]) -> None:
        """Let the frames come in, in this order."""
        data = [frame.data for frame in frames]
        if self.giving in (Giving.VHOST, Giving.VHOST_GSO):
            segment = 1 if self.giving is Giving.VHOST_GSO else 0
            self.bpf.run([by_vhost(self.device, data, segment=segment)])
        else:
            wait = self.giving is Giving.WRITE
            self.bpf.run([by_tap(self.device, frame, wait=wait) for frame in data])


@dataclass(frozen=True)
class Live(Nic):
    """A NIC by which frames seem to have come in: PROG_TEST_RUN makes them for the program."""

    bpf: Bpf
    program: str

    def send(self, frames: Sequence[Frame]) -> None:
        """Let the frames come in, in this order."""
        self.bpf.run([live(self.program, self.device, 1, sent.data) for sent in frames])


def _tag(auxdata: bytes) -> tuple[int, int] | None:
    status, tci, tpid = AUXDATA.unpack(auxdata[: AUXDATA.size])
    return (tpid, tci) if status & TP_STATUS_VLAN_VALID else None
