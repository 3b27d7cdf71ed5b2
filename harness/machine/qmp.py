# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's monitor: QMP, one command at a time, on a socket that was connected when QEMU started.

https://www.qemu.org/docs/master/interop/qmp-spec.html; qemu.qmp is not used: it waits
for the greeting without an end, belongs to one thread, and takes as long to import as
QEMU takes to load a saved machine.
"""

import itertools
import json
import os
import select
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

from harness.core.errors import LabError

DEADLINE = 10.0  # seconds for an answer; QEMU's main loop gives one in a millisecond
CHUNK = 65536


class MonitorError(LabError):
    """QEMU refused a command, did not answer in time, or is gone."""


class Monitor:
    """The one client of a monitor; several threads may use it.

    connection: to a QEMU that has just been started, or, if `greeted`, from another
        process that has talked with it and does so no more.
    """

    def __init__(self, connection: socket.socket, *, greeted: bool = False) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._unread = b""
        self._events: list[dict[str, Any]] = []
        self._numbers = itertools.count(1)
        if not greeted:
            self._receive(time.monotonic() + DEADLINE, "greeting")
            self.command("qmp_capabilities")

    def fileno(self) -> int:
        """The connection's descriptor."""
        return self._connection.fileno()

    def command(
        self, name: str, *, fds: Sequence[int] = (), deadline: float = DEADLINE, **arguments: object
    ) -> Any:
        """Run a QMP command and return what it returns.

        fds: go along, as getfd and add-fd want. deadline: seconds to the answer.
        Arguments have QMP's names, with _ for -. Raises MonitorError.
        """
        # A late answer to a command that was given up, perhaps by another process, is none to this.
        number = f"{os.getpid()}-{next(self._numbers)}"
        named = {key.replace("_", "-"): value for key, value in arguments.items()}
        order = {"execute": name, "arguments": named, "id": number}
        with self._lock:
            end = time.monotonic() + deadline
            try:
                socket.send_fds(self._connection, [json.dumps(order).encode() + b"\n"], fds)
            except OSError as error:
                raise MonitorError(f"QEMU's monitor is gone ({error.strerror}): {name}") from None
            while True:
                told = self._receive(end, name)
                if "event" in told:
                    self._events.append(told)
                elif told.get("id") == number:
                    break
        if "error" in told:
            raise MonitorError(f"QEMU refuses {name}: {told['error']['desc']}")
        return told["return"]

    def human(self, line: str) -> str:
        """Run a command of the monitor for humans, such as 'info registers -a'."""
        return str(self.command("human-monitor-command", command_line=line))

    def await_event(self, name: str, *, deadline: float = DEADLINE) -> dict[str, Any]:
        """The data of the next event of that name, those that came unasked for included."""
        end = time.monotonic() + deadline
        with self._lock:
            while True:
                while self._events:
                    event = self._events.pop(0)
                    if event["event"] == name:
                        return dict(event.get("data", {}))
                told = self._receive(end, name)
                if "event" in told:
                    self._events.append(told)

    def happened(self, name: str) -> bool:
        """Whether an event of that name has come; does not wait, not for another thread either."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            while b"\n" in self._unread or select.select([self._connection], [], [], 0)[0]:
                told = self._receive(time.monotonic() + DEADLINE, name)
                if "event" in told:
                    self._events.append(told)
        except (MonitorError, ValueError, OSError):  # closed, perhaps by us
            pass
        finally:
            self._lock.release()
        return any(event["event"] == name for event in self._events)

    def close(self) -> None:
        """Give the connection up; QEMU goes on."""
        self._connection.close()

    def _receive(self, end: float, awaited: str) -> dict[str, Any]:
        while b"\n" not in self._unread:
            left = max(0.0, end - time.monotonic())
            if not select.select([self._connection], [], [], left)[0]:
                raise MonitorError(f"QEMU says nothing on its monitor, waited for: {awaited}")
            try:
                data = self._connection.recv(CHUNK)
            except OSError:
                data = b""
            if not data:
                raise MonitorError(f"QEMU's monitor is closed, waited for: {awaited}")
            self._unread += data
        line, self._unread = self._unread.split(b"\n", 1)
        return dict(json.loads(line))
