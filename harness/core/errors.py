# SPDX-License-Identifier: GPL-2.0-only
"""What can go wrong, as values: a message, a remedy, and where to read more.

The exit statuses are the verbs' contract. Programs rely on them to tell a
failing test from a bad call and from a lab that could not do its work.
"""

import errno
import os
import tempfile
import traceback
from pathlib import Path

EXIT_TEST_FAILED = 1
EXIT_BAD_CALL = 2
EXIT_LAB_FAILED = 69  # EX_UNAVAILABLE of sysexits.h
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it


def end_at_once(*_: object) -> None:
    """Handler of SIGINT while there is nothing to clean up: no exception, so none is lost."""
    os._exit(EXIT_INTERRUPTED)


class LabError(Exception):
    """The lab could not do its work.

    message: one sentence, what happened.
    hint: what the user can do about it.
    log: the file that holds the whole story.
    """

    status = EXIT_LAB_FAILED

    def __init__(self, message: str, *, hint: str = "", log: Path | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.log = log

    def render(self) -> str:
        """The error as a person reads it: message, hint, log, a line each or more."""
        lines = [f"error: {self.message}"]
        if self.hint:
            lines.append(f"hint: {self.hint}")
        if self.log:
            lines.append(f"log: {self.log}")
        return "\n".join(lines)


class BadCall(LabError):
    """The user asked for something that makes no sense as asked."""

    status = EXIT_BAD_CALL


class TestsFailed(LabError):
    """The lab worked; what it tested did not."""

    __test__ = False  # not a test class, whatever pytest thinks of its name
    status = EXIT_TEST_FAILED


# What may go without loss: `clean` refuses to remove work that is nowhere else.
SPARE = "./lab clean, or rm -r build/*/obj build/downloads, which are made anew"
NO_SPACE_HINT = f"free some disk space: {SPARE}; what was complete is kept"


def unexpected(error: Exception) -> LabError:
    """An error that nobody foresaw: the system's, or a defect of the lab, kept in a file."""
    if isinstance(error, OSError):
        hint = NO_SPACE_HINT if error.errno == errno.ENOSPC else ""
        return LabError(str(error), hint=hint)
    name = ""
    try:
        descriptor, name = tempfile.mkstemp(prefix="lab-defect-", suffix=".log")
        with os.fdopen(descriptor, "w") as file:
            traceback.print_exception(error, file=file)
    except OSError:
        pass
    return LabError(
        f"{type(error).__name__}: {error}",
        hint="a defect of the lab: report it with the log",
        log=Path(name) if name else None,
    )
