# SPDX-License-Identifier: GPL-2.0-only
"""QMP, against a socket that answers as QEMU does."""

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from harness.machine import qmp
from harness.machine.qmp import Monitor, MonitorError

GREETING = b'{"QMP": {"version": {}, "capabilities": []}}\r\n'


@contextmanager
def qemu(*answers: Sequence[str]) -> Iterator[tuple[socket.socket, list[dict[str, object]]]]:
    """QEMU's greeting, then for each order but the first these lines; $ID is the order's."""
    ours, theirs = socket.socketpair()
    orders: list[dict[str, object]] = []

    def serve() -> None:
        theirs.sendall(GREETING)
        lines = theirs.makefile("rb")
        for answer in (['{"return": {}, "id": "$ID"}'], *answers):
            order = json.loads(lines.readline())
            orders.append(order)
            for line in answer:
                # In two pieces: a line is not a read.
                text = line.replace("$ID", str(order["id"])).encode() + b"\r\n"
                theirs.sendall(text[:7])
                theirs.sendall(text[7:])
        lines.close()
        theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    with ours:
        yield ours, orders
        ours.shutdown(socket.SHUT_RDWR)
        thread.join(5.0)


def test_a_command_has_qmps_names_and_its_own_answer() -> None:
    late = '{"return": "of an order that was given up", "id": "another"}'
    event = '{"event": "STOP", "timestamp": {}}'
    with qemu([late, event, '{"return": {"a": 1}, "id": "$ID"}']) as (connection, orders):
        assert Monitor(connection).command("x-y", command_line="info", n=2) == {"a": 1}
    assert [order["execute"] for order in orders] == ["qmp_capabilities", "x-y"]
    assert orders[1]["arguments"] == {"command-line": "info", "n": 2}


def test_an_event_that_came_before_it_was_awaited_is_not_lost() -> None:
    events = ['{"event": "STOP"}', '{"event": "MIGRATION", "data": {"status": "completed"}}']
    with qemu([*events, '{"return": {}, "id": "$ID"}']) as (connection, _):
        talk = Monitor(connection)
        talk.command("migrate")
        assert talk.await_event("MIGRATION") == {"status": "completed"}


def test_a_refusal_has_qemus_words() -> None:
    refusal = '{"error": {"class": "GenericError", "desc": "no such thing"}, "id": "$ID"}'
    with qemu([refusal]) as (connection, _), pytest.raises(MonitorError, match="no such thing"):
        Monitor(connection).command("frob")


def test_an_end_is_no_silence() -> None:
    with qemu([]) as (connection, _), pytest.raises(MonitorError, match=r"is closed.*: frob"):
        Monitor(connection).command("frob")


def test_silence_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qmp, "DEADLINE", 0.05)
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(MonitorError, match=r"says nothing.*greeting"):
        Monitor(ours)


def test_one_who_takes_over_waits_for_no_greeting() -> None:
    with qemu(['{"return": 5, "id": "$ID"}']) as (connection, _):
        first = Monitor(connection)
        second = Monitor(connection, greeted=True)
        assert second.command("query") == 5
        assert first.fileno() == second.fileno()
