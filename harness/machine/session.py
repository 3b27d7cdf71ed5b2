# SPDX-License-Identifier: GPL-2.0-only
"""The machine that a session's tests run on, and its replacement by one that is as new."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from harness.console.log import own_console
from harness.core.errors import LabError
from harness.core.progress import say
from harness.core.workspace import Selection, machine_dir
from harness.machine import keeper, plan, vm
from harness.machine.plan import Plan
from harness.machine.vm import LogIn, Machine

Start = Callable[[], AbstractContextManager[Machine]]
_begun: "list[Early]" = []


class Early:
    """The machine of the last build, started before it is known whether that is current.

    To see that nothing is to be built takes as long as a saved machine needs to come up,
    so both are done at once. One that turns out to be old is thrown away: what another
    process builds meanwhile, for this one does not hold the build lock yet.
    """

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self._guess = plan.last(selection)
        self._log_in: LogIn | None = None
        self._stack = contextlib.ExitStack()

    def start(self) -> None:
        """Start it, if there was a build. If that fails, it will again, when it is for good."""
        if self._guess:
            with contextlib.suppress(LabError, OSError):
                self._log_in = self._stack.enter_context(_start(self._guess))

    def take(self, stack: contextlib.ExitStack, planned: Plan) -> LogIn | None:
        """Give it away, with what ends it; None if it is another one."""
        log_in = self._log_in if planned.is_same_machine(self._guess) else None
        own = self._stack.pop_all()
        self._log_in = None
        if log_in is None:
            own.close()
        else:
            stack.enter_context(own)
        return log_in

    def __enter__(self) -> "Early":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def begin() -> Early:
    """Start the machine that `early` is to give; not if there is one that `boot` left."""
    made = Early(Selection.load())
    if not keeper.listens(machine_dir()):
        made.start()
        _begun.append(made)
    return made


def early(selection: Selection) -> Early:
    """The early machine of a selection: that with which this process began, or one just started."""
    if _begun and _begun[0].selection == selection:
        return _begun.pop()
    made = Early(selection)
    made.start()
    return made


def starter(planned: Plan, *, crowded: bool = False, early: Early | None = None) -> Start:
    """What starts such machines, each with a console file of its own.

    crowded: see qemu.Spec. early: the first machine, if it fits.
    Says why one was booted though there is a saved state, or could not be saved.
    """

    @contextmanager
    def start() -> Iterator[Machine]:
        with contextlib.ExitStack() as stack:
            log_in = early.take(stack, planned) if early else None
            log_in = log_in or stack.enter_context(_start(planned, crowded=crowded))
            machine = log_in(planned.spec)
            if machine.remark:
                say(f"boot      {machine.remark}")
            yield machine

    return start


def _start(planned: Plan, *, crowded: bool = False) -> AbstractContextManager[LogIn]:
    spec = replace(planned.spec, console=own_console(machine_dir()), crowded=crowded)
    # What has been replaced meanwhile neither takes nor leaves a state where its successor's is.
    current = planned.is_same_machine(plan.last(planned.selection))
    return vm.start(spec, planned.access, planned.state if current else None)


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
