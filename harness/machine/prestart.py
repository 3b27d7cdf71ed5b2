# SPDX-License-Identifier: GPL-2.0-only
"""A machine that is started before it is known whether it is wanted, or current.

A saved machine needs as long to answer as Python to import the verbs, and as long as it takes
to see that nothing is to be built. So all three are done at once, on a guess: harness.__main__
calls `begin` when the words look like a verb that wants a machine (commands/cli/early_start.py);
that verb calls `early` before it looks at the build, then hands what it got to
session.starter(). Who asks for another machine, or finds that something was to be built, gets
a new one, and the early one is thrown away.
"""

import contextlib
from contextlib import AbstractContextManager
from dataclasses import replace

from harness.console.log import own_console
from harness.core.errors import LabError
from harness.core.workspace import Selection, machine_dir
from harness.machine import keeper, plan, vm
from harness.machine.plan import Plan
from harness.machine.vm import LogIn

_begun: "list[Early]" = []


class Early:
    """The machine of a selection's last build.

    It may turn out to be old: another process may build meanwhile, for this one does not hold
    the build lock yet.
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
                self._log_in = self._stack.enter_context(start(self._guess))

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
    """Start the one that `early` is to give; not if there is a machine that `boot` left."""
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


def start(planned: Plan, *, crowded: bool = False) -> AbstractContextManager[LogIn]:
    """Start a machine with a console file of its own; what is given completes it."""
    spec = replace(planned.spec, console=own_console(machine_dir()), crowded=crowded)
    # What has been replaced meanwhile neither takes nor leaves a state where its successor's is.
    current = planned.has_same_artefacts(plan.last(planned.selection))
    saved = current and spec.options.can_be_saved
    return vm.start(spec, planned.access, planned.state if saved else None)
