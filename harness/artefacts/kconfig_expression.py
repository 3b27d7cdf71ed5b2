# SPDX-License-Identifier: GPL-2.0-only
"""Kconfig's expressions: their tokens, and what they come to.

As the tree's scripts/kconfig has it: lexer.l, parser.y, expr.c. What its preprocessor
would have to expand, $(...), is not known here: an expression then comes to a range.
"""

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

LEVELS = "nmy"
COMPARED: dict[str, Callable[[int, int], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
TOKEN = re.compile(r"\|\||&&|[!<>]=|[=!<>()]|\$\(|[\w./-]+|\"[^\"\\$]*\"|[\"']|#")
# A constant's base is told by how it begins, an option's by its type.
NUMBER = re.compile(r"[+-]?(?:(?P<octal>0[0-7]*)|[1-9]\d*|0[xX][0-9a-fA-F]+)")
BASES = {
    "int": (10, re.compile(r"[+-]?\d+")),
    "hex": (16, re.compile(r"[+-]?(?:0[xX])?[0-9a-fA-F]+")),
}
TRISTATE = ("bool", "tristate")


class Token(NamedTuple):
    """A token as it stands in its line, from start to end; a string with its quotes."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Value:
    """What an operand stands for.

    kind: its type, "" of one that is no option of the tree.
    """

    kind: str
    text: str


@dataclass(frozen=True)
class Range:
    """The least and the most that an expression comes to, 0 to 2: n, m, y."""

    least: int
    most: int


UNKNOWN = Range(0, 2)
Lookup = Callable[[str], Value]


def tokens(line: str) -> list[Token]:
    """The tokens of a line, without a comment that ends it."""
    found, at = list[Token](), 0
    while match := TOKEN.search(line, at):
        if match[0] == "#":
            break
        at = match.end()
        if match[0] == "$(":
            at = _closed(line, at)
        elif match[0] in "\"'":
            at = _quoted(line, at, match[0])
        found.append(Token(line[match.start() : at], match.start(), at))
    return found


def _closed(line: str, at: int) -> int:
    """Behind the parenthesis that closes the one before `at`; quotes mean nothing there."""
    depth = 1
    while at < len(line) and depth:
        depth += {"(": 1, ")": -1}.get(line[at], 0)
        at += 1
    return at


def _quoted(line: str, at: int, quote: str) -> int:
    """Behind the quote that ends the string; one behind a backslash or in $(...) does not."""
    while at < len(line) and line[at] != quote:
        if line.startswith("$(", at):
            at = _closed(line, at + 2)
        else:
            at += 2 if line[at] == "\\" else 1
    return min(at + 1, len(line))


def names(expression: str) -> list[str]:
    """The options that an expression names, in order, each once."""
    words = (token.text for token in tokens(expression))
    options = (w for w in words if re.match(r"\w", w) and w not in LEVELS)
    return list(dict.fromkeys(word for word in options if not NUMBER.fullmatch(word)))


def evaluate(expression: str, lookup: Lookup) -> Range:
    """What an expression comes to. lookup: what an option's name stands for."""
    return _Evaluator([token.text for token in tokens(expression)], lookup).alternatives()


@dataclass
class _Evaluator:
    """Recursive descent over: or := and ('||' and)*; and := not ('&&' not)*.

    An operand of a comparison is one symbol, so that '!A = B' is '!(A = B)'.
    """

    tokens: list[str]
    lookup: Lookup
    at: int = 0

    def _next(self) -> str:
        token = self._peek()
        self.at += 1
        return token

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def alternatives(self) -> Range:
        found = [self._conjunction()]
        while self._peek() == "||":
            self._next()
            found.append(self._conjunction())
        return _merged(max, found)

    def _conjunction(self) -> Range:
        found = [self._factor()]
        while self._peek() == "&&":
            self._next()
            found.append(self._factor())
        return _merged(min, found)

    def _factor(self) -> Range:
        token = self._next()
        if token == "!":
            value = self._factor()
            return Range(2 - value.most, 2 - value.least)
        if token == "(":
            value = self.alternatives()
            self._next()
            return value
        if self._peek() in COMPARED:
            compare, other = COMPARED[self._next()], self._next()
            if "$(" in token or "$(" in other:
                return UNKNOWN
            level = 2 * compare(_order(self._operand(token), self._operand(other)), 0)
            return Range(level, level)
        if token.startswith("$("):
            return UNKNOWN
        operand = self._operand(token)
        level = max(LEVELS.find(operand.text), 0) if operand.kind in TRISTATE else 0
        if token == "m" and self.lookup("MODULES").text != "y":
            level = 0
        return Range(level, level)

    def _operand(self, token: str) -> Value:
        quoted = token[:1] in "\"'"
        text = re.sub(r"\\(.)", r"\1", token[1:-1]) if quoted else token
        if text in tuple(LEVELS):
            return Value("tristate", text)
        return Value("", text) if quoted else self.lookup(text)


def _merged(choose: Callable[[Iterable[int]], int], found: list[Range]) -> Range:
    return Range(choose(r.least for r in found), choose(r.most for r in found))


def _order(left: Value, right: Value) -> int:
    """Less than 0, 0 or more, as strcmp(3): as numbers if both are, else as strings."""
    if (left.kind, right.kind) != ("string", "string"):
        one, other = _number(left), _number(right)
        if one is not None and other is not None:
            if "hex" in (left.kind, right.kind):
                one, other = one % 2**64, other % 2**64
            return (one > other) - (one < other)
    one_text, other_text = left.text.encode(), right.text.encode()
    return (one_text > other_text) - (one_text < other_text)


def _number(value: Value) -> int | None:
    """A value as strtoll(3) reads it in its kind's base; None if it is no number."""
    if value.kind in TRISTATE:
        return LEVELS.find(value.text)
    if value.kind in BASES:
        base, digits = BASES[value.kind]
        return int(value.text, base) if digits.fullmatch(value.text) else None
    found = NUMBER.fullmatch(value.text)
    return int(value.text, 8 if found["octal"] else 0) if found else None
