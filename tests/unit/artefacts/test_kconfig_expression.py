# SPDX-License-Identifier: GPL-2.0-only
"""Kconfig's expressions come to what Kconfig says; tests/lab holds them against the tree's own."""

import pytest

from harness.artefacts.kconfig_expression import Range, Value, evaluate, names, tokens

VALUES = {
    "A": Value("bool", "y"),
    "B": Value("bool", "n"),
    "M": Value("tristate", "m"),
    "MODULES": Value("bool", "y"),
    "S": Value("string", "text"),
    "QUOTED": Value("string", 'a "b"'),
    "TEN": Value("string", "10"),
    "N": Value("int", "5"),
    "BIG": Value("int", "120000"),
    "ADDRESS": Value("hex", "0x1F"),
    "BARE": Value("hex", "1f"),
    "8139TOO": Value("tristate", "y"),
}


def come_to(expression: str) -> Range:
    return evaluate(expression, lambda name: VALUES.get(name, Value("", name)))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("A", "y"),
        ("B", "n"),
        ("M", "m"),
        ("!A", "n"),
        ("!M", "m"),
        ("A && B", "n"),
        ("A && M", "m"),
        ("A || B", "y"),
        ("B || A && !B", "y"),
        ("A || A && B", "y"),
        ("!(A && B)", "y"),
        ("(A || B) && B", "n"),
        ("!!A && !B", "y"),
        ("m", "m"),
        ("8139TOO", "y"),
        ("UNDEFINED", "n"),
        ("N", "n"),
        ("A # || B", "y"),
        ("B # (A) || A", "n"),
        # One operand is one symbol, so that a comparison binds closer than '!'.
        ("M=m", "y"),
        ("M!=y && A=y", "y"),
        ("!A = B", "y"),
        ("!N < 5", "y"),
        # Levels in their order; what is no option is its own name.
        ("B < M && M < A", "y"),
        ("A <= M", "n"),
        ("M >= B", "y"),
        ("UNDEFINED=n", "n"),
        ("UNDEFINED=UNDEFINED", "y"),
        # Numbers, if both are: not by their first digit.
        ("N=5", "y"),
        ("N >= 5 && N <= 5", "y"),
        ("N > 5 || N < 5", "n"),
        ("BIG >= 90000", "y"),
        ("N < 40 && BIG > 9", "y"),
        ("N > -1", "y"),
        ("ADDRESS = 31", "y"),
        ("ADDRESS = 0x1f", "y"),
        ("ADDRESS > 0x2", "y"),
        ("BARE = 31 && BARE = ADDRESS", "y"),
        ("BARE < -1", "y"),
        ("N = 05", "y"),
        ("010 = 8", "y"),
        ("N = 0x5", "y"),
        # Strings, if one is none.
        ('S="text"', "y"),
        ("S='text'", "y"),
        ('S != ""', "y"),
        ('S > "tex"', "y"),
        ('N < "5x"', "y"),
        ('"10" < "9"', "n"),
        ('TEN < "9"', "n"),
        ("TEN < S", "y"),
        ("N = y", "n"),
        (r'QUOTED = "a \"b\""', "y"),
        ('S = "a)b" || A', "y"),
    ],
)
def test_an_expression_comes_to_a_level(expression: str, expected: str) -> None:
    level = "nmy".index(expected)
    assert come_to(expression) == Range(level, level)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$(cc-option,-fno-$(x)) && A", "ny"),
        ("!$(cc-option,-fno-$(x))", "ny"),
        ("$(success,test -e '(' # ')') && B", "nn"),
        ("$(a) || A", "yy"),
        ("$(a) && !$(a)", "ny"),
        ("$(a) || M", "my"),
        ('"$(CROSS_COMPILE)" != "" && A', "ny"),
        ('"$(shell,echo "()")" != "" && B', "nn"),
    ],
)
def test_what_is_expanded_is_not_known(expression: str, expected: str) -> None:
    assert come_to(expression) == Range(*("nmy".index(level) for level in expected))


def test_no_modules_no_m() -> None:
    assert evaluate("m", lambda name: Value("bool", "n")) == Range(0, 0)


def test_options_are_named_once_without_constants() -> None:
    told = names('(A || !8139TOO) && N >= 0x10 && A && S = "X" && y && $(f,Z)  # COMMENT')
    assert told == ["A", "8139TOO", "N", "S"]


def test_a_token_is_where_it_stands() -> None:
    line = 'bool "a \\" # b" if $(f,(x)) # c'
    assert [line[token.start : token.end] for token in tokens(line)] == [
        "bool",
        '"a \\" # b"',
        "if",
        "$(f,(x))",
    ]


@pytest.mark.parametrize("line", ['"open', "$(open", "(A", "A &&", "", "A =", "!", '"\\'])
def test_what_is_cut_short_ends(line: str) -> None:
    come_to(line)
    tokens(line)
