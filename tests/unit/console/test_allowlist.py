# SPDX-License-Identifier: GPL-2.0-only
"""The list of reports that may come: what lets one pass, and which entries are refused."""

from pathlib import Path

import pytest

from harness.console.allowlist import AllowList
from harness.console.scanner import Splat
from harness.core.errors import LabError
from harness.core.workspace import ROOT

WHOLE = """
[[allow]]
pattern = 'WARNING: CPU: \\d+ PID: \\d+ at net/core/dev\\.c:\\d+ unregister'
reason = "known since 6.11"
link = "https://lore.kernel.org/netdev/1"

[[allow]]
pattern = '^BUG: never$'
reason = "it is never printed"
link = "https://lore.kernel.org/netdev/2"
"""
WARN = Splat(
    "WARNING",
    "------------[ cut here ]------------\nWARNING: CPU: 0 PID: 1 at net/core/dev.c:12 unregister",
)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "allow.toml"
    path.write_text(text)
    return path


def test_an_entry_lets_what_its_pattern_is_in_pass(tmp_path: Path) -> None:
    allow = AllowList.load(written(tmp_path, WHOLE))
    found = allow.find(WARN)
    assert found
    assert found.reason == "known since 6.11"
    assert allow.find(Splat("BUG", "BUG: never\nagain")) is not None
    assert allow.find(Splat("BUG", "BUG: never mind")) is None
    assert AllowList().find(WARN) is None


def test_the_labs_own_list_is_whole() -> None:
    AllowList.load(ROOT / "tests/guest/console-allow.toml")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("pattern = '^BUG: never$'", ""), "entry 2 lacks pattern"),
        (('reason = "it is never printed"', ""), "entry 2 lacks reason"),
        (('reason = "it is never printed"', 'reason = " "'), "entry 2 lacks reason"),
        (('link = "https://lore.kernel.org/netdev/2"', ""), "entry 2 lacks link"),
        (("https://lore.kernel.org/netdev/2", "somebody said so"), "is no link"),
        (("'^BUG: never$'", "'^BUG: (never$'"), "is no pattern"),
        (("'^BUG: never$'", "'.*'"), "lets everything pass"),
        (("'^BUG: never$'", "12"), "entry 2 has other than text"),
        (("reason = ", "until = '6.13'\nreason = "), "entry 1 has more: until"),
        (("[[allow]]", "[[alow]]"), r"something else than \[\[allow\]\]"),
        (("[[allow]]", "[[allow]"), "line 2"),
    ],
)
def test_an_entry_that_is_not_whole_is_an_error(
    tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    with pytest.raises(LabError, match=words):
        AllowList.load(written(tmp_path, WHOLE.replace(*change, 1)))


def test_a_list_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="No such file"):
        AllowList.load(tmp_path / "none.toml")
