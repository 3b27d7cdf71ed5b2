# SPDX-License-Identifier: GPL-2.0-only
"""What a verb is: an invoke task with a group, and with errors that become exit statuses."""

import enum
import functools
import importlib
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task

from harness.core.errors import EXIT_INTERRUPTED, EXIT_LAB_FAILED, LabError, end_at_once, unexpected


class Group(enum.Enum):
    """What a verb is for, in the order in which `./lab` shows them."""

    BUILD = "build"
    RUN = "run a guest"
    PROVE = "prove"
    LOOK = "look inside"
    SERIES = "work on the series"
    HOST = "this machine"


class Verb(Task[Callable[..., None]]):
    """A task of the lab.

    takes: the parameter that gets all the words behind the verb, and how usage shows
        them; such a verb has no flags, and ends the list of verbs. "" if it takes none.
    behind: what usage shows after "--", "" if nothing may follow.
    """

    def __init__(
        self,
        body: Callable[..., None],
        *,
        group: Group,
        takes: Mapping[str, str],
        behind: str,
        **options: Any,
    ) -> None:
        # Without short flags: derived from the names, one that comes would change another.
        super().__init__(body, auto_shortflags=False, **options)
        self.group = group
        self.takes, self.words = next(iter(takes.items()), ("", ""))
        self.behind = behind

    @property
    def choices(self) -> list[str]:
        """What the first word behind the verb may be, where `words` has it literally."""
        return re.findall(r"\b[a-z]+\b", self.words)

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """As invoke's, which uses the help up: a second call would have none."""
        kept = dict(self.help)
        arguments = super().get_arguments(ignore_unknown_help)
        self.help = kept
        return arguments


def verb(
    module: str,
    group: Group,
    *,
    takes: Mapping[str, str] | None = None,
    behind: str = "",
    **options: Any,
) -> Callable[[Callable[..., int | None]], Verb]:
    """A verb whose errors become one message and the documented exit status.

    module: what the body imports from harness. It is imported before Ctrl-C becomes
        an exception, which the import system's own callbacks swallow now and then.
    takes, behind: as in Verb. options: invoke's for a task; help: of the flags.
    """

    def decorate(body: Callable[..., int | None]) -> Verb:
        @functools.wraps(body)
        def guarded(*arguments: Any, **flags: Any) -> None:
            try:
                importlib.import_module(f"harness.{module}")
                signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
                signal.signal(signal.SIGINT, signal.default_int_handler)
                status = body(*arguments, **flags)
            except LabError as error:
                raise Exit(error.render(), error.status) from None
            except KeyboardInterrupt:
                raise Exit("interrupted", EXIT_INTERRUPTED) from None
            except BrokenPipeError:
                # Whoever read our output has gone, as `head` does; say nothing into it.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise Exit(code=128 + signal.SIGPIPE) from None
            except Exception as error:
                raise Exit(unexpected(error).render(), EXIT_LAB_FAILED) from None
            finally:
                signal.signal(signal.SIGINT, end_at_once)
            if status:
                raise Exit(code=status)

        return Verb(guarded, group=group, takes=takes or {}, behind=behind, **options)

    return decorate
