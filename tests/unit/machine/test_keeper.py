# SPDX-License-Identifier: GPL-2.0-only
"""Whether a VM runs: a keeper that is stopped, busy or strange is not a dead one."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.core.errors import LabError
from harness.core.workspace import ROOT, Selection
from harness.machine import keeper, keeper_process
from harness.machine.keeper import OtherVersion, Silent, Stopped
from harness.machine.plan import Plan
from harness.machine.qemu import Accelerator, Spec
from harness.machine.snapshot import State
from harness.machine.vm import Access

ANSWER: dict[str, object] = {
    "pid": 1,
    "qemu_pid": 2,
    "fingerprint": "of a kernel",
    "address": {"host": "h", "port": 3, "key": "k", "host_key": "hk"},
    "console": "/c",
    "accelerator": {"name": "tcg", "cpu": "c", "reason": "r"},
    "options": {"cpus": 4, "memory": 512, "append": "", "share": "", "qemu": [], "stays": True},
    "no_tap": "",
    "restored": True,
    "remark": "",
}
# Keepers of a folder, with another program for QEMU; they say when they are there.
ANSWERS = """
import os, subprocess, sys
from pathlib import Path
from harness.machine import keeper_process
import json, signal
directory, answer = Path(sys.argv[1]), json.loads(sys.argv[2])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
keeper_process.LOOK = 0.05
qemu = subprocess.Popen(["sleep", "60"])
with keeper_process.listening(directory) as server:
    print("there", flush=True)
    try:
        keeper_process.serve(server, directory, qemu.pid, answer, [0])
    finally:
        qemu.kill()
"""
# One of another version, which says something else each time, or nothing.
STRANGE = """
import socket, sys
from pathlib import Path
from harness.machine import keeper_process
with keeper_process.listening(Path(sys.argv[1])) as server:
    print("there", flush=True)
    for words in sys.argv[2:]:
        connection, _ = server.accept()
        with connection:
            connection.recv(1)
            if words:
                socket.send_fds(connection, [words.encode()], [0])
    sys.stdin.read()
"""
BUSY = """
import signal, sys, time
from pathlib import Path
from harness.machine import keeper_process
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with keeper_process.listening(Path(sys.argv[1])):
    print("there", flush=True)
    time.sleep(60)
"""

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test in which no answer comes."""
    monkeypatch.setattr(keeper, "ANSWER_DEADLINE", 0.3)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """What starts a keeper of tmp_path."""
    with contextlib.ExitStack() as stack:

        def start(source: str, *words: str) -> "subprocess.Popen[bytes]":
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", source, str(tmp_path), *words],
                    cwd=ROOT,
                    stdout=subprocess.PIPE,
                    stdin=subprocess.PIPE,
                )
            )
            stack.callback(process.kill)
            assert process.stdout and process.stdout.readline() == b"there\n"
            return process

        yield start


def _ended(process: "subprocess.Popen[bytes]") -> bool:
    """Whether it has ended by itself, or by what was done, in some seconds."""
    descriptor = os.pidfd_open(process.pid)
    with contextlib.closing(os.fdopen(descriptor)):
        return bool(select.select([descriptor], [], [], 10)[0])


