# SPDX-License-Identifier: GPL-2.0-only
"""`./lab`: the machine that a verb will want is started first, then the verbs are imported."""

import signal

# Until a verb is at work, Ctrl-C just ends this, without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

import contextlib  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402

from harness.commands.cli import early_start  # noqa: E402
from harness.core.errors import EXIT_LAB_FAILED  # noqa: E402


def _run(words: list[str]) -> int:
    try:
        with early_start.of(words):
            import tasks
            from harness.commands.cli.program import main

            main(words, tasks)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    except ImportError as error:  # of what ./lab installed
        print(f"error: {error}", file=sys.stderr)
        print(f"hint: rm -r {sys.prefix}, and ./lab installs it again", file=sys.stderr)
        return EXIT_LAB_FAILED
    return 0


def _lost(error: OSError) -> int:
    """The status of a stream that could not take what was printed."""
    if isinstance(error, BrokenPipeError):
        return 128 + signal.SIGPIPE
    with contextlib.suppress(OSError):  # stderr's own
        print(f"error: stdout: {error.strerror}", file=sys.stderr)
    return EXIT_LAB_FAILED


def _flushed(status: int) -> int:
    try:
        sys.stdout.flush()
    except OSError as error:
        status = status or _lost(error)
    with contextlib.suppress(OSError):  # there is no place left to say it
        sys.stderr.flush()
    return status


if __name__ == "__main__":
    try:
        status = _run(sys.argv[1:])
    except OSError as error:  # of what was printed instead of a verb's work
        status = _lost(error)
    # Not by Python's own end, which takes 30 ms to take all modules down.
    os._exit(_flushed(status))
