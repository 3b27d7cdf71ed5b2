# SPDX-License-Identifier: GPL-2.0-only
"""What `./lab`, `./lab --help` and `./lab VERB --help` print."""

import inspect
from collections.abc import Mapping, Sequence

from invoke.parser.argument import Argument
from invoke.parser.context import to_flag

from harness.commands.cli.verb import Group, Verb

CALL = "./lab VERB [OPTIONS] [VERB [OPTIONS] ...]"
MORE = "./lab VERB --help"

Row = tuple[str, str]


def of_all(verbs: Mapping[str, Verb], options: Sequence[Argument]) -> str:
    """The verbs in their groups, a line each, and the options that are no verb's."""
    groups = {
        group.value: [
            (name, _documentation(verb)[0]) for name, verb in verbs.items() if verb.group is group
        ]
        for group in Group
    }
    width = max(len(name) for name in verbs)
    lines = [f"{CALL}    more about one: {MORE}"]
    for heading, rows in groups.items():
        if rows:
            lines += ["", heading, *_columns(rows, width)]
    return "\n".join([*lines, "", "options", *_options(options)]) + "\n"


def of_verb(verb: Verb) -> str:
    """How one verb is called, what it does, and its options."""
    flags = [] if verb.takes else _options(verb.get_arguments())
    call = ["./lab", verb.name]
    call += ["[OPTIONS]"] if flags else []
    call += [verb.words] if verb.words else []
    call += [f"[-- {verb.behind}]"] if verb.behind else []
    lines = [" ".join(call), "", *_documentation(verb)]
    if flags:
        lines += ["", *flags]
    return "\n".join(lines) + "\n"


def _documentation(verb: Verb) -> list[str]:
    return (inspect.getdoc(verb) or "").splitlines() or [""]


def _options(arguments: Sequence[Argument]) -> list[str]:
    """A line for each flag; a help of 'FILE: what for' names the flag's value."""
    rows = []
    for argument in arguments:
        spelt = ", ".join(to_flag(name) for name in sorted(argument.names, key=len))
        value, colon, told = (argument.help or "").partition(": ")
        named = bool(colon) and argument.takes_value
        rows.append((f"{spelt} {value}", told) if named else (spelt, argument.help or ""))
    return _columns(rows, max((len(spelt) for spelt, _ in rows), default=0))


def _columns(rows: Sequence[Row], width: int) -> list[str]:
    return [f"  {name:<{width}}   {told}".rstrip() for name, told in rows]
