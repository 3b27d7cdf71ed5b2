# SPDX-License-Identifier: GPL-2.0-only
"""What the words behind `patches` do with the series."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.artefacts import patches
from harness.artefacts.scratch_tree import DoesNotApply, clone, listed, without
from harness.artefacts.tree import origin, source_tree
from harness.core.errors import BadCall, LabError
from harness.core.lock import locked
from harness.core.progress import say
from harness.core.workspace import Base, Layout, Selection, build_root
from harness.machine.build import build
from harness.series import bisect as bisect_
from harness.series import cover as cover_
from harness.series import export as export_
from harness.series import review
from harness.series.cover import commits_of, refuse_unknown
from harness.series.selection import numbers, of_series

PLACE = "part"


def run(words: Sequence[str]) -> None:
    """Do what the first word says with the others. Raises BadCall if it says nothing known."""
    name, rest = (words[0], words[1:]) if words else ("", ())
    if name not in SUBVERBS:
        known = "\n      ".join(f"./lab patches {usage}" for usage, _ in SUBVERBS.values())
        wrong = f"patches can't {name!r}" if name else "patches takes a word that says what to do"
        raise BadCall(wrong, hint=known)
    SUBVERBS[name][1](rest)


def export(words: Sequence[str]) -> None:
    """Write the commits of the tree back as the series' files."""
    if words:
        raise BadCall("export takes no words", hint="./lab patches export")
    selection = of_series()
    with locked(build_root()):
        layout = Layout.of(selection)
        if not (layout.linux / ".git").exists():
            raise BadCall("there is no tree with the series yet", hint="./lab build")
        export_.export(layout, Base.load(selection.base).series_dir)


def check(words: Sequence[str]) -> None:
    """Review each patch, of the sub-series that are named: style, builds, warnings."""
    selection = of_series()
    refuse_unknown(Base.load(selection.base).series_dir, words)
    review.check(selection, words)


def drop(words: Sequence[str]) -> None:
    """Build the series without these patches; boot and test use that, until the next build."""
    _experiment("drop", words, lambda named, everything: named)


def only(words: Sequence[str]) -> None:
    """Build only these patches of the series; boot and test use that, until the next build."""
    _experiment("only", words, lambda named, everything: everything - named)


def upto(words: Sequence[str]) -> None:
    """Build the series to the end of a sub-series; boot and test use that, until the next build."""
    selection = of_series()
    part = _part("upto", words, selection)
    with locked(build_root()):
        tree = source_tree(selection)
        last = commits_of(tree, Base.load(selection.base).series_dir, part)[-1]
        _build_part(replace(selection, place=PLACE, commit=last.hash))


def cover(words: Sequence[str]) -> None:
    """Write the letter and the patches of a sub-series, to be posted."""
    selection = of_series()
    part = _part("cover", words, selection)
    with locked(build_root()):
        source_tree(selection)
        cover_.cover(Layout.of(selection), Base.load(selection.base), part)


def bisect(words: Sequence[str]) -> None:
    """Find the patch, or the commit, from which on tests fail or pass."""
    bisect_.bisect(Selection.load(), words)


def _experiment(
    name: str, words: Sequence[str], choose: Callable[[set[int], set[int]], set[int]]
) -> None:
    selection = of_series()
    with locked(build_root()):
        commits = patches.commits(source_tree(selection))
        dropped = choose(numbers(name, words, commits), set(range(1, len(commits) + 1)))
        apart = replace(selection, place=PLACE)
        layout = Layout.of(apart)
        layout.source.mkdir(parents=True, exist_ok=True)
        clone(layout.linux, origin(apart))
        try:
            commit = without(layout.linux, commits, dropped)
        except DoesNotApply as error:
            subject = commits[int(error.name) - 1].subject
            lacks = f"without {listed(dropped)}" if name == "drop" else "on those that are named"
            what = f"{error.name} ({subject}) does not apply {lacks}: {error.why}"
            leave = f"drop {error.name} as well" if name == "drop" else f"leave {error.name} out"
            raise LabError(what, hint=f"{leave}, or have what it builds on") from None
        _build_part(replace(apart, commit=commit))


def _build_part(selection: Selection) -> None:
    build(selection)
    selection.save()
    say("patches   boot and test take this one; ./lab build goes back to the whole series")


def _part(name: str, words: Sequence[str], selection: Selection) -> str:
    if len(words) != 1:
        raise BadCall(f"{name} takes a sub-series' name", hint=f"./lab patches {name} NAME")
    refuse_unknown(Base.load(selection.base).series_dir, words)
    return words[0]


SUBVERBS: dict[str, tuple[str, Callable[[Sequence[str]], None]]] = {
    "export": ("export", export),
    "check": ("check [NAME...]", check),
    "upto": ("upto NAME", upto),
    "cover": ("cover NAME", cover),
    "drop": ("drop N...", drop),
    "only": ("only N...", only),
    "bisect": ("bisect [GOOD BAD --] TEST...", bisect),
}
