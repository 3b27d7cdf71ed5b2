# SPDX-License-Identifier: GPL-2.0-only
"""QEMU as a process: started, watched from outside, and gone with what started it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.console.log import ConsoleFile
from harness.core.errors import LabError
from harness.core.run import start
from harness.machine import qemu

CONSOLE_TAIL = 30  # lines


class Process:
    """QEMU, and what the host sees of it: its console and whether it still runs."""

    def __init__(self, popen: "subprocess.Popen[bytes]", console: Path) -> None:
        self._popen = popen
        self._stderr = console.with_suffix(".qemu")
        self.console = console

    @property
    def pid(self) -> int:
        """QEMU's process ID."""
        return self._popen.pid

    def running(self) -> bool:
        """Whether QEMU has not ended."""
        return self._popen.poll() is None

    def kill(self) -> None:
        """Have QEMU end now."""
        self._popen.kill()

    def wait(self) -> None:
        """Until QEMU ends."""
        self._popen.wait()

    def last_words(self) -> str:
        """The last line that QEMU itself said."""
        return (self._said().splitlines() or [""])[-1]

    def failure(self, what: str, hint: str = "") -> LabError:
        """An error with the console's tail, or with QEMU's own words if the guest said nothing."""
        tail = ConsoleFile(self.console).tail(CONSOLE_TAIL)
        if not tail.strip():
            tail = self._said()
            what += "; the console is empty"
        shown = "\n".join(f"    {line}" for line in tail.splitlines())
        return LabError(f"{what}\n{shown}".rstrip(), hint=hint, log=self.console)

    def _said(self) -> str:
        return self._stderr.read_text(errors="replace") if self._stderr.exists() else ""


@contextmanager
def process(spec: qemu.Spec) -> Iterator[Process]:
    """Start QEMU for the length of the context. It dies with this process, also by SIGKILL."""
    spec.console.parent.mkdir(parents=True, exist_ok=True)
    spec.console.write_bytes(b"")
    with spec.console.with_suffix(".qemu").open("wb") as words:
        popen = start(
            qemu.argv(spec),
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
            pass_fds=spec.descriptors,
            process_group=0,  # Ctrl-C at the terminal is for the lab, which then stops QEMU
        )
    try:
        yield Process(popen, spec.console)
    finally:
        popen.kill()
        popen.wait()
