# SPDX-License-Identifier: GPL-2.0-only
"""The machine that a session's tests run on, and its replacement by one that is as new."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from harness.core.errors import LabError
from harness.core.progress import say
from harness.machine import prestart
from harness.machine.plan import Plan
from harness.machine.prestart import Early
from harness.machine.vm import Machine

Start = Callable[[], AbstractContextManager[Machine]]


def starter(planned: Plan, *, crowded: bool = False, early: Early | None = None) -> Start:
    """What starts such machines, each with a console file of its own.

    crowded: see qemu.Spec. early: the first machine, if it fits (`harness.machine.prestart`).
    Says why one was booted though there is a saved state, or could not be saved.
    """

    @contextmanager
    def start() -> Iterator[Machine]:
        with contextlib.ExitStack() as stack:
            log_in = early.take(stack, planned) if early else None
            log_in = log_in or stack.enter_context(prestart.start(planned, crowded=crowded))
            machine = log_in(planned.spec)
            if machine.remark:
                say(f"boot      {machine.remark}")
            yield machine

    return start


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
