# SPDX-License-Identifier: GPL-2.0-only
"""Kernel configuration: fragments, and whether what was asked for is what came out.

`make olddefconfig` drops an option whose dependency is unmet without a word.
Here each asked-for option is looked up in the result, and one that is not
there is an error that names the option and the dependency that it lacks.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.artefacts.kconfig_expression import (
    LEVELS,
    Range,
    Token,
    Value,
    evaluate,
    names,
    tokens,
)
from harness.core.errors import BadCall

SET = re.compile(r"^CONFIG_(\w+)=(.*)$")
UNSET = re.compile(r"^# CONFIG_(\w+) is not set$")
SPARE = "another kernel may lack"
# What an option of the tree has that nothing gives a value (scripts/kconfig/symbol.c).
DEFAULTS = {"bool": "n", "tristate": "n", "int": "0", "hex": "0x0", "string": ""}


@dataclass(frozen=True)
class Dropped:
    """An option that was asked for and that the configuration does not have.

    derived: nobody can ask for it, as LD_VERSION.
    """

    name: str
    wanted: str
    got: str
    reason: str
    derived: bool

    def __str__(self) -> str:
        return f"CONFIG_{self.name}={self.wanted} became {self.got}: {self.reason}"


def parse(text: str) -> dict[str, str]:
    """The options of a fragment or a .config; one that is not set has the value 'n'."""
    options: dict[str, str] = {}
    for line in text.splitlines():
        if found := SET.match(line.strip()):
            options[found[1]] = found[2]
        elif found := UNSET.match(line.strip()):
            options[found[1]] = "n"
    return options


def read_fragment(path: Path) -> dict[str, str]:
    """The options of a fragment. Raises BadCall for a line that asks for nothing: a typing error.

    `make olddefconfig` would pass over it without a word.
    """
    options: dict[str, str] = {}
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        found = parse(line)
        if not found and line.strip() and not line.strip().startswith("#"):
            raise BadCall(
                f"{path}, line {number} is no option: {line[:80]!r}",
                hint="CONFIG_NAME=value, or # CONFIG_NAME is not set",
            )
        options |= found
    return options


def may_lack(path: Path) -> set[str]:
    """The options of a fragment that another kernel may lack: its sections say so themselves.

    A section ends with an empty line; a comment with SPARE in it makes it one of these.
    """
    names: set[str] = set()
    for section in path.read_text(errors="replace").split("\n\n"):
        if any(line.startswith("#") and SPARE in line for line in section.splitlines()):
            names |= parse(section).keys()
    return names


def refuse_modules_alone(fragments: Sequence[Path]) -> None:
    """Raise BadCall for modules that are asked for where MODULES is not: with the lines.

    `make olddefconfig` would make each of them n, or y.
    """
    lines: dict[str, tuple[str, str]] = {}  # by option, where it is set last, and to what
    for path in fragments:
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            lines |= {
                name: (f"{path}, line {number}", value) for name, value in parse(line).items()
            }
    alone = [f"{place}: CONFIG_{name}=m" for name, (place, value) in lines.items() if value == "m"]
    if alone and lines.get("MODULES", ("", ""))[1] != "y":
        raise BadCall(
            "modules of a kernel that has none:\n  " + "\n  ".join(alone),
            hint="CONFIG_MODULES=y in the same fragment, or =y instead of =m",
        )


def dropped(wanted: Mapping[str, str], result: Mapping[str, str], tree: Path) -> list[Dropped]:
    """What is in `wanted` and not in `result`, each with the reason found in the tree's Kconfig."""
    lost = {name: value for name, value in wanted.items() if result.get(name, "n") != value}
    symbols = read_symbols(tree) if lost else {}
    return [
        Dropped(
            name,
            value,
            result.get(name, "n"),
            _reason(name, value, symbols, result),
            symbols.get(name, Symbol()).derived,
        )
        for name, value in lost.items()
    ]


@dataclass(frozen=True)
class Condition:
    """words: what Kconfig has in front of the expression."""

    words: str
    expression: str


@dataclass
class Definition:
    """One of an option's definitions: all that it needs, and whether it has a prompt."""

    needs: list[Condition]
    prompt: bool = False


@dataclass(frozen=True)
class Selector:
    """An option that selects another one.

    condition: an expression, "y" if there is none.
    """

    name: str
    condition: str


@dataclass
class Symbol:
    """What Kconfig says of an option, all its definitions together.

    kind: bool, tristate, int, hex or string; "" if nothing says it.
    """

    kind: str = ""
    choice: bool = False
    definitions: list[Definition] = field(default_factory=list)
    selectors: list[Selector] = field(default_factory=list)

    @property
    def derived(self) -> bool:
        """Whether nobody can ask for it: Kconfig finds it out by itself."""
        asked = self.selectors or any(definition.prompt for definition in self.definitions)
        return bool(self.definitions) and not asked


