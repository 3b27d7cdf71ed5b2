# SPDX-License-Identifier: GPL-2.0-only
"""The tap: a wire that only its two descriptors know. Where none can be had, the error helps."""

import contextlib
import errno
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.machine import tap
from harness.machine.tap import TapUnavailable, close_taps, open_taps

HEADER = 10  # bytes of a struct virtio_net_hdr, as long as QEMU has not asked for 12
FRAME = bytes.fromhex("525400123456 525400654321 0800") + bytes(range(46))
VLAN = bytes.fromhex("525400123456 525400654321 8100 2005 0800") + bytes(range(46))
TIMEOUT = 5.0  # seconds; a limit, never waited for when all is well


def possible() -> bool:
    """Whether this machine gives us taps, found out without the code under test."""
    wanted = ["--net"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--net"]
    unshare = subprocess.run(["unshare", *wanted, "true"], capture_output=True, timeout=TIMEOUT)
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError:
        return False
    return unshare.returncode == 0


@contextlib.contextmanager
def taps(count: int = 1) -> Iterator[list[tap.Tap]]:
    """Taps; where this machine gives none, the test is skipped, which says so."""
    try:
        made = open_taps(count)
    except TapUnavailable as error:
        if possible():
            raise
        pytest.skip(error.message)
    try:
        yield made
    finally:
        with contextlib.suppress(OSError):  # a test may have closed some
            close_taps(made)


def read(fd: int) -> bytes:
    assert select.select([fd], [], [], TIMEOUT)[0], "nothing came"
    return os.read(fd, 70000)


def interfaces() -> str:
    return Path("/proc/net/dev").read_text().replace(" ", "")


@pytest.mark.parametrize(
    "frame", [FRAME, VLAN, FRAME + bytes(9000)], ids=["plain", "vlan", "large"]
)
def test_a_frame_reaches_the_guest_as_it_is(frame: bytes) -> None:
    with taps() as (made,):
        made.packets.send(frame)
        # The first thing to be read: nothing else speaks on this wire.
        assert read(made.fd) == bytes(HEADER) + frame


def test_a_frame_of_the_guest_is_received_and_ours_is_not() -> None:
    with taps() as (made,):
        made.packets.settimeout(TIMEOUT)
        made.packets.send(FRAME)
        os.write(made.fd, bytes(HEADER) + FRAME[::-1])
        assert made.packets.recv(2000) == FRAME[::-1]


def test_each_tap_has_its_own_wire() -> None:
    with taps(2) as made:
        assert [each.name for each in made] == ["lab0", "lab1"]
        for number, each in enumerate(made):
            each.packets.send(FRAME + bytes([number]))
        for number, each in enumerate(made):
            assert read(each.fd)[HEADER:] == FRAME + bytes([number])


def test_the_host_sees_no_interface() -> None:
    names = {name for _, name in socket.if_nameindex()}
    with taps():
        assert {name for _, name in socket.if_nameindex()} == names
        assert "lab0:" not in interfaces()


def test_the_tap_goes_with_its_descriptor() -> None:
    with taps() as (made,):
        made.packets.settimeout(TIMEOUT)
        os.close(made.fd)
        with pytest.raises(OSError) as caught:
            made.packets.recv(1)  # the kernel's word that the device went down
        assert caught.value.errno == errno.ENETDOWN
        with pytest.raises(OSError) as caught:
            made.packets.send(FRAME)
        assert caught.value.errno in (errno.ENXIO, errno.ENODEV, errno.ENETDOWN)
        made.packets.close()


def test_all_are_closed_before_one_that_was_closed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, gone = socket.socketpair()
    gone.close()
    ended: list[int] = []

    def close(number: int) -> None:
        if number >= 0:
            time.sleep(0.05)  # as RCU's grace periods take
        close_at_once(number)
        ended.append(number)

    close_at_once = os.close
    monkeypatch.setattr(os, "close", close)
    fds = [os.open("/dev/null", os.O_RDWR) for _ in range(2)]
    numbers = [ours.fileno(), *fds]
    with pytest.raises(OSError, match="Bad file descriptor"):
        close_taps([tap.Tap("lab0", fds[0], gone), tap.Tap("lab1", fds[1], ours)])
    assert sorted(ended) == sorted(numbers)


def test_the_reason_comes_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        with tap._step("/dev/net/tun"):
            raise OSError(errno.EACCES, "")

    monkeypatch.setattr(tap, "_enter", refuse)
    with pytest.raises(TapUnavailable, match="/dev/net/tun: EACCES: Permission denied") as caught:
        open_taps()
    assert "setfacl" in caught.value.hint


def test_root_without_user_namespaces_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(namespaces: int) -> None:
        user = bool(namespaces & tap.CLONE_NEWUSER)
        raise tap._Refused("no user namespace" if user else "nothing else")

    monkeypatch.setattr(tap, "_enter", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(TapUnavailable, match="no user namespace; then nothing else"):
        open_taps()


def test_a_child_that_dies_or_hangs_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tap, "_enter", lambda _: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(TapUnavailable, match="the child was killed"):
        open_taps()
    monkeypatch.setattr(tap, "DEADLINE", 0.1)
    monkeypatch.setattr(tap, "_enter", lambda _: time.sleep(60))
    with pytest.raises(TapUnavailable, match=r"no word from the child in 0\.1 s"):
        open_taps()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize("namespaces", [("--user", "--map-root-user", "--net"), ("--net",)])
def test_either_kind_of_namespace_will_do(
    monkeypatch: pytest.MonkeyPatch, namespaces: tuple[str, ...]
) -> None:
    """The first is an ordinary user's: root is not to have to fall back on the second."""
    allowed = subprocess.run(["unshare", *namespaces, "true"], capture_output=True, timeout=TIMEOUT)
    kind = tap._NAMESPACES[0] if "--user" in namespaces else tap._NAMESPACES[1]
    monkeypatch.setattr(tap, "_NAMESPACES", (kind,))
    if possible() and allowed.returncode == 0:
        close_taps(open_taps(2))
    else:
        with pytest.raises(TapUnavailable):
            open_taps(2)


def open_files() -> set[tuple[str, str]]:
    """This process's descriptors, with what is open there."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that this loop reads from
            found.add((descriptor.name, str(descriptor.readlink())))
    return found


def test_a_second_tap_that_fails_takes_the_first_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_files()
    make = tap._make

    def once(name: str) -> tuple[int, socket.socket]:
        if name == "lab1":
            raise tap._Refused("no second one")
        return make(name)

    monkeypatch.setattr(tap, "_make", once)
    with pytest.raises(TapUnavailable):
        open_taps(2)
    assert open_files() <= before  # of an earlier test, one may have been closed meanwhile
