# SPDX-License-Identifier: GPL-2.0-only
"""The command line: invoke over the verbs, and what plain invoke lacks.

Plain invoke knows no optional positional arguments, gives exit status 1 to a
misspelt verb, and joins what follows '--' without quoting. So the words after
a verb that takes them are collected here, and a bad call is status 2.
"""

import contextlib
import shlex
import signal
import sys
from collections.abc import Mapping
from itertools import takewhile
from types import ModuleType

from invoke.collection import Collection
from invoke.config import Config
from invoke.exceptions import Exit, ParseError
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext
from invoke.program import Program

from harness.commands.cli import completion, usage
from harness.commands.cli.verb import Verb
from harness.core import run
from harness.core.errors import EXIT_BAD_CALL, EXIT_INTERRUPTED, end_at_once


def rewrite(words: list[str], verbs: Mapping[str, Verb]) -> list[str]:
    """The command line as invoke understands it.

    A verb that takes words ends the list of verbs: what follows is its own, but for
    options right behind it. Words of its own that look like one stand behind '--'.
    """
    for at, word in enumerate(words):
        if word == "--":
            return [*words[:at], "--", shlex.join(words[at + 1 :])]
        verb = verbs.get(word)
        if verb and verb.takes:
            options = list(takewhile(_is_option, words[at + 1 :]))
            rest = words[at + 1 + len(options) :]
            if rest[:1] == ["--"]:
                rest = rest[1:]
            given = rest if verb.takes in verb.iterable else [_line(rest)] if rest else []
            return [*words[: at + 1], *options, *(f"--{verb.takes}={value}" for value in given)]
    return words


def _is_option(word: str) -> bool:
    return word.startswith("-") and word not in ("-", "--")


def _line(words: list[str]) -> str:
    """One word is a shell's line; several are an argv, of which a shell makes the same again.

    Each is quoted, where shlex leaves alone what it thinks harmless: `if` and `A=b`
    are the shell's own as the first word.
    """
    if len(words) == 1:
        return words[0]
    return " ".join("'" + word.replace("'", "'\"'\"'") + "'" for word in words)


class _OwnConfig(Config):
    """invoke's, without a user's files, which can run anything, and without variables."""

    def load_base_conf_files(self) -> None:
        """Read none."""

    def load_shell_env(self) -> None:
        """Take none."""


class Lab(Program):
    """invoke's program with the verbs' contract for exit statuses, and none of its own options."""

    def core_args(self) -> list[Argument]:
        """The options that are no verb's."""
        script = "SHELL: print the completion for bash, zsh, fish"
        return [
            Argument(names=("help", "h"), optional=True, help="show this, or a verb's options"),
            Argument(names=("list",), kind=bool, help="show this"),
            Argument(names=("print-completion-script",), help=script),
            Argument(names=("verbose", "v"), kind=bool, help="show each command that is run"),
        ]

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:
        """Run the verbs; always ends the process."""
        try:
            self.create_config()
            self.normalize_argv(argv)
            self.parse_core_args()
            self.parse_collection()
            self.parse_tasks()
            self._answer()
            run.set_verbose(bool(self.args.verbose.value))
            self.execute()
        except ParseError as error:
            _tell(f"error: {error}\nhint: ./lab --help")
            sys.exit(EXIT_BAD_CALL)
        except Exit as ended:
            if ended.message:
                _tell(ended.message)
            sys.exit(ended.code)
        except KeyboardInterrupt:
            sys.exit(EXIT_INTERRUPTED)

    def _answer(self) -> None:
        """Print what was asked for instead of a verb's work, and end; return if nothing was."""
        verbs: Mapping[str, Verb] = self.collection.tasks
        asked, shell = self.args.help.value, self.args["print-completion-script"].value
        if shell:
            print(completion.script(shell), end="")
        elif isinstance(asked, str):
            if asked not in verbs:
                raise ParseError(f"No idea what {asked!r} is!")
            print(usage.of_verb(verbs[asked]), end="")
        elif asked or self.args.list.value or not self.tasks:
            print(usage.of_all(verbs, self.core_args()), end="")
        else:
            return
        raise Exit


def _tell(words: str) -> None:
    """Say why it ends; where stderr takes nothing, the status still tells."""
    with contextlib.suppress(OSError):
        print(words, file=sys.stderr)


def main(words: list[str], tasks: ModuleType) -> None:
    """Run ./lab with these words; none list the verbs. Always ends the process.

    tasks: the module of the verbs.
    """
    signal.signal(signal.SIGINT, end_at_once)
    collection = Collection.from_module(tasks)
    if words[:2] == ["--complete", "--"]:
        core = ParserContext(args=Lab().core_args())
        for candidate in completion.candidates(words[2:], collection.tasks, core):
            print(candidate)
        sys.exit()
    program = Lab(namespace=collection, name="lab", binary="./lab", config_class=_OwnConfig)
    program.run(["./lab", *rewrite(words, collection.tasks)])
