# SPDX-License-Identifier: GPL-2.0-only
"""A booted machine, saved: the next one starts from there, and each of them alike.

QEMU writes the devices (migration's x-ignore-shared leaves RAM out), the lab
copies the RAM, which a restored QEMU maps privately: any number of machines
start from one state at once, and none changes it. QEMU takes a state that was cut
or altered without a word, so a manifest says what the files are and what they were
made from. A state is complete or absent: it is written beside, then renamed.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from harness.core import private
from harness.core.artefact import fingerprint, move
from harness.core.errors import LabError
from harness.machine import qemu
from harness.machine.qmp import Monitor

RAM, DEVICES, MANIFEST = "ram", "devices", "manifest.json"
BLOCK = 1 << 18  # bytes that are read, compared and written at once
CPU_LINES = ("model name", "stepping", "microcode", "flags")  # of /proc/cpuinfo
# In QEMU since 4.0; experimental by name, for RAM that both ends map.
CAPABILITIES = [{"capability": name, "state": True} for name in ("x-ignore-shared", "events")]


class Unusable(LabError):
    """There is a saved state, but none that this machine could start from."""


@dataclass(frozen=True)
class Saved:
    """A state's files, open; not yet verified."""

    ram: BinaryIO
    devices: BinaryIO
    digests: dict[str, str]

    def __enter__(self) -> "Saved":
        return self

    def __exit__(self, *_: object) -> None:
        self.ram.close()
        self.devices.close()

    def verify(self) -> None:
        """Raises Unusable unless both files are as they were saved; 60 MiB take 0.06 s."""
        for name, file in ((DEVICES, self.devices), (RAM, self.ram)):
            if _digest(file.fileno()) != self.digests[name]:
                raise Unusable(f"its file {name!r} is not as it was saved")

    def load(self, monitor: Monitor) -> None:
        """Have a QEMU that waits for it (qemu.Ram.saved) become the saved machine, and run it."""
        self.devices.seek(0)
        _hand_over(monitor, self.devices.fileno())
        monitor.command("migrate-incoming", uri=f"fd:{DEVICES}")
        _await_migration(monitor)
        monitor.command("cont")


@dataclass(frozen=True)
class State:
    """Where the saved state of a machine is.

    made_from: fingerprint of the artefacts that the machine runs.
    """

    directory: Path
    made_from: str

    def open(self, spec: qemu.Spec) -> Saved | None:
        """The state, None if there is none. Raises Unusable if it is another machine's."""
        if not self.directory.exists():
            return None
        private.tighten(self.directory)
        try:
            manifest = json.loads((self.directory / MANIFEST).read_bytes())
            key, digests = manifest["key"], {name: manifest[name] for name in (RAM, DEVICES)}
            ram, devices = ((self.directory / name).open("rb") for name in (RAM, DEVICES))
        except (OSError, ValueError, KeyError, TypeError):
            raise Unusable("it is not whole") from None
        saved = Saved(ram, devices, digests)
        if key != self._key(spec):
            saved.__exit__()
            raise Unusable("it is another kernel's, image's, QEMU's or command line's")
        return saved

    def fits(self, spec: qemu.Spec) -> bool:
        """Whether there is a state of this very machine; its files are not looked at."""
        with contextlib.suppress(Unusable), self.open(spec) or contextlib.nullcontext() as saved:
            return saved is not None
        return False

    def save(self, spec: qemu.Spec, monitor: Monitor, ram: int) -> None:
        """Save a machine that runs, and let it run on.

        ram: the file that its RAM is. Raises LabError or OSError; the old state then stays.
        """
        self._remove_half_written()
        beside = self._beside("new")
        beside.mkdir(parents=True, mode=private.MODE)
        try:
            manifest = {"key": self._key(spec)}
            with (beside / DEVICES).open("wb+") as devices, (beside / RAM).open("wb") as copy:
                os.ftruncate(copy.fileno(), os.fstat(ram).st_size)
                monitor.command("stop")
                try:
                    _hand_over(monitor, devices.fileno())
                    monitor.command("migrate", uri=f"fd:{DEVICES}")
                    _await_migration(monitor)
                    manifest[RAM] = _digest(ram, copy.fileno())
                finally:
                    monitor.command("cont")
                manifest[DEVICES] = _digest(devices.fileno())
            (beside / MANIFEST).write_text(json.dumps(manifest))
            self.remove()
            beside.rename(self.directory)
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def remove(self) -> None:
        """Have no state. Machines that were started from it go on."""
        old = self._beside("old")
        with contextlib.suppress(FileNotFoundError):
            move(self.directory, old)
        shutil.rmtree(old, ignore_errors=True)

    def _beside(self, suffix: str) -> Path:
        return self.directory.with_name(f"{self.directory.name}.{suffix}.{os.getpid()}")

    def _remove_half_written(self) -> None:
        for path in self.directory.parent.glob(f"{self.directory.name}.*.*"):
            if not Path(f"/proc/{path.suffix[1:]}").exists():
                shutil.rmtree(path, ignore_errors=True)

    def _key(self, spec: qemu.Spec) -> str:
        """What a state must have been saved from, for this machine to start from it."""
        host = _host() if spec.accelerator.name == "kvm" else ""
        return fingerprint(self.made_from, qemu_identity(), host, *qemu.shape(spec))


def qemu_identity() -> str:
    """Which QEMU this is: another one after each upgrade. Asking for its version takes longer."""
    binary = Path(shutil.which(qemu.BINARY) or qemu.BINARY).stat()
    return f"{binary.st_dev} {binary.st_ino} {binary.st_size} {binary.st_mtime_ns}"


def _hand_over(monitor: Monitor, devices: int) -> None:
    monitor.command("migrate-set-capabilities", capabilities=CAPABILITIES)
    monitor.command("getfd", fds=[devices], fdname=DEVICES)


def _await_migration(monitor: Monitor) -> None:
    while True:
        status = monitor.await_event("MIGRATION")["status"]
        if status == "completed":
            return
        if status == "failed":
            told = monitor.command("query-migrate").get("error-desc", "QEMU does not say why")
            raise Unusable(f"QEMU refuses it: {told}")


def _digest(source: int, copy: int | None = None) -> str:
    """SHA-256 of a file by what it has but zeros; on the way it can be copied, holes as holes.

    Where a file system keeps holes is its own affair, so they don't count.
    """
    digest = hashlib.sha256(os.fstat(source).st_size.to_bytes(8, "little"))
    zeros = bytes(BLOCK)
    for offset in _blocks(source):
        block = os.pread(source, BLOCK, offset)
        if block != zeros[: len(block)]:
            digest.update(offset.to_bytes(8, "little"))
            digest.update(block)
            if copy is not None:
                os.pwrite(copy, block, offset)
    return digest.hexdigest()


def _blocks(descriptor: int) -> Iterator[int]:
    """The offsets of the blocks in which a file may have something but zeros."""
    size = os.fstat(descriptor).st_size
    offset = 0
    while offset < size:
        try:
            start = os.lseek(descriptor, offset, os.SEEK_DATA)
        except OSError:  # ENXIO: no more data
            return
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        offset = max(offset, start - start % BLOCK)
        while offset < end:
            yield offset
            offset += BLOCK


def _host() -> str:
    """What KVM hands to the guest, and so must be the same."""
    cpuinfo = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    return "\n".join(
        [os.uname().release, *(line for line in cpuinfo if line.startswith(CPU_LINES))]
    )
