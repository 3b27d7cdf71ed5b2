# SPDX-License-Identifier: GPL-2.0-only
"""KVM where a guest really comes up under it, else TCG; never in silence.

/dev/kvm can exist, open and create a VM, and still not run a guest: seen on
nested hosts, where QEMU aborts for '-cpu host' and other models hang in the
firmware. So nothing but a guest that came up decides. The answer is kept for
this host and QEMU.
"""

import json
import os
import socket
import time
from dataclasses import asdict
from pathlib import Path

from harness.console.log import ConsoleFile, own_console
from harness.core import files
from harness.core.artefact import fingerprint
from harness.core.errors import BadCall
from harness.core.progress import step
from harness.core.workspace import machine_dir
from harness.machine import qemu, qemu_process, vm
from harness.machine.snapshot import qemu_identity

KVM = Path("/dev/kvm")
FIRST_BYTE = 3.0  # seconds; a kernel that KVM runs prints at once (earlyprintk)
PROBE_DEADLINE = 15.0  # seconds to the guest's user space, once its kernel prints
OVERRIDE = "LAB_ACCEL"

KVM_CPU = "host"
# POPCNT, without which hweight64() is a call, and RDRAND, without which the
# guest waits for entropy; nothing that TCG emulates slowly.
TCG_CPU = "Nehalem,+rdrand"


def remembered(directory: Path) -> qemu.Accelerator | None:
    """The accelerator found out earlier for this host and QEMU, or the one that is forced."""
    forced = os.environ.get(OVERRIDE)
    if forced:
        if forced not in ("kvm", "tcg"):
            raise BadCall(f"{OVERRIDE}={forced}", hint=f"{OVERRIDE}=kvm or {OVERRIDE}=tcg")
        cpu = KVM_CPU if forced == "kvm" else TCG_CPU
        return qemu.Accelerator(forced, cpu, f"{OVERRIDE} says so")
    closed = _why_closed()
    if closed:
        return qemu.Accelerator("tcg", TCG_CPU, closed)
    try:
        kept = json.loads((directory / "accelerator.json").read_text())
        return qemu.Accelerator(**kept["accelerator"]) if kept["host"] == _host() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def find_out(directory: Path, kernel: Path, initramfs: Path) -> qemu.Accelerator:
    """The accelerator to use here; boots a guest under KVM unless the answer is known."""
    known = remembered(directory)
    if known:
        return known
    with step("kvm", "booting a guest to see whether KVM works here") as current:
        console = own_console(machine_dir())
        failure = _probe(console, kernel, initramfs)
        for suffix in (".log", ".qemu"):
            console.with_suffix(suffix).rename(console.with_name(f"kvm-probe{suffix}"))
        if failure:
            found = qemu.Accelerator("tcg", TCG_CPU, f"KVM is here but {failure}")
        else:
            found = qemu.Accelerator("kvm", KVM_CPU, "a guest came up under KVM")
        current.note = f"{found.name}: {found.reason}"
    kept = json.dumps({"host": _host(), "accelerator": asdict(found)})
    files.replace(directory / "accelerator.json", kept)
    return found


def _why_closed() -> str:
    """Why KVM can't even be opened, or '' if it can."""
    try:
        os.close(os.open(KVM, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        return f"there is no {KVM}"
    except OSError as error:
        return f"{KVM}: {error.strerror}"
    return ""


def _host() -> str:
    """What the answer depends on: this boot's kernel, the CPU, the device, QEMU."""
    cpuinfo = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    model = next((line for line in cpuinfo if line.startswith("model name")), "")
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text()
    return fingerprint(os.uname().release, model, boot_id, str(KVM.stat().st_rdev), qemu_identity())


def _probe(console: Path, kernel: Path, initramfs: Path) -> str:
    """Boot a guest under KVM. Returns what went wrong, or '' if its user space came up."""
    ours, theirs = socket.socketpair()
    accelerator = qemu.Accelerator("kvm", KVM_CPU, "probe")
    spec = qemu.Spec(kernel, initramfs, accelerator, console, theirs.fileno(), ())
    with ours, theirs, qemu_process.process(spec) as process:
        start = time.monotonic()
        seen = b""
        reader = ConsoleFile(console)
        while time.monotonic() < start + (PROBE_DEADLINE if seen else FIRST_BYTE):
            ended = not process.running()
            seen += reader.read_new()
            if vm.UP in seen:
                return ""
            if ended:
                return "QEMU aborted with it"
            time.sleep(0.05)
    if seen:
        return f"its guest did not come up in {PROBE_DEADLINE:.0f} s"
    return f"its guest printed nothing in {FIRST_BYTE:.0f} s"
