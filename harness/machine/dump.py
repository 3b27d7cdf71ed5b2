# SPDX-License-Identifier: GPL-2.0-only
"""A guest's memory in a file, as makedumpfile writes it, for drgn or crash.

With its vmcoreinfo: the machine has QEMU's device of that name, to which the kernel hands the
note (CONFIG_FW_CFG_SYSFS; QEMU's docs/specs/vmcoreinfo.rst).
"""

import os
from pathlib import Path

from harness.core.errors import LabError
from harness.core.files import BESIDE
from harness.machine.qmp import Monitor, MonitorError

DEADLINE = 300.0  # seconds; 512 MiB take some 5
NAME = "dump"  # the descriptor's, in QEMU


def dump(monitor: Monitor, file: Path) -> None:
    """Write the memory; the guest, if it runs, stands still meanwhile.

    The file is complete or as it was. It is the owner's alone: keys are in such memory.
    Raises MonitorError, or LabError for a file that can't be written.
    """
    beside = file.with_name(f"{file.name}.{os.getpid()}{BESIDE}")
    try:
        # QEMU gets it open: it may run where this name means nothing.
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            monitor.command("getfd", fds=[descriptor], fdname=NAME)
            monitor.command(
                "dump-guest-memory",
                deadline=DEADLINE,
                paging=False,
                protocol=f"fd:{NAME}",
                format="kdump-zlib",
            )
        finally:
            os.close(descriptor)
        beside.rename(file)
    except OSError as error:
        raise LabError(f"{file}: {error.strerror}") from None
    finally:
        beside.unlink(missing_ok=True)


def has_ended(monitor: Monitor) -> bool:
    """Whether the guest has ended and QEMU keeps its memory (qemu.Spec.options.stays)."""
    try:
        return bool(monitor.command("query-status")["status"] in ("shutdown", "guest-panicked"))
    except MonitorError:
        return False