def test_no_keeper_is_none(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for folder in (tmp_path, tmp_path / "none", file):
        assert keeper.ask(folder) is None
        assert keeper.stop(folder) is Stopped.NONE


def test_the_socket_of_one_that_was_killed_is_none(tmp_path: Path, start: Start) -> None:
    killed = start(ANSWERS, json.dumps(ANSWER))
    killed.kill()
    killed.wait()
    assert keeper.listens(tmp_path)
    assert keeper.ask(tmp_path) is None
    assert keeper.stop(tmp_path) is Stopped.NONE
    start(ANSWERS, json.dumps(ANSWER))
    assert keeper.is_there(tmp_path)


def test_one_that_answers_tells_what_it_keeps_and_is_stopped(tmp_path: Path, start: Start) -> None:
    process = start(ANSWERS, json.dumps(ANSWER))
    running = keeper.ask(tmp_path)
    assert running
    assert (running.pid, running.qemu_pid, running.fingerprint) == (1, 2, "of a kernel")
    assert running.packets == ()
    running.close()
    assert keeper.stop(tmp_path) is Stopped.ENDED
    assert _ended(process)
    assert keeper.stop(tmp_path) is Stopped.NONE
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("impatient")
def test_one_that_is_stopped_is_not_dead(tmp_path: Path, start: Start) -> None:
    process = start(ANSWERS, json.dumps(ANSWER))
    os.kill(process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    with pytest.raises(Silent, match=f"process {process.pid}, does not answer") as silent:
        keeper.ask(tmp_path)
    assert "./lab down" in silent.value.hint
    assert silent.value.status == 69
    with pytest.raises(LabError, match="a VM already"), keeper_process.listening(tmp_path):
        pass
    assert keeper.is_there(tmp_path)
    assert keeper.stop(tmp_path) is Stopped.ENDED
    assert _ended(process)
    assert keeper.ask(tmp_path) is None


@pytest.mark.usefixtures("impatient")
def test_one_that_does_not_hear_is_killed(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start(BUSY)
    with pytest.raises(Silent):
        keeper.ask(tmp_path)
    monkeypatch.setattr(keeper, "_ended", _in_time(keeper._ended))
    assert keeper.stop(tmp_path) is Stopped.KILLED
    assert _ended(process)
    assert keeper.stop(tmp_path) is Stopped.NONE


def _in_time(ended: Callable[[int, float], bool]) -> Callable[[int, float], bool]:
    """The first wait is a short one; that for the end of what was killed has no such deadline."""
    deadlines = iter([0.3])
    return lambda pidfd, _: ended(pidfd, next(deadlines, 30.0))


def test_one_of_another_version_can_be_told_to_go(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    less = [{key: ANSWER[key] for key in ANSWER if key != name} for name in ANSWER]
    said = ["", "{}", "[]", "null", "not JSON", *map(json.dumps, less)]
    process = start(STRANGE, *said)
    monkeypatch.setattr(keeper, "STOP_DEADLINE", 0.3)  # until one that says nothing has ended
    before = _descriptors()
    for words in said:
        with pytest.raises(OtherVersion, match="another version") as strange:
            keeper.ask(tmp_path)
            pytest.fail(f"understood: {words}")
        assert "./lab down" in strange.value.hint
    assert len(_descriptors() - before) <= len(said)  # of the folder
    monkeypatch.setattr(keeper, "STOP_DEADLINE", 30.0)
    assert keeper.stop(tmp_path) is Stopped.ENDED
    assert _ended(process)


def test_an_answer_with_a_field_more_is_understood(tmp_path: Path, start: Start) -> None:
    start(STRANGE, json.dumps(ANSWER | {"more": 1}))
    running = keeper.ask(tmp_path)
    assert running
    running.close()


def _descriptors() -> set[str]:
    """The files that this process has open, and at which numbers."""
    numbers = Path("/proc/self/fd").iterdir()
    # Another test's may be closed meanwhile, by the garbage collector.
    return {f"{path.name} {path.readlink()}" for path in numbers if os.path.lexists(path)}


def test_too_many_that_wait_are_no_dead_keeper_either(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, contextlib.ExitStack() as stack:
        server.bind(keeper.socket_path(tmp_path))
        server.listen(1)
        with contextlib.suppress(BlockingIOError):
            for _ in range(10):
                waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(keeper.socket_path(tmp_path))
        for tried in (keeper.ask, keeper.stop, keeper.is_there):
            with pytest.raises(LabError, match="too many commands wait for it"):
                tried(tmp_path)


def test_another_users_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(directory: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(keeper, "socket_path", refuse)
    for tried in (keeper.ask, keeper.stop):
        with pytest.raises(LabError, match="another user's"):
            tried(tmp_path)


def test_one_that_can_not_be_found_any_more_ends(tmp_path: Path, start: Start) -> None:
    process = start(ANSWERS, json.dumps(ANSWER))
    running = keeper.ask(tmp_path)
    assert running
    running.close()
    (tmp_path / keeper.SOCKET).rename(tmp_path / "elsewhere")
    assert _ended(process)


def test_who_says_nothing_does_not_keep_others_waiting(tmp_path: Path, start: Start) -> None:
    assert 2 * keeper_process.QUESTION_DEADLINE < keeper.ANSWER_DEADLINE
    start(ANSWERS, json.dumps(ANSWER))
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(keeper.socket_path(tmp_path))
        running = keeper.ask(tmp_path)
        assert running
        running.close()


@pytest.mark.usefixtures("impatient")
def test_one_that_boots_is_there_and_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a QEMU that never greets."""
    directory, programs = tmp_path / "vm", tmp_path / "bin"
    programs.mkdir()
    stub = programs / "qemu-system-x86_64"
    stub.write_text(f"#!/bin/sh\n: >{tmp_path}/started\nexec sleep 60\n")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    accelerator = Accelerator("tcg", "c", "r")
    spec = Spec(Path("k"), Path("i"), accelerator, Path("console"), -1, ())
    state = State(tmp_path / "state", "")
    plan = Plan(Selection(), spec, Access(Path("k"), "hk"), state)
    told: list[LabError] = []

    def boot() -> None:
        try:
            keeper_process.start(directory, plan)
        except LabError as error:
            told.append(error)

    booting = threading.Thread(target=boot)
    booting.start()
    while not (tmp_path / "started").exists():
        assert booting.is_alive()
        time.sleep(0.01)
    assert keeper.is_there(directory)
    with pytest.raises(Silent, match="does not answer"):
        keeper.ask(directory)
    assert keeper.stop(directory) is Stopped.ENDED
    booting.join(10)
    assert [error.message for error in told] == ["the keeper of the VM was ended while that booted"]
    assert not keeper.is_there(directory)
