# SPDX-License-Identifier: GPL-2.0-only
"""One machine at a time, and another one in its place."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from harness.core.errors import LabError
from harness.machine.session import Machines
from harness.machine.vm import Machine


class Events(list[str]):
    """What was started and ended, in order; a start can be made to fail."""

    fails = False

    @contextmanager
    def start(self) -> Iterator[Machine]:
        if self.fails:
            raise LabError("no machine")
        self.append("started")
        yield cast(Any, object())
        self.append("ended")


def test_a_machine_is_started_once_and_ended_at_the_end() -> None:
    events = Events()
    with Machines(events.start) as machines:
        assert machines.current() is machines.current()
        assert events == ["started"]
    assert events == ["started", "ended"]


def test_a_machine_that_is_thrown_away_is_replaced() -> None:
    events = Events()
    with Machines(events.start) as machines:
        first = machines.current()
        machines.discard()
        assert events == ["started", "ended"]
        assert machines.current() is not first
    assert events == ["started", "ended"] * 2


def test_a_start_that_failed_can_be_tried_again() -> None:
    events = Events()
    events.fails = True
    with Machines(events.start) as machines:
        with pytest.raises(LabError):
            machines.current()
        events.fails = False
        assert machines.current()


def test_a_kept_machine_is_not_thrown_away() -> None:
    events = Events()
    with Machines(events.start, kept=True) as machines:
        machines.current()
        with pytest.raises(LabError, match="not thrown away"):
            machines.discard()
        assert events == ["started"]
