# SPDX-License-Identifier: GPL-2.0-only
"""Taps in a network namespace of their own: a wire to QEMU that the host does not see.

A child process enters a new namespace, makes the taps there, passes their
descriptors back and ends. From then on the namespace exists only through these
descriptors: nothing is left to clean up, whatever ends this process.

Works for an ordinary user who may open /dev/net/tun, by a user namespace, and
for root where user namespaces are forbidden.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NoReturn

from harness.core.errors import LabError
from harness.machine.sandbox import Confinement, remedy

DEADLINE = 10.0  # seconds for the child, which needs 0.01

# linux/if_tun.h
TUNSETIFF, TUNSETPERSIST = 0x400454CA, 0x400454CB
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
# linux/netlink.h, linux/rtnetlink.h, linux/if_link.h, linux/if.h
NETLINK_ROUTE, RTM_NEWLINK, NLM_F_REQUEST, NLM_F_ACK = 0, 16, 0x1, 0x4
IFLA_MTU, IFLA_TXQLEN, IFF_UP = 4, 13, 0x1
# linux/if_ether.h, linux/if_packet.h, bits/socket.h
ETH_P_ALL, SOL_PACKET, PACKET_AUXDATA = 0x0003, 263, 8

QUEUE = 16384  # frames that the guest did not take yet; the next is dropped without a word
MTU = 65521  # the most that a tap takes; a large frame must get to the guest's own limit

# linux/sched.h
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
# The first works for everybody, if the host allows it; the second for root.
_NAMESPACES = (CLONE_NEWUSER | CLONE_NEWNET, CLONE_NEWNET)


class TapUnavailable(LabError):
    """No tap can be had here; the message says why, the hint what to do."""


@dataclass(frozen=True)
class Tap:
    """One tap, up, with nothing on it that speaks by itself.

    fd: for QEMU, '-netdev tap,fd=N,vhost=off'. Every frame has a struct virtio_net_hdr before it,
        whose size (10 by default, 12 for a modern device) QEMU sets, as it does the offloads.
    packets: an AF_PACKET socket. A frame that is sent there reaches the guest as it is: a packet
        socket asks for no offload, so its header is all zero. Only what the guest sends is
        received, for the kernel keeps a socket's own frames from it. If the guest's NIC has
        transmit offloads (csum, gso), that may be a frame without its checksum, or a large one; a
        VLAN tag is not in the data: both are told by PACKET_AUXDATA, in recvmsg().
    """

    name: str
    fd: int
    packets: socket.socket


def close_taps(taps: Sequence[Tap]) -> None:
    """Give their descriptors up; with QEMU's copies gone, the taps are gone.

    All at once: each waits for RCU grace periods of the host, 20 ms. A tap would
    wait longest; one that persists goes when its namespace does, in the kernel's own time.
    """
    for tap in taps:
        with contextlib.suppress(OSError):  # QEMU has ended, or a test has closed it
            fcntl.ioctl(tap.fd, TUNSETPERSIST, 1)
    descriptors = [number for tap in taps for number in (tap.packets.detach(), tap.fd)]
    # All are waited for, also behind one that fails: its number would be somebody else's by then.
    with ThreadPoolExecutor(len(descriptors) or 1) as threads:
        closing = [threads.submit(os.close, number) for number in descriptors]
    for each in closing:
        each.result()


def open_taps(count: int = 1, name: str = "lab") -> list[Tap]:
    """Make taps, called name0, name1, ..., all in one new namespace. Raises TapUnavailable."""
    reasons: list[str] = []
    for namespaces in _NAMESPACES if os.geteuid() == 0 else _NAMESPACES[:1]:
        try:
            return _made_in(namespaces, [f"{name}{index}" for index in range(count)])
        except _Refused as reason:
            reasons.append(str(reason))
    raise TapUnavailable(
        f"no tap for the guest's NIC: {'; then '.join(reasons)}",
        hint=remedy(reasons, Confinement.gather()),
    )


def why_none() -> TapUnavailable | None:
    """Why no tap can be had, None if one can."""
    try:
        close_taps(open_taps())
    except TapUnavailable as reason:
        return reason
    return None


class _Refused(Exception):
    """What a child said that could make no taps."""


def _made_in(namespaces: int, names: Sequence[str]) -> list[Tap]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, contextlib.ExitStack() as made:
        # Not a program: a Python that starts takes longer than all the rest of a machine's
        # start. The child of a process with threads may do no more than system calls.
        child = os.fork()
        if child == 0:
            _in_child(theirs, namespaces, names)
        made.callback(_end, child)
        ours.settimeout(DEADLINE)
        theirs.close()
        taps: list[Tap] = []
        made.callback(close_taps, taps)
        for name in names:
            try:
                said, fds, _, _ = socket.recv_fds(ours, 1024, 2)
            except TimeoutError:
                raise _Refused(f"no word from the child in {DEADLINE:g} s") from None
            if not fds:
                raise _Refused(said.decode() or "the child was killed")
            taps.append(Tap(name, fds[0], socket.socket(fileno=fds[1])))
        made.pop_all()
        _end(child)
        return taps


def _end(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _in_child(theirs: socket.socket, namespaces: int, names: Sequence[str]) -> NoReturn:
    """Send the descriptors of each tap, or the reason why there is none; never returns."""
    try:
        _enter(namespaces)
        _silence()
        for name in names:
            tap, packets = _make(name)
            socket.send_fds(theirs, [b"."], [tap, packets.fileno()])
    except _Refused as reason:
        theirs.send(str(reason).encode())
    finally:
        os._exit(0)


def _enter(namespaces: int) -> None:
    """In the child: go into new namespaces, as root of the user namespace if one is asked for."""
    user, group = os.geteuid(), os.getegid()
    maps = {"setgroups": "deny", "uid_map": f"0 {user} 1", "gid_map": f"0 {group} 1"}
    with _step("unshare"):
        if _LIBC.unshare(namespaces) != 0:
            raise OSError(ctypes.get_errno(), "")
    if namespaces & CLONE_NEWUSER:
        # Without the first there may be no map of groups, user_namespaces(7).
        for name, text in maps.items():
            with _step(f"/proc/self/{name}"):
                _write(f"/proc/self/{name}", text)


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
        _set_up(name)
        # Last: bound to a link that is down, the first send() fails with ENETDOWN.
        packets.bind((name, ETH_P_ALL))
    return fd, packets


def _set_up(name: str) -> None:
    """In the child: set a tap's MTU and queue, and have it up.

    By rtnetlink(7): for the queue's length the ioctl wants the host's own root (dev_ioctl.c).
    """
    index = socket.if_nametoindex(name)
    link = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, IFF_UP, IFF_UP)
    numbers = ((IFLA_MTU, MTU), (IFLA_TXQLEN, QUEUE))
    attributes = b"".join(struct.pack("=HHI", 8, kind, value) for kind, value in numbers)
    size = 16 + len(link) + len(attributes)
    header = struct.pack("=IHHII", size, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE) as kernel:
        kernel.send(header + link + attributes)
        (error,) = struct.unpack_from("=16xi", kernel.recv(4096))  # struct nlmsgerr
    if error:
        raise OSError(-error, "")


def _silence() -> None:
    """In the child: no IPv6, whose router solicitations and MLD reports the guest would get."""
    path = "/proc/sys/net/ipv6/conf/default/disable_ipv6"
    with _step(path), contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        _write(path, "1")


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _step(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        raise _Refused(
            f"{what}: {errno.errorcode.get(number, number)}: {os.strerror(number)}"
        ) from None
