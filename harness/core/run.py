# SPDX-License-Identifier: GPL-2.0-only
"""Running programs: an argv list, a deadline, a log, and an error that says it all.

Every program that the lab starts is started by `start`: it inherits what environment.py
says, and dies with the process that owns it. `run` also waits for it.
"""

import contextlib
import math
import os
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from harness.core import environment
from harness.core.environment import Kind
from harness.core.errors import NO_SPACE_HINT, LabError

TAIL_LINES = 20
GRACE = 5.0  # seconds between SIGTERM and SIGKILL
# Seconds that a program which has ended is still listened to: what it left running may hold
# its pipe for ever.
LINGER = 1.0
PIPE = 1 << 16  # bytes, pipe(7)

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


def tail(output: str) -> str:
    """The last lines of what a program printed, indented for a message."""
    return "\n".join(f"    {line}" for line in output.splitlines()[-TAIL_LINES:])


class CommandFailed(LabError):
    """A program ended with another status than 0, or not in time."""

    def __init__(self, message: str, *, output: str, log: Path | None, hint: str = "") -> None:
        last = tail(output)
        if "No space left on device" in output:
            hint = NO_SPACE_HINT
        super().__init__(f"{message}\n{last}" if last else message, hint=hint, log=log)
        self.output = output


def dying_with_parent(argv: Argv, by: str = "KILL") -> list[str]:
    """argv, to get a signal when the thread that starts it ends (prctl(2), PR_SET_PDEATHSIG).

    setpriv(1) is in util-linux, which Debian always has. A preexec_fn would do
    the same, but is unsafe once there are threads.
    """
    return ["setpriv", "--pdeathsig", by, "--", *(os.fspath(word) for word in argv)]


def start(
    argv: Argv,
    kind: Kind = environment.PROGRAM,
    *,
    env: Mapping[str, str] | None = None,
    by: str = "KILL",
    **options: Any,
) -> "subprocess.Popen[bytes]":
    """Start a program that dies with this process.

    kind: decides what it inherits. env: added to that. by: see dying_with_parent.
    options: subprocess.Popen's.
    """
    inherits = {**environment.of(kind), **(env or {})}
    return subprocess.Popen(dying_with_parent(argv, by), env=inherits, **options)


def run(
    argv: Argv,
    kind: Kind = environment.PROGRAM,
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

    kind: decides what it inherits. env: added to that.
    deadline: seconds; the whole process group is ended then. It gets SIGTERM first, as it
        does when the lab is killed: make removes its half-made targets and ends its
        children, git removes its locks, dpkg comes to an end that it can go on from.
        What a process prints that outlives the program is waited for LINGER seconds at most.
    stdin: what it reads there.
    stdout: a file that gets what it prints there, for output that isn't text.
    log: appended with the command and every byte it prints.
    on_line: called with each line as it comes.
    Raises CommandFailed for another exit status than 0 and at the deadline,
    LabError if the program is not there.
    """
    end = time.monotonic() + deadline
    shown = shlex.join(os.fspath(word) for word in argv)
    if _verbose:
        print(f"+ {shown}", flush=True)
    if not shutil.which(argv[0], path=environment.path()):
        raise LabError(f"{os.fspath(argv[0])} is not installed", hint="./lab doctor")
    with contextlib.ExitStack() as files:
        given = files.enter_context(tempfile.TemporaryFile()) if stdin else None
        if given:
            given.write(stdin)
            given.seek(0)
        sink = files.enter_context(log.open("ab", buffering=0)) if log else None
        if sink:
            sink.write(f"+ {shown}\n".encode())
        process = start(
            argv,
            kind,
            env=env,
            by="TERM",
            cwd=cwd,
            stdin=given or subprocess.DEVNULL,
            stdout=files.enter_context(stdout.open("wb")) if stdout else subprocess.PIPE,
            stderr=subprocess.PIPE if stdout else subprocess.STDOUT,
            pass_fds=tuple(_inherited),
            process_group=0,
        )
        heard = _Heard(process, sink, on_line)
        files.callback(heard.close)
        try:
            done = heard.until(end)
        except BaseException:
            heard.end()
            raise
        if not done:
            heard.end()
            message = f"not done after {deadline:g} s: {shown}"
            raise CommandFailed(message, output=heard.text, log=log)
    if process.returncode != 0:
        message = f"exit status {process.returncode}: {shown}"
        raise CommandFailed(message, output=heard.text, log=log)
    return heard.text


class _Heard:
    """A program that runs, and what it has printed."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        sink: IO[bytes] | None,
        on_line: Callable[[str], None] | None,
    ) -> None:
        self._process = process
        self._sink = sink
        self._on_line = on_line
        self._parts: list[bytes] = []
        self._begun = b""  # a line that has no end yet
        pipe = process.stdout or process.stderr
        assert pipe is not None
        self._pipe = pipe
        self._open = True
        self._ended = os.pidfd_open(process.pid)
        self._poll = select.poll()
        self._poll.register(pipe, select.POLLIN)
        self._poll.register(self._ended, select.POLLIN)

    @property
    def text(self) -> str:
        return b"".join(self._parts).decode(errors="replace")

    def until(self, end: float) -> bool:
        """Listen to it; whether it ended before that time (monotonic). It is waited for then."""
        while self._open or self._process.returncode is None:
            left = end - time.monotonic()
            if left <= 0:
                break
            ready = {descriptor for descriptor, _ in self._poll.poll(math.ceil(left * 1000))}
            if self._pipe.fileno() in ready:
                self._read()
            if self._ended in ready:
                self._poll.unregister(self._ended)
                self._process.wait()
                end = min(end, time.monotonic() + LINGER)
        if self._begun:
            self._tell(self._begun)
            self._begun = b""
        return self._process.returncode is not None

    def end(self) -> None:
        """Have its process group end, and hear its last words, which are told nobody."""
        self._on_line = None
        # The program may have ended already, and been waited for.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self.until(time.monotonic() + GRACE)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self.until(time.monotonic() + LINGER)

    def close(self) -> None:
        self._pipe.close()
        os.close(self._ended)

    def _read(self) -> None:
        part = os.read(self._pipe.fileno(), PIPE)
        if not part:
            self._poll.unregister(self._pipe)
            self._open = False
            return
        self._parts.append(part)
        if self._sink:
            # A full disk must not stop the reading: the program would hang.
            with contextlib.suppress(OSError):
                self._sink.write(part)
        if self._on_line:
            *lines, self._begun = (self._begun + part).split(b"\n")
            for line in lines:
                self._tell(line + b"\n")

    def _tell(self, line: bytes) -> None:
        if self._on_line:
            self._on_line(line.decode(errors="replace"))
