# SPDX-License-Identifier: GPL-2.0-only
"""What a guest that does not answer is at: registers and stacks of its CPUs, its last words.

The stacks come by an NMI: with unknown_nmi_panic the kernel panics at it, also where
interrupts are off, and with panic_print it prints the stacks of all CPUs and of blocked
tasks before (qemu.KERNEL_ARGUMENTS). The guest is lost then.
"""

import re
import time

from harness.artefacts.symbols import Symbols
from harness.console.log import ConsoleFile
from harness.console.scanner import Scanner
from harness.machine.qmp import Monitor, MonitorError
from harness.machine.vm import Machine

NMI_SECONDS = 15.0  # a guest under TCG takes 0.1 of one for its stacks
POLL = 0.05
CONSOLE_LINES = 20
STACK_LINES = 300

_CPU = re.compile(r"^CPU#(\d+)$", re.MULTILINE)
_GENERAL = re.compile(r"(R\w\w?|CR\d) ?=")  # the registers that say something of a hang
_POINTER = re.compile(r"RIP=([0-9a-f]{16})")
_SECTION = re.compile(r"NMI backtrace for cpu |task:")
_NOISE = re.compile(
    r"(RSP|R[A-DS][XIP]|R\d\d|[C-GS]S|CR\d|DR\d|PKRU|Code): |Hardware name: |Kernel Offset: "
)


def examine(machine: Machine, symbols: Symbols, *, nmi: bool) -> str:
    """Look at a machine whose guest does not answer; what was found, for a person.

    nmi: ask for the stacks, which ends the guest.
    """
    last = machine.console.tail(CONSOLE_LINES)
    parts = {"registers": _registers(machine.monitor, symbols)}
    if nmi:
        parts = {"stacks, by an NMI": symbols.decode(_stacks(machine))} | parts
    parts["the console's last lines before"] = last or "it is empty"
    return "\n".join(f"--- {heading}:\n{text}" for heading, text in parts.items())


def _registers(monitor: Monitor, symbols: Symbols) -> str:
    try:
        told = registers(monitor.human("info registers -a").replace("\r", ""))
    except MonitorError as error:
        return error.message
    names = symbols.names(_POINTER.findall(told))
    return _POINTER.sub(lambda found: f"{found[0]} {names.get(found[1], '')}".rstrip(), told)


def registers(told: str) -> str:
    """The general registers of each CPU, from what 'info registers -a' prints."""
    parts = _CPU.split(told)[1:]
    lines = []
    for number, text in zip(parts[::2], parts[1::2], strict=True):
        lines.append(f"CPU {number}")
        lines += [f" {line}" for line in text.splitlines() if _GENERAL.match(line)]
    return "\n".join(lines)


def _stacks(machine: Machine) -> str:
    """Have all CPUs print their stacks; '' if nothing came."""
    console = ConsoleFile(machine.console.path)
    console.read_new()
    try:
        machine.monitor.command("inject-nmi")
    except MonitorError as error:
        return error.message
    scanner = Scanner()
    end = time.monotonic() + NMI_SECONDS
    while machine.alive() and time.monotonic() < end:
        time.sleep(POLL)
    splats = scanner.feed(console.read_new()) + scanner.finish()
    panics = [stacks(splat.text) for splat in splats if splat.kind == "panic"]
    return panics[0] if panics else f"the guest printed none in {NMI_SECONDS:.0f} s"


def stacks(panic: str) -> str:
    """The stacks of CPUs and blocked tasks in the text of a panic that an NMI brought about.

    Without what the NMI itself put on them, and without registers.
    """
    kept: list[str] = []
    section = inside_nmi = False
    for line in panic.splitlines():
        section = section or bool(_SECTION.match(line))
        inside_nmi = (inside_nmi or line == " <NMI>") and line != " </NMI>"
        of_nmi = (inside_nmi and not line.startswith("RIP: ")) or line == " </NMI>"
        if section and not of_nmi and not _NOISE.match(line):
            kept.append(line)
    return "\n".join(kept[:STACK_LINES] or panic.splitlines()[:STACK_LINES])
