# SPDX-License-Identifier: GPL-2.0-only
"""`./lab`: the machine that a verb will want is started first, then the verbs are imported."""

import signal

# Until a verb is at work, Ctrl-C just ends this, without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

import contextlib  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402

from harness import ahead  # noqa: E402

if __name__ == "__main__":
    try:
        with ahead.of(sys.argv[1:]):
            from harness.cli import main

            main(sys.argv[1:])
    except SystemExit as ended:
        # Not by Python's own end, which takes 30 ms to take all modules down, unless
        # it has something to say: that what was printed could not be written.
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(ended.code if isinstance(ended.code, int) else 0)
        raise
