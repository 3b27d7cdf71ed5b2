# SPDX-License-Identifier: GPL-2.0-only
"""Kernel configuration: fragments, and whether what was asked for is what came out.

`make olddefconfig` drops an option whose dependency is unmet without a word.
Here each asked-for option is looked up in the result, and one that is not
there is an error that names the option and the dependency that it lacks.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import BadCall

SET = re.compile(r"^CONFIG_(\w+)=(.*)$")
UNSET = re.compile(r"^# CONFIG_(\w+) is not set$")
SYMBOL = re.compile(r"^(?:menu)?config\s+(\w+)")
TOKEN = re.compile(r'"[^"]*"|\'[^\']*\'|&&|\|\||!=|[()!=]|[\w./-]+')


@dataclass(frozen=True)
class Dropped:
    """An option that was asked for and that the configuration does not have."""

    name: str
    wanted: str
    got: str
    reason: str

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


def dropped(wanted: Mapping[str, str], result: Mapping[str, str], tree: Path) -> list[Dropped]:
    """What is in `wanted` and not in `result`, each with the reason found in the tree's Kconfig."""
    lost = {name: value for name, value in wanted.items() if result.get(name, "n") != value}
    if not lost:
        return []
    symbols = read_symbols(tree)
    return [
        Dropped(name, value, result.get(name, "n"), _reason(name, value, symbols, result))
        for name, value in lost.items()
    ]


@dataclass
class Symbol:
    """What Kconfig says of an option, all its definitions together.

    depends: one list of conditions a definition; a definition holds if all of its do.
    """

    depends: list[list[str]] = field(default_factory=list)
    prompt: bool = False
    choice: bool = False
    selected_by: list[str] = field(default_factory=list)


def read_symbols(tree: Path, architecture: str = "x86") -> dict[str, Symbol]:
    """Every option of the tree, with what surrounds it (menu, if, choice) as dependencies."""
    symbols: dict[str, Symbol] = {}
    enclosing: list[list[str]] = []
    choices: list[bool] = []
    where: Symbol | None = None
    conditions: list[str] = []
    name = ""
    for line in _lines(tree, tree / "Kconfig", architecture):
        word, _, rest = line.partition(" ")
        if found := SYMBOL.match(line):
            name = found[1]
            where = symbols.setdefault(name, Symbol())
            where.choice = where.choice or any(choices)
            conditions = [item for level in enclosing for item in level]
            where.depends.append(conditions)
        elif word in ("menu", "choice", "if"):
            enclosing.append([rest] if word == "if" else [])
            choices.append(word == "choice")
            conditions, where = enclosing[-1], None
        elif word in ("endmenu", "endchoice", "endif"):
            if enclosing:
                enclosing.pop()
                choices.pop()
            where = None
        elif line.startswith("depends on "):
            conditions.append(line.removeprefix("depends on "))
        elif word in ("bool", "tristate", "string", "int", "hex", "prompt") and where:
            where.prompt = where.prompt or '"' in rest
        elif word == "select" and where:
            target = symbols.setdefault(rest.split()[0], Symbol())
            target.selected_by.append(name)
        elif word == "comment":
            conditions, where = [], None
    return symbols


def _lines(tree: Path, file: Path, architecture: str) -> Iterator[str]:
    """The lines of a Kconfig file and of those it sources, joined, stripped, without help texts."""
    try:
        text = file.read_text(errors="replace").replace("\\\n", " ")
    except OSError:
        return  # optional: generated, or of another architecture
    help_indent: int | None = None
    in_help = False
    for raw in text.splitlines():
        line = raw.expandtabs().strip()
        indent = len(raw.expandtabs()) - len(raw.expandtabs().lstrip())
        if in_help:
            if not line:
                continue
            help_indent = indent if help_indent is None else help_indent
            if indent >= help_indent and indent > 0:
                continue
            in_help = False
        if line in ("help", "---help---"):
            in_help, help_indent = True, None
        elif line.startswith(("source ", "rsource ")):
            path = line.split(None, 1)[1].strip("\"'").replace("$(SRCARCH)", architecture)
            yield from _lines(tree, (file.parent if line[0] == "r" else tree) / path, architecture)
        elif line and not line.startswith("#"):
            yield re.sub(r"\s+", " ", line)


def _reason(
    name: str, wanted: str, symbols: Mapping[str, Symbol], result: Mapping[str, str]
) -> str:
    symbol = symbols.get(name)
    if symbol is None or not symbol.depends:
        return "this kernel has no such option"
    unmet = [
        [condition for condition in conditions if not holds(condition, result)]
        for conditions in symbol.depends
    ]
    if wanted != "n" and all(unmet):
        return "unmet: " + ", or ".join(" and ".join(_values(c, result)) for c in unmet)
    if not symbol.prompt:
        return f"it has no prompt, only others select it: {', '.join(symbol.selected_by) or 'none'}"
    if wanted == "n":
        on = [by for by in symbol.selected_by if result.get(by, "n") in ("y", "m")]
        return f"selected by {', '.join(on)}" if on else "it can't be switched off"
    if symbol.choice:
        return "another option of the same choice is set"
    if wanted == "m" and result.get("MODULES") != "y":
        return "unmet: MODULES is not set"
    return "the value is out of the option's range or another one overrides it"


def _values(conditions: Iterable[str], result: Mapping[str, str]) -> list[str]:
    described = []
    for condition in conditions:
        names = [t for t in TOKEN.findall(condition) if re.fullmatch(r"[A-Z]\w*", t)]
        values = ", ".join(f"{n}={result.get(n, 'n')}" for n in dict.fromkeys(names))
        described.append(f"depends on {condition} ({values})")
    return described


def holds(expression: str, result: Mapping[str, str]) -> bool:
    """Whether a Kconfig dependency is other than 'n', as kconfig-language.rst evaluates it.

    What the preprocessor would have to expand, $(...), is taken as true.
    """
    expression = re.sub(r"\$\([^()]*(?:\([^()]*\)[^()]*)*\)", "y", expression)
    return _Evaluator(TOKEN.findall(expression), result).expression() != "n"


@dataclass
class _Evaluator:
    """Recursive descent over: or := and ('||' and)*; and := not ('&&' not)*; n < m < y."""

    tokens: list[str]
    result: Mapping[str, str]
    at: int = 0

    def _next(self) -> str:
        token = self.tokens[self.at] if self.at < len(self.tokens) else ""
        self.at += 1
        return token

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def expression(self) -> str:
        value = self._conjunction()
        while self._peek() == "||":
            self._next()
            value = max(value, self._conjunction(), key="nmy".index)
        return value

    def _conjunction(self) -> str:
        value = self._factor()
        while self._peek() == "&&":
            self._next()
            value = min(value, self._factor(), key="nmy".index)
        return value

    def _factor(self) -> str:
        token = self._next()
        if token == "!":
            return {"y": "n", "m": "m", "n": "y"}[self._factor()]
        if token == "(":
            value = self.expression()
            self._next()
            return value
        if self._peek() in ("=", "!="):
            equal = self._next() == "="
            same = self._value(token) == self._value(self._next())
            return "y" if same == equal else "n"
        value = self._value(token)
        return value if value in ("y", "m") else "n"

    def _value(self, token: str) -> str:
        if token[:1] in "\"'":
            return token.strip("\"'")
        if token in ("y", "m", "n") or token.isdigit():
            return token
        return self.result.get(token, "n").strip('"')
