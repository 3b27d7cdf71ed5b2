# SPDX-License-Identifier: GPL-2.0-only
"""A guest's memory in a file, in makedumpfile's format, for drgn or crash.

With its vmcoreinfo: the machine has QEMU's device of that name, to which the kernel hands the
note (CONFIG_FW_CFG_SYSFS; QEMU's docs/specs/vmcoreinfo.rst).
"""

import os
import re
import struct
import tempfile
from pathlib import Path
from typing import BinaryIO

from harness.core.errors import LabError
from harness.core.files import BESIDE
from harness.machine.qmp import Monitor, MonitorError

DEADLINE = 300.0  # seconds; 512 MiB take one or two
NAME = "dump"  # the descriptor's, in QEMU
# What QEMU writes is the flattened form, for pipes: a block of its own, then parts of the file,
# each behind its place and size, until a negative one (makedumpfile(8), -F; its source, -R).
FLAT, BLOCK, PART = b"makedumpfile", 4096, struct.Struct(">qq")
# struct new_utsname in the file's header, behind signature and version.
UTSNAME, FIELD = 8 + 4, 65
RELEASE = re.compile(rb"\0OSRELEASE=(\S+)\n")
NOTES = 1 << 20  # bytes of the file in which the notes are


def dump(monitor: Monitor, file: Path) -> None:
    """Write the memory; the guest, if it runs, stands still meanwhile.

    The file is complete or as it was. It is the owner's alone: keys are in such memory.
    Raises MonitorError, or LabError for a file that can't be written.
    """
    beside = file.with_name(f"{file.name}.{os.getpid()}{BESIDE}")
    try:
        # Without a name, and handed over: QEMU may run where the file's name means nothing.
        with tempfile.TemporaryFile(dir=file.parent) as flat:
            monitor.command("getfd", fds=[flat.fileno()], fdname=NAME)
            monitor.command(
                "dump-guest-memory",
                deadline=DEADLINE,
                paging=False,
                protocol=f"fd:{NAME}",
                format="kdump-zlib",
            )
            beside.touch(0o600)
            with beside.open("rb+") as whole:
                reassemble(flat, whole)
        beside.rename(file)
    except OSError as error:
        raise LabError(f"{file}: {error.strerror}") from None
    finally:
        beside.unlink(missing_ok=True)


def reassemble(flat: BinaryIO, whole: BinaryIO) -> None:
    """Make a flattened dump one that can be read at any place, and say in it of which kernel.

    QEMU leaves that out but for the machine, and libkdumpfile 0.5.5 then knows not even that.
    Raises LabError for what is no such dump.
    """
    flat.seek(0)
    if not flat.read(BLOCK).startswith(FLAT):
        raise LabError("QEMU's dump is of another format than kdump-zlib")
    while True:
        head = flat.read(PART.size)
        if len(head) < PART.size:
            raise LabError("QEMU's dump is cut short")
        place, size = PART.unpack(head)
        if place < 0:
            break
        whole.seek(place)
        whole.write(flat.read(size))
    whole.seek(0)
    release = RELEASE.search(whole.read(NOTES))
    known = {0: b"Linux", 1: b"guest", 2: release[1] if release else b"unknown", 3: b"#1", 5: b"-"}
    for number, text in known.items():
        whole.seek(UTSNAME + number * FIELD)
        whole.write(text[: FIELD - 1])


def has_ended(monitor: Monitor) -> bool:
    """Whether the guest has ended and QEMU keeps its memory (qemu.Spec.options.stays)."""
    try:
        return bool(monitor.command("query-status")["status"] in ("shutdown", "guest-panicked"))
    except MonitorError:
        return False
