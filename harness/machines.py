# SPDX-License-Identifier: GPL-2.0-only
"""The machine that a session's tests run on, and its replacement by one that is as new."""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from harness import vm
from harness.build import Artefacts
from harness.config import build_root
from harness.errors import LabError
from harness.progress import say
from harness.vm import Machine

Start = Callable[[], AbstractContextManager[Machine]]


def starter(artefacts: Artefacts, *, crowded: bool = False) -> Start:
    """What starts a machine of these, each with a console file of its own.

    crowded: see qemu.Spec.
    Says why one was booted though there is a saved state, or could not be saved.
    """
    consoles = _own_consoles(build_root() / "vm")

    @contextmanager
    def start() -> Iterator[Machine]:
        spec = replace(artefacts.spec(next(consoles)), crowded=crowded)
        with vm.boot(spec, artefacts.access, artefacts.state) as machine:
            if machine.remark:
                say(f"boot      {machine.remark}")
            yield machine

    return start


def _own_consoles(directory: Path) -> Iterator[Path]:
    """Console files that no other run of the lab writes to; those of runs that ended go."""
    for old in directory.glob("console-*"):
        if not Path(f"/proc/{old.stem.split('-')[1]}").exists():
            old.unlink(missing_ok=True)
    return (directory / f"console-{os.getpid()}-{number}.log" for number in itertools.count(1))


class Machines:
    """One machine at a time, started when it is asked for.

    start: what starts one, for the length of a context.
    kept: the machine is not this session's own: it is neither thrown away nor replaced.
    """

    def __init__(self, start: Start, *, kept: bool = False) -> None:
        self.kept = kept
        self._start = start
        self._stack = contextlib.ExitStack()
        self._machine: Machine | None = None

    def current(self) -> Machine:
        """The machine, a new one if there is none. Raises LabError if none starts."""
        if self._machine is None:
            self._machine = self._stack.enter_context(self._start())
        return self._machine

    def discard(self) -> None:
        """Throw the machine away, whatever state it is in: the next one is as new."""
        if self.kept:
            raise LabError("a VM that boot left running is not thrown away", hint="./lab down boot")
        self._machine = None
        self._stack.close()

    def __enter__(self) -> "Machines":
        return self

    def __exit__(self, *_: object) -> None:
        self._machine = None
        self._stack.close()
