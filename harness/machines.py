# SPDX-License-Identifier: GPL-2.0-only
"""The machine that a session's tests run on, and its replacement by one that is as new."""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

from harness.errors import LabError
from harness.vm import Machine

Start = Callable[[], AbstractContextManager[Machine]]


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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._machine = None
        self._stack.close()
