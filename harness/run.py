# SPDX-License-Identifier: GPL-2.0-only
"""Running programs: an argv list, a deadline, a log, and an error that says it all.

Every program that the lab starts and waits for goes through `run`. What it
starts and keeps (QEMU, the keeper) is started where it is owned, by the same
rule: it dies with the process that owns it.
"""

import os
import shlex
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.errors import LabError

TAIL_LINES = 20

Argv = Sequence[str | os.PathLike[str]]

_verbose = False


def set_verbose(verbose: bool) -> None:
    """Show each command before it runs."""
    global _verbose
    _verbose = verbose


class CommandFailed(LabError):
    """A program ended with another status than 0, or not in time."""

    def __init__(self, message: str, *, output: str, log: Path | None, hint: str = "") -> None:
        tail = "\n".join(f"    {line}" for line in output.splitlines()[-TAIL_LINES:])
        super().__init__(f"{message}\n{tail}" if tail else message, hint=hint, log=log)
        self.output = output


def dying_with_parent(argv: Argv) -> list[str]:
    """argv, to be killed when the thread that starts it ends (prctl(2), PR_SET_PDEATHSIG).

    setpriv(1) is in util-linux, which Debian always has. A preexec_fn would do
    the same, but is unsafe once there are threads.
    """
    return ["setpriv", "--pdeathsig", "KILL", "--", *map(os.fspath, argv)]


def run(
    argv: Argv,
    *,
    deadline: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    stdin: bytes | None = None,
    pass_fds: Sequence[int] = (),
    on_line: Callable[[str], None] | None = None,
) -> str:
    """Run a program and return what it printed, stdout and stderr together.

    deadline: seconds; the whole process group is killed at its end.
    env: added to the lab's own environment.
    log: appended with the command and every byte it prints.
    on_line: called with each line as it comes, in another thread.
    Raises CommandFailed for another exit status than 0 and at the deadline,
    LabError if the program is not there.
    """
    shown = shlex.join(map(os.fspath, argv))
    if _verbose:
        print(f"+ {shown}", flush=True)
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            dying_with_parent(argv),
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=pass_fds,
            process_group=0,
        )
    except FileNotFoundError as error:
        raise LabError(f"{error.filename} is not installed", hint="./lab doctor") from None

    kept: deque[str] = deque()
    reader = threading.Thread(target=_collect, args=(process, kept, log, shown, on_line))
    reader.start()
    try:
        if stdin is not None and process.stdin is not None:
            _feed(process, stdin)
        process.wait(timeout=max(0.0, deadline - (time.monotonic() - started)))
    except subprocess.TimeoutExpired:
        _kill_group(process)
        reader.join()
        raise CommandFailed(
            f"not done after {deadline:g} s: {shown}", output="".join(kept), log=log
        ) from None
    except BaseException:
        _kill_group(process)
        reader.join()
        raise
    reader.join()
    output = "".join(kept)
    if process.returncode != 0:
        raise CommandFailed(
            f"exit status {process.returncode}: {shown}", output=output, log=log
        )
    return output


def _feed(process: "subprocess.Popen[bytes]", data: bytes) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(data)
        process.stdin.close()
    except BrokenPipeError:
        pass  # it ended early; its exit status says why


def _collect(
    process: "subprocess.Popen[bytes]",
    kept: deque[str],
    log: Path | None,
    shown: str,
    on_line: Callable[[str], None] | None,
) -> None:
    assert process.stdout is not None
    sink = log.open("ab") if log else None
    if sink:
        sink.write(f"+ {shown}\n".encode())
    for raw in process.stdout:
        line = raw.decode(errors="replace")
        kept.append(line)
        if sink:
            sink.write(raw)
            sink.flush()
        if on_line:
            on_line(line)
    if sink:
        sink.close()


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
