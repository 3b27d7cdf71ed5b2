# SPDX-License-Identifier: GPL-2.0-only
"""What Tab offers behind `./lab`: verbs and flags. For all else the shell offers files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from invoke.exceptions import ParseError
from invoke.parser.context import ParserContext

from harness.commands.cli.verb import Verb

SHELLS = ("bash", "zsh", "fish")


def script(shell: str) -> str:
    """What that shell sources. Raises ParseError for another shell."""
    if shell not in SHELLS:
        raise ParseError(f"no completion for {shell!r}, only for {', '.join(SHELLS)}")
    return Path(__file__).with_name(f"completion.{shell}").read_text()


def candidates(words: Sequence[str], verbs: Mapping[str, Verb], core: ParserContext) -> list[str]:
    """What the last word may become, with the words behind ./lab that are before it.

    core: the options that are no verb's. A word of the user's own, as a file's name,
    has no candidates. bash makes three words of --flag=value.
    """
    *before, current = words or [""]
    scopes = [core]
    awaited = False  # whether the next word is a flag's value
    for at, word in enumerate(before):
        verb = verbs.get(word)
        if word == "--":
            return []
        if verb and verb.takes and not awaited:
            last = at == len(before) - 1
            return [name for name in verb.choices if last and name.startswith(current)]
        if word.startswith("-"):
            flags = [scope.flags[word] for scope in scopes if word in scope.flags]
            awaited = any(flag.takes_value and not flag.optional for flag in flags)
        elif verb and not awaited:
            scopes = [core, ParserContext(args=verb.get_arguments())]
        else:
            awaited = word == "="
    if awaited or current == "=":
        return []
    if current.startswith("-"):
        names = [name for scope in reversed(scopes) for name in scope.flag_names()]
        offered = [name for name in names if name.startswith("--")]
    else:
        offered = list(verbs)
    return [name for name in offered if name.startswith(current)]
