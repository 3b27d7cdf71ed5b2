# SPDX-License-Identifier: GPL-2.0-only
"""What the words behind `patches` do with the series."""

from collections.abc import Callable, Sequence

from harness import export as export_
from harness.config import Base, Layout, Selection, build_root
from harness.errors import BadCall
from harness.lock import locked


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
    with locked(build_root()):
        layout, base = _series_tree()
        export_.export(layout, base.series_dir)


def _series_tree() -> tuple[Layout, Base]:
    """Where the series is commits. The caller holds the build lock."""
    selection = Selection.load()
    if selection.tree:
        raise BadCall(
            f"the last build was of {selection.tree}, which has no series", hint="./lab build"
        )
    layout = Layout.of(selection)
    if not (layout.linux / ".git").exists():
        raise BadCall("there is no tree with the series yet", hint="./lab build")
    return layout, Base.load(selection.base)


SUBVERBS: dict[str, tuple[str, Callable[[Sequence[str]], None]]] = {
    "export": ("export", export),
}
