# SPDX-License-Identifier: GPL-2.0-only
"""`./lab`: invoke over tasks.py, with what plain invoke has not.

Plain invoke knows no optional positional arguments, gives exit status 1 to a
misspelt verb, and joins what follows '--' without quoting. So the words after
shell, put, get and patches are collected here, and a bad call is status 2.
"""

import signal

# Until a verb is at work, Ctrl-C just ends this, without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

import shlex  # noqa: E402
import sys  # noqa: E402

from invoke.collection import Collection  # noqa: E402
from invoke.exceptions import Exit, ParseError  # noqa: E402
from invoke.program import Program  # noqa: E402

import tasks  # noqa: E402
from harness import run  # noqa: E402
from harness.errors import EXIT_BAD_CALL, EXIT_INTERRUPTED, end_at_once  # noqa: E402

signal.signal(signal.SIGINT, end_at_once)

# The verbs that take all the words behind them, and the flag that carries them.
TAKES_WORDS = {"shell": "--command", "put": "--path", "get": "--path", "patches": "--word"}


def rewrite(words: list[str]) -> list[str]:
    """The command line as invoke understands it.

    shell, put, get and patches end the list of verbs: what follows is theirs.
    """
    before, behind = words, None
    if "--" in words and not any(word in TAKES_WORDS for word in words[: words.index("--")]):
        at = words.index("--")
        before, behind = words[:at], words[at + 1 :]
    for at, word in enumerate(before):
        if word in TAKES_WORDS:
            rest = before[at + 1 :]
            if rest in (["--help"], ["-h"]):
                return [*before[:at], "--help", word]
            if rest[:1] == ["--"]:
                rest = rest[1:]
            flag = TAKES_WORDS[word]
            given = [" ".join(rest)] if word == "shell" and rest else rest
            return [*before[: at + 1], *(f"{flag}={value}" for value in given)]
    return [*before, "--", shlex.join(behind)] if behind is not None else before


class Lab(Program):
    """invoke's program with the verbs' contract for exit statuses."""

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:
        """Run the verbs; always ends the process."""
        try:
            self.create_config()
            self.parse_core(argv)
            self.parse_collection()
            self.parse_tasks()
            self.parse_cleanup()
            self.update_config()
            self.execute()
        except ParseError as error:
            print(f"error: {error}\nhint: ./lab --list", file=sys.stderr)
            sys.exit(EXIT_BAD_CALL)
        except Exit as ended:
            if ended.message:
                print(ended.message, file=sys.stderr)
            sys.exit(ended.code)
        except KeyboardInterrupt:
            sys.exit(EXIT_INTERRUPTED)


def main(words: list[str]) -> None:
    """Run ./lab with these words; none list the verbs. Always ends the process."""
    end = next((at for at, word in enumerate(words) if word in TAKES_WORDS or word == "--"), None)
    ours, theirs = words[:end], [] if end is None else words[end:]
    if "-v" in ours or "--verbose" in ours:
        run.set_verbose(True)
        ours = [word for word in ours if word not in ("-v", "--verbose")]
    program = Lab(namespace=Collection.from_module(tasks), name="lab", binary="./lab")
    program.run(["./lab", *(rewrite([*ours, *theirs]) or ["--list"])])


if __name__ == "__main__":
    main(sys.argv[1:])
