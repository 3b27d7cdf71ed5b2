# SPDX-License-Identifier: GPL-2.0-only
"""What a person watches: one line a step, a bar for the kernel, plain lines without a terminal."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PLAIN_EVERY_PERCENT = 10

_to_stderr = False
_bar: "Progress | None" = None


def use_stderr() -> None:
    """Show all on stderr, for a verb whose output is a command's."""
    global _to_stderr
    _to_stderr = True


def _stream() -> TextIO:
    return sys.stderr if _to_stderr else sys.stdout


def say(message: str) -> None:
    """One line to the person, at once."""
    if _bar:
        _bar.console.print(message, markup=False)
    else:
        print(message, file=_stream(), flush=True)


@dataclass
class Step:
    """A step that is under way. `note` becomes its line's text when it ends."""

    name: str
    total: int = 0
    note: str = ""
    _done: int = 0
    _task: "TaskID | None" = None
    _said: int = 0
    _started: float = field(default_factory=time.monotonic)

    def advance(self) -> None:
        """One object of `total` is done."""
        self._done += 1
        if _bar is not None and self._task is not None:
            _bar.update(self._task, completed=self._done, total=max(self.total, self._done))
            return
        percent = 100 * self._done // self.total if self.total else 0
        if percent >= self._said + PLAIN_EVERY_PERCENT and percent < 100:
            self._said = percent - percent % PLAIN_EVERY_PERCENT
            say(f"{self.name:<9} {self._done} of {self.total} objects, {self.elapsed:.0f} s")

    @property
    def elapsed(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self._started


@contextmanager
def step(name: str, doing: str, total: int = 0) -> Iterator[Step]:
    """Show a step while it runs and one line with its note and time when it is done."""
    current = Step(name, total=total, note=doing)
    if _stream().isatty() and _bar is None:
        with _live(current, doing):
            yield current
    else:
        say(f"{name:<9} {doing} ...")
        yield current
    say(f"{name:<9} {current.note} ({current.elapsed:.1f} s)")


@contextmanager
def _live(current: Step, doing: str) -> Iterator[None]:
    """A line on the terminal that shows how far the step is."""
    global _bar
    # Here: it takes as long to import as a saved machine to start.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn

    columns: list[ProgressColumn] = [TextColumn("{task.fields[name]:<9} {task.description}")]
    if current.total:
        columns += [BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f} objects")]
    console = Console(file=_stream(), highlight=False, soft_wrap=True)
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        current._task = bar.add_task(doing, total=current.total or None, name=current.name)
        _bar = bar
        try:
            yield
        finally:
            _bar = None
