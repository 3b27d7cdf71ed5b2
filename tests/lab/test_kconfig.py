# SPDX-License-Identifier: GPL-2.0-only
"""What the lab reads in Kconfig, held against the program that the kernel's tree has for it."""

import os
import random
import subprocess
from pathlib import Path

import pytest

from harness.artefacts import kconfig, kconfig_expression
from harness.artefacts.kconfig_expression import Value
from harness.core.workspace import Layout, Selection

pytestmark = pytest.mark.unchanged

VALUES = {
    "MODULES": Value("bool", "y"),
    "B_Y": Value("bool", "y"),
    "B_N": Value("bool", "n"),
    "T_Y": Value("tristate", "y"),
    "T_M": Value("tristate", "m"),
    "T_N": Value("tristate", "n"),
    "I_5": Value("int", "5"),
    "I_40": Value("int", "40"),
    "I_BIG": Value("int", "120000"),
    "H_1F": Value("hex", "0x1f"),
    "H_2": Value("hex", "0x2"),
    "H_BARE": Value("hex", "1f"),
    "S_TEXT": Value("string", "text"),
    "S_10": Value("string", "10"),
    "S_QUOTE": Value("string", 'a "b"'),
}
CONSTANTS = ("y", "m", "n", "5", "05", "10", "010", "0x1f", "31", '"40"', "'text'", '"tex"', '""')
OPERANDS = (*VALUES, *CONSTANTS, "ABSENT", r'"a \"b\""')
COUNT = 400


@pytest.fixture(scope="module")
def layout() -> Layout:
    return Layout.of(Selection.load())


def _expression(rng: random.Random, depth: int = 3) -> str:
    if depth == 0 or rng.random() < 0.2:
        left, right = rng.choice(OPERANDS), rng.choice(OPERANDS)
        compared = f"{left} {rng.choice(list(kconfig_expression.COMPARED))} {right}"
        return rng.choice((left, compared, compared))
    left, right = _expression(rng, depth - 1), _expression(rng, depth - 1)
    return rng.choice((f"!{left}", f"({left})", f"{left} && {right}", f"{left} || {right}"))


def _written(value: Value) -> str:
    if value.kind != "string":
        return value.text
    return '"' + value.text.replace('"', r"\"") + '"'


def test_expressions_come_to_what_the_trees_own_program_says(
    layout: Layout, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    asked = [_expression(rng) for _ in range(COUNT)]
    text = "".join(
        f'config {name}\n\t{value.kind} "{name}"\n' + "\tmodules\n" * (name == "MODULES")
        for name, value in VALUES.items()
    )
    for number, each in enumerate(asked):
        text += f"config ASKED_{number}\n\ttristate\n\tdefault {each}\n"
    (tmp_path / "Kconfig").write_text(text)
    wanted = "".join(f"CONFIG_{name}={_written(value)}\n" for name, value in VALUES.items())
    (tmp_path / ".config").write_text(wanted)
    conf = layout.objects / "scripts/kconfig/conf"
    env = {"PATH": os.environ["PATH"], "KCONFIG_CONFIG": ".config"}
    subprocess.run(
        [conf, "--olddefconfig", "Kconfig"], cwd=tmp_path, env=env, check=True, timeout=60
    )
    came_out = kconfig.parse((tmp_path / ".config").read_text())

    def lookup(name: str) -> Value:
        return VALUES.get(name, Value("", name))

    told = {}
    for each in asked:
        level = kconfig_expression.evaluate(each, lookup)
        assert level.least == level.most, each
        told[each] = kconfig_expression.LEVELS[level.most]
    right = {each: came_out.get(f"ASKED_{n}", "n") for n, each in enumerate(asked)}
    assert len(set(right.values())) == 3
    assert told == right


def test_no_option_that_is_not_to_be_had_is_told_to_be(layout: Layout) -> None:
    """Kconfig writes a line for each option that a user can set, whatever its value."""
    result = kconfig.parse((layout.objects / ".config").read_text())
    symbols = kconfig.read_symbols(layout.linux)
    asked = {
        name: "y"
        for name, symbol in symbols.items()
        if symbol.kind in kconfig_expression.TRISTATE and name not in result
    }
    assert len(asked) > 1000
    lost = kconfig.dropped(asked, result, layout.linux)
    reasons = ("unmet: ", "perhaps unmet: ", "it has no prompt", "this kernel has no such option")
    assert sum(each.reason.startswith("perhaps") for each in lost) < 10
    wrong = [str(each) for each in lost if not each.reason.startswith(reasons)]
    assert not wrong
