# SPDX-License-Identifier: GPL-2.0-only
"""Captures as Wireshark opens them: what is taken out of QEMU's, and what is not."""

from pathlib import Path

from scapy.layers.l2 import Ether
from scapy.utils import rdpcap, wrpcap

from harness.testing.pcap import without_header

ETHERNET = bytes.fromhex("ffffffffffff 525400000001 0800")
FRAMES = [ETHERNET + bytes([number] * 60) for number in range(3)]


def dumped(path: Path, frames: list[bytes]) -> bytes:
    """A capture file as QEMU 7.2 writes it."""
    wrpcap(str(path), [Ether(bytes(20) + frame) for frame in frames], linktype=1)
    return path.read_bytes()


def frames(path: Path, capture: bytes) -> list[bytes]:
    path.write_bytes(capture)
    return [bytes(frame) for frame in rdpcap(str(path))]


def test_the_header_before_each_frame_goes(tmp_path: Path) -> None:
    capture = dumped(tmp_path / "dump", FRAMES)
    assert frames(tmp_path / "bare", without_header(capture)) == FRAMES


def test_a_record_that_is_cut_off_goes_too(tmp_path: Path) -> None:
    capture = dumped(tmp_path / "dump", FRAMES)[:-1]
    assert frames(tmp_path / "bare", without_header(capture)) == FRAMES[:2]


def test_a_capture_of_nothing_stays_one(tmp_path: Path) -> None:
    head = dumped(tmp_path / "dump", FRAMES)[:24]
    assert without_header(head) == head
