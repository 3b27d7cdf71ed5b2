# SPDX-License-Identifier: GPL-2.0-only
"""Running programs: an argv list, a deadline, a log, and an error that says it all.

Every program that the lab starts and waits for goes through `run`. What it
starts and keeps (QEMU, the keeper) is started where it is owned, by the same
rule: it dies with the process that owns it.
"""

import contextlib
import os
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.errors import NO_SPACE_HINT, LabError

TAIL_LINES = 20
GRACE = 5.0  # seconds between SIGTERM and SIGKILL

Argv = Sequence[str | os.PathLike[str]]

_verbose = False
_inherited: set[int] = set()


@contextmanager
def inherited(descriptor: int) -> Iterator[None]:
    """Leave a descriptor open in every program that is run meanwhile."""
    _inherited.add(descriptor)
    try:
        yield
    finally:
        _inherited.discard(descriptor)


def set_verbose(verbose: bool) -> None:
    """Show each command before it runs."""
    global _verbose
    _verbose = verbose


class CommandFailed(LabError):
    """A program ended with another status than 0, or not in time."""

    def __init__(self, message: str, *, output: str, log: Path | None, hint: str = "") -> None:
        tail = "\n".join(f"    {line}" for line in output.splitlines()[-TAIL_LINES:])
        if "No space left on device" in output:
            hint = NO_SPACE_HINT
        super().__init__(f"{message}\n{tail}" if tail else message, hint=hint, log=log)
        self.output = output


def dying_with_parent(argv: Argv, by: str = "KILL") -> list[str]:
    """argv, to get a signal when the thread that starts it ends (prctl(2), PR_SET_PDEATHSIG).

    setpriv(1) is in util-linux, which Debian always has. A preexec_fn would do
    the same, but is unsafe once there are threads.
    """
    return ["setpriv", "--pdeathsig", by, "--", *(os.fspath(word) for word in argv)]


def run(
    argv: Argv,
    *,
    deadline: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    stdin: bytes = b"",
    stdout: Path | None = None,
    on_line: Callable[[str], None] | None = None,
) -> str:
    """Run a program and return what it printed, stdout and stderr together.

    deadline: seconds; the whole process group is ended then. It gets SIGTERM first, as it
        does when the lab is killed: make removes its half-made targets and ends its
        children, git removes its locks, dpkg comes to an end that it can go on from.
    env: added to the lab's own environment.
    stdin: what it reads there.
    stdout: a file that gets what it prints there, for output that isn't text.
    log: appended with the command and every byte it prints.
    on_line: called with each line as it comes, in another thread.
    Raises CommandFailed for another exit status than 0 and at the deadline,
    LabError if the program is not there.
    """
    shown = shlex.join(os.fspath(word) for word in argv)
    if _verbose:
        print(f"+ {shown}", flush=True)
    if not shutil.which(argv[0]):
        raise LabError(f"{os.fspath(argv[0])} is not installed", hint="./lab doctor")
    started = time.monotonic()
    with contextlib.ExitStack() as files:
        given = files.enter_context(tempfile.TemporaryFile()) if stdin else None
        if given:
            given.write(stdin)
            given.seek(0)
        process = subprocess.Popen(
            dying_with_parent(argv, by="TERM"),
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
            stdin=given or subprocess.DEVNULL,
            stdout=files.enter_context(stdout.open("wb")) if stdout else subprocess.PIPE,
            stderr=subprocess.PIPE if stdout else subprocess.STDOUT,
            pass_fds=tuple(_inherited),
            process_group=0,
        )
    kept: deque[str] = deque()
    arguments = (process, kept, log, shown, on_line)
    reader = threading.Thread(target=_collect, args=arguments, daemon=True)
    reader.start()
    try:
        _wait(process, deadline - (time.monotonic() - started))
    except subprocess.TimeoutExpired:
        _end_group(process)
        reader.join(GRACE)
        raise CommandFailed(
            f"not done after {deadline:g} s: {shown}", output="".join(kept), log=log
        ) from None
    except BaseException:
        _end_group(process)
        reader.join(GRACE)
        raise
    reader.join()
    output = "".join(kept)
    if process.returncode != 0:
        raise CommandFailed(f"exit status {process.returncode}: {shown}", output=output, log=log)
    return output


def _wait(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """As wait(timeout=...), which looks only every 50 ms."""
    descriptor = os.pidfd_open(process.pid)
    try:
        select.select([descriptor], [], [], max(0.0, seconds))
    finally:
        os.close(descriptor)
    process.wait(timeout=0)


def _collect(
    process: "subprocess.Popen[bytes]",
    kept: deque[str],
    log: Path | None,
    shown: str,
    on_line: Callable[[str], None] | None,
) -> None:
    pipe = process.stdout or process.stderr
    assert pipe is not None
    if not (log or on_line):  # all at once: find(1) lists 40,000 lines
        kept.append(pipe.read().decode(errors="replace"))
        return
    with contextlib.ExitStack() as files:
        sink = files.enter_context(log.open("ab", buffering=0)) if log else None
        if sink:
            sink.write(f"+ {shown}\n".encode())
        for raw in pipe:
            line = raw.decode(errors="replace")
            kept.append(line)
            if sink:
                # A full disk must not stop the reading: the program would hang.
                with contextlib.suppress(OSError):
                    sink.write(raw)
            if on_line:
                on_line(line)


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    # The program may have ended already, and been waited for.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
