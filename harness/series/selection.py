# SPDX-License-Identifier: GPL-2.0-only
"""Which patches of the series a command is about."""

from collections.abc import Sequence
from dataclasses import replace

from harness.artefacts.patches import Commit
from harness.core.errors import BadCall
from harness.core.workspace import Selection


def numbers(name: str, words: Sequence[str], commits: Sequence[Commit]) -> set[int]:
    """The patches that the words name, counted from 1. Raises BadCall with a list of them."""
    known = {str(number): number for number in range(1, len(commits) + 1)}
    wrong = [word for word in words if word.lstrip("0") not in known]
    if wrong or not words:
        there = "\n      ".join(f"{at:2} {c.subject}" for at, c in enumerate(commits, 1))
        what = f"there is no patch {wrong[0]!r}" if wrong else f"{name} takes numbers of patches"
        raise BadCall(what, hint=f"./lab patches {name} N..., of\n      {there}")
    return {known[word.lstrip("0")] for word in words}


def of_series() -> Selection:
    """What was selected last, but the whole series of it."""
    selection = replace(Selection.load(), commit="", place="")
    if selection.tree:
        raise BadCall(
            f"the last build was of {selection.tree}, which has no series", hint="./lab build"
        )
    return selection
