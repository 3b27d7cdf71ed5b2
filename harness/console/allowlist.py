# SPDX-License-Identifier: GPL-2.0-only
"""Reports of the kernel that are known and let pass: each with a pattern, a reason and a link."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.console.scanner import Splat
from harness.core.errors import LabError

FIELDS = ("pattern", "reason", "link")


@dataclass(frozen=True)
class Allowed:
    """A report that may come.

    pattern: is searched for in its text, line by line.
    """

    pattern: re.Pattern[str]
    reason: str
    link: str


class AllowList:
    """What may come; empty, it allows nothing."""

    def __init__(self, entries: Iterable[Allowed] = ()) -> None:
        self._entries = tuple(entries)

    @classmethod
    def load(cls, path: Path) -> "AllowList":
        """The [[allow]] tables of a TOML file. Raises LabError for one that is not whole."""
        try:
            told = tomllib.loads(path.read_text())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise LabError(f"{path}: {error}") from None
        entries = told.pop("allow", [])
        if told or not isinstance(entries, list):
            raise _bad(path, "it has something else than [[allow]] tables")
        return cls(_entry(path, number, entry) for number, entry in enumerate(entries, start=1))

    def find(self, splat: Splat) -> Allowed | None:
        """The first entry that lets this report pass."""
        return next((each for each in self._entries if each.pattern.search(splat.text)), None)


def _entry(path: Path, number: int, told: object) -> Allowed:
    given = told if isinstance(told, dict) else {}
    lacking = [name for name in FIELDS if not str(given.get(name) or "").strip()]
    unknown = sorted(set(given) - set(FIELDS))
    if lacking or unknown or not all(isinstance(value, str) for value in given.values()):
        words = f"lacks {', '.join(lacking)}" if lacking else f"has more: {', '.join(unknown)}"
        raise _bad(path, f"entry {number} {words if lacking or unknown else 'has other than text'}")
    if not given["link"].startswith(("https://", "http://")):
        raise _bad(path, f"entry {number}: {given['link']!r} is no link")
    try:
        pattern = re.compile(given["pattern"], re.MULTILINE)
    except re.error as error:
        raise _bad(path, f"entry {number}: {given['pattern']!r} is no pattern: {error}") from None
    if pattern.search(""):
        raise _bad(path, f"entry {number}: {given['pattern']!r} lets everything pass")
    return Allowed(pattern, given["reason"], given["link"])


def _bad(path: Path, what: str) -> LabError:
    return LabError(f"{path.name}: {what}", hint=f"each entry has {', '.join(FIELDS)}", log=path)