def read_symbols(tree: Path, architecture: str = "x86") -> dict[str, Symbol]:
    """Every option of the tree, with what surrounds it (menu, if, choice) as conditions."""
    symbols: dict[str, Symbol] = {}
    blocks: list[tuple[str, list[Condition]]] = []
    name, needs = "", list[Condition]()  # of the statement that the lines belong to
    for line, (first, *rest) in _statements(tree, tree / "Kconfig", architecture):
        word = first.text
        if word in ("config", "menuconfig") and rest:
            name = rest[0].text
            needs = [condition for _, level in blocks for condition in level]
            symbol = symbols.setdefault(name, Symbol())
            symbol.choice |= any(block == "choice" for block, _ in blocks)
            symbol.definitions.append(Definition(needs))
            continue
        if word in ("menu", "choice", "if"):
            name, needs = "", []
            blocks.append((word, needs))
        elif word in ("endmenu", "endchoice", "endif", "comment"):
            name, needs = "", []
            if word != "comment" and blocks:
                blocks.pop()
        if word == "if":
            needs.append(Condition("depends on", _text(line, rest)))
        elif word in ("depends", "visible"):
            needs.append(Condition(f"{word} {rest[0].text}", _text(line, rest[1:])))
        elif word == "select" and name:
            selector = Selector(name, _text(line, rest[2:]) or "y")
            symbols.setdefault(rest[0].text, Symbol()).selectors.append(selector)
        elif word in (*DEFAULTS, "def_bool", "def_tristate", "prompt"):
            kind = word.removeprefix("def_")
            if name and kind in DEFAULTS:
                symbols[name].kind = kind
            if kind == word and rest and rest[0].text[0] in "\"'":
                if name:
                    symbols[name].definitions[-1].prompt = True
                if rest[1:]:
                    needs.append(Condition("prompt if", _text(line, rest[2:])))
    return symbols


def _text(line: str, tokens: Sequence[Token]) -> str:
    """These tokens as they stand in their line."""
    return " ".join(line[tokens[0].start : tokens[-1].end].split()) if tokens else ""


def _statements(tree: Path, file: Path, architecture: str) -> Iterator[tuple[str, list[Token]]]:
    """The lines of a Kconfig file and of those it sources, without help texts; their tokens."""
    try:
        lines = iter(file.read_text(errors="replace").splitlines())
    except OSError:
        return  # optional: generated, or of another architecture
    help_indent: int | None = None
    in_help = False
    for raw in lines:
        if in_help:
            text = raw.expandtabs()
            indent = len(text) - len(text.lstrip())
            if not text.strip():
                continue
            help_indent = indent if help_indent is None else help_indent
            if indent >= help_indent and indent > 0:
                continue
            in_help = False
        line = raw.replace("$(SRCARCH)", architecture).replace("$(ARCH)", architecture)
        while line.endswith("\\"):
            line = f"{line[:-1]} {next(lines, '')}"
        found = tokens(line)
        if not found:
            continue
        if found[0].text in ("help", "---help---"):
            in_help, help_indent = True, None
        elif found[0].text == "source" and found[1:]:
            yield from _statements(tree, tree / found[1].text.strip("\"'"), architecture)
        else:
            yield line, found


def _reason(
    name: str, wanted: str, symbols: Mapping[str, Symbol], result: Mapping[str, str]
) -> str:
    symbol = symbols.get(name)
    if symbol is None or not symbol.definitions:
        return "this kernel has no such option"

    def lookup(option: str) -> Value:
        kind = symbols[option].kind if option in symbols else ""
        if not kind:
            return Value("", option)
        return Value(kind, _plain(result.get(option, DEFAULTS[kind])))

    def level(expression: str) -> int:
        return evaluate(expression, lookup).most

    def unmet(bound: Callable[[Range], int]) -> str:
        """What is below enough in each definition that has a prompt; "" if one lacks nothing."""
        # A bool is y where its conditions come to m; a tristate is not.
        enough = 2 if symbol.kind == "tristate" and wanted == "y" else 1
        lacks = [
            [need for need in needs if bound(evaluate(need.expression, lookup)) < enough]
            for needs in ways
        ]
        told = (" and ".join(_told(need, result) for need in needs) for needs in lacks)
        return ", or ".join(told) if all(lacks) else ""

    least = LEVELS.find(result.get(name, "n")) if wanted in LEVELS else -1
    by = {s.name for s in symbol.selectors if level(s.name) and level(s.condition)}
    if least > LEVELS.find(wanted) and by:
        return f"selected by {', '.join(sorted(by))}"
    ways = [definition.needs for definition in symbol.definitions if definition.prompt]
    if not ways:
        others = ", ".join(dict.fromkeys(selector.name for selector in symbol.selectors))
        return f"it has no prompt, only others select it: {others or 'none'}"
    if lacks := unmet(lambda found: found.most):
        return f"unmet: {lacks}"
    if lacks := unmet(lambda found: found.least):
        return f"perhaps unmet: {lacks}"
    if symbol.choice:
        return "another option of the same choice is set"
    if wanted == "n":
        return "it can't be switched off"
    if wanted == "m" and symbol.kind == "bool":
        return "it is no module, only y or n"
    if wanted == "m" and result.get("MODULES") != "y":
        return "unmet: MODULES is not set"
    return "the value is out of the option's range or another one overrides it"


def _plain(value: str) -> str:
    """A value of .config, a string without its quotes and backslashes."""
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _told(need: Condition, result: Mapping[str, str]) -> str:
    values = ", ".join(f"{name}={result.get(name, 'n')}" for name in names(need.expression))
    return f"{need.words} {need.expression} ({values})"
