# SPDX-License-Identifier: GPL-2.0-only
"""What went over the NICs while a test ran that failed, as files that Wireshark opens."""

import struct
from collections.abc import Generator
from pathlib import Path

import pytest

from harness.machine import qemu
from harness.machine.qmp import MonitorError
from harness.machine.vm import Machine
from harness.testing.fixtures import DUT
from harness.testing.names import as_file_name

# https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html: the file's header, a record's.
FILE = struct.Struct("<IHHiIII")
RECORD = struct.Struct("<IIII")
# struct virtio_net_hdr_v1_hash, which QEMU leaves before each frame of a NIC with hash=on; 8.0 and
# newer do not any more (commit 481c52320a26, "net: Strip virtio-net header when dumping").
VIRTIO_HEADER = 20
STRIPS_SINCE = 8


class Pcap:
    """A pytest plugin. directory: gets NAME.eth1.pcap and so on for each test that failed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        for old in directory.glob("*.pcap"):
            old.unlink()

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Let QEMU dump both directions of each NIC for the length of a test."""
        dut = item.stash.get(DUT, None)
        if dut is None or not dut.machine.packets:
            return (yield)
        name = as_file_name(item.nodeid)
        files = {nic: self._directory / f"{name}.{nic}.pcap" for nic in qemu.NICS}
        for nic, file in files.items():
            _start(dut.machine, nic, file)
        try:
            result = yield
        except BaseException:
            for nic, file in files.items():
                if not _stop(dut.machine, nic):
                    file.write_bytes(without_header(file.read_bytes()))
            shown = "\n".join(map(str, files.values()))
            item.add_report_section("call", "frames", shown)
            raise
        for nic, file in files.items():
            _stop(dut.machine, nic)
            file.unlink()
        return result


def _start(machine: Machine, nic: str, file: Path) -> None:
    machine.monitor.command(
        "object-add", qom_type="filter-dump", id=f"dump-{nic}", netdev=nic, file=str(file)
    )


def _stop(machine: Machine, nic: str) -> bool:
    """End a dump, also one whose machine is gone; whether its frames are bare ones."""
    try:
        machine.monitor.command("object-del", id=f"dump-{nic}")
        return int(machine.monitor.command("query-version")["qemu"]["major"]) >= STRIPS_SINCE
    except MonitorError:
        return False


def without_header(dumped: bytes) -> bytes:
    """A capture file without the virtio header before each frame; a record that is cut off goes."""
    parts = [dumped[: FILE.size]]
    at = FILE.size
    while at + RECORD.size <= len(dumped):
        seconds, micros, kept, length = RECORD.unpack_from(dumped, at)
        frame = dumped[at + RECORD.size : at + RECORD.size + kept]
        at += RECORD.size + kept
        if len(frame) == kept >= VIRTIO_HEADER:
            frame = frame[VIRTIO_HEADER:]
            parts.append(RECORD.pack(seconds, micros, len(frame), length - VIRTIO_HEADER) + frame)
    return b"".join(parts)
