# SPDX-License-Identifier: GPL-2.0-only
"""Taps in a network namespace of their own: a wire to QEMU that the host does not see.

A child process enters a new namespace, makes the taps there, passes their
descriptors back and ends. From then on the namespace exists only through these
descriptors: nothing is left to clean up, whatever ends this process.

Works for an ordinary user who may open /dev/net/tun, by a user namespace, and
for root where user namespaces are forbidden.
"""

import contextlib
import errno
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.confinement import Confinement, remedy
from harness.errors import LabError
from harness.run import CommandFailed, inherited, run

DEADLINE = 10.0  # seconds for the child, which needs 0.1

# linux/if_tun.h
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
# linux/sockios.h, linux/if.h
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFMTU, IFF_UP = 0x8913, 0x8914, 0x8922, 0x1
# linux/if_ether.h, linux/if_packet.h, bits/socket.h
ETH_P_ALL, SOL_PACKET, PACKET_AUXDATA = 0x0003, 263, 8

SIOCSIFTXQLEN = 0x8943
QUEUE = 16384  # frames that the guest did not take yet; the next is dropped without a word
MTU = 65521  # the most that a tap takes; a large frame must get to the guest's own limit

# The first works for everybody, if the host allows it; the second for root.
_NAMESPACES = (["--user", "--map-root-user", "--net"], ["--net"])


class TapUnavailable(LabError):
    """No tap can be had here; the message says why, the hint what to do."""


@dataclass(frozen=True)
class Tap:
    """One tap, up, with nothing on it that speaks by itself.

    fd: for QEMU, '-netdev tap,fd=N,vhost=off'. Every frame has a struct
        virtio_net_hdr before it, whose size (10 by default, 12 for a modern
        device) QEMU sets, as it does the offloads.
    packets: an AF_PACKET socket. A frame that is sent there reaches the guest as
        it is: a packet socket asks for no offload, so its header is all zero. Only
        what the guest sends is received, for the kernel keeps a socket's own
        frames from it. If the guest's NIC has transmit offloads
        (csum, gso), that may be a frame without its checksum, or a large one; a
        VLAN tag is not in the data: both are told by PACKET_AUXDATA, in recvmsg().
    """

    name: str
    fd: int
    packets: socket.socket

    def close(self) -> None:
        """Give both descriptors up; with QEMU's copy gone, the tap is gone."""
        self.packets.close()
        os.close(self.fd)


def open_taps(count: int = 1, name: str = "lab") -> list[Tap]:
    """Make taps, called name0, name1, ..., all in one new namespace.

    Raises TapUnavailable.
    """
    reasons: list[str] = []
    for namespaces in _NAMESPACES if os.geteuid() == 0 else _NAMESPACES[:1]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs, inherited(theirs.fileno()):
            argv = ["unshare", *namespaces, "--", sys.executable, "-m", "harness.tap"]
            try:
                run(
                    [*argv, str(theirs.fileno()), str(count), name],
                    deadline=DEADLINE,
                    env={"PYTHONPATH": str(Path(__file__).resolve().parents[1])},
                )
            except CommandFailed as error:
                reasons.append((error.output.splitlines() or [error.message])[-1])
                continue
            return [_receive(ours, f"{name}{index}") for index in range(count)]
    raise TapUnavailable(
        f"no tap for the guest's NIC: {'; then '.join(reasons)}",
        hint=remedy(reasons, Confinement.gather()),
    )


def _receive(ours: socket.socket, name: str) -> Tap:
    _, (fd, packets), _, _ = socket.recv_fds(ours, 1, 2)
    return Tap(name, fd, socket.socket(fileno=packets))


def _make(name: str) -> tuple[int, socket.socket]:
    """In the child: one tap and its packet socket."""
    with _step("/dev/net/tun"):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    with _step("TUNSETIFF"):
        flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    with _step("AF_PACKET socket"):
        packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        packets.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    with _step("link up"):
        fcntl.ioctl(packets, SIOCSIFTXQLEN, struct.pack("16si20x", name.encode(), QUEUE))
        fcntl.ioctl(packets, SIOCSIFMTU, struct.pack("16si20x", name.encode(), MTU))
        request = fcntl.ioctl(packets, SIOCGIFFLAGS, struct.pack("16sH22x", name.encode(), 0))
        (up,) = struct.unpack_from("16xH", request)
        fcntl.ioctl(packets, SIOCSIFFLAGS, struct.pack("16sH22x", name.encode(), up | IFF_UP))
        # Last: bound to a link that is down, the first send() fails with ENETDOWN.
        packets.bind((name, ETH_P_ALL))
    return fd, packets


def _silence() -> None:
    """In the child: no IPv6, whose router solicitations and MLD reports the guest would get."""
    path = Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")
    with _step(str(path)), contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        path.write_text("1")


@contextlib.contextmanager
def _step(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        sys.exit(f"{what}: {errno.errorcode.get(number, number)}: {os.strerror(number)}")


def _main(fd: int, count: int, name: str) -> None:
    _silence()
    with socket.socket(fileno=fd) as theirs:
        for index in range(count):
            tap, packets = _make(f"{name}{index}")
            socket.send_fds(theirs, [b"."], [tap, packets.fileno()])


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
