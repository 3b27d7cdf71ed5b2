# SPDX-License-Identifier: GPL-2.0-only
"""What a person watches: one line a step, a bar for the kernel, plain lines without a terminal."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

PLAIN_EVERY_PERCENT = 10

_console = Console(stderr=False, highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """One line to the person, at once."""
    _console.print(message, markup=False)


@dataclass
class Step:
    """A step that is under way. `note` becomes its line's text when it ends."""

    name: str
    total: int = 0
    note: str = ""
    _done: int = 0
    _bar: Progress | None = None
    _task: TaskID | None = None
    _said: int = 0
    _started: float = field(default_factory=time.monotonic)

    def advance(self) -> None:
        """One object of `total` is done."""
        self._done += 1
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done, total=max(self.total, self._done))
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
    if sys.stdout.isatty():
        columns: list[ProgressColumn] = [TextColumn("{task.fields[name]:<9} {task.description}")]
        if total:
            columns += [BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f} objects")]
        with Progress(*columns, TimeElapsedColumn(), console=_console, transient=True) as bar:
            current._bar = bar
            current._task = bar.add_task(doing, total=total or None, name=name)
            yield current
    else:
        say(f"{name:<9} {doing} ...")
        yield current
    say(f"{name:<9} {current.note} ({current.elapsed:.1f} s)")
