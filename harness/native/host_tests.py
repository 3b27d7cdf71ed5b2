# SPDX-License-Identifier: GPL-2.0-only
"""`./lab host`: what of the series can be proved without a guest, which is the store's encoding."""

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.artefacts.tree import source_tree
from harness.core import host
from harness.core.errors import BadCall, LabError, TestsFailed
from harness.core.host import Need
from harness.core.lock import locked
from harness.core.progress import say
from harness.core.run import CommandFailed, run
from harness.core.workspace import ROOT, Base, Layout, Selection, build_root
from harness.native import fuzz, other_machines
from harness.native.compiled import SOURCES

DEADLINE = 1800.0  # seconds; a minute, and the first time another one


def host_tests(words: Sequence[str]) -> None:
    """Run the tests that the lab's packages suffice for; or `foreign`, or `fuzz`.

    Raises TestsFailed, and LabError with the packages that foreign and fuzz lack.
    """
    if list(words) not in ([], ["foreign"], ["fuzz"]):
        raise BadCall(f"host does not know {shlex.join(words)}", hint="./lab host [foreign | fuzz]")
    selection = Selection.load()
    host.require(Base.load(selection.base).tools)
    platforms = other_machines.PLATFORMS if "foreign" in words else ()
    _require(need for platform in platforms for need in platform.needs)
    _require(fuzz.needs() if "fuzz" in words else ())
    with locked(build_root()):
        tree = source_tree(selection)
        if "fuzz" in words:
            fuzz.fuzz(tree, Layout.of(selection).variant / "fuzz")
        else:
            test(tree, Layout.of(selection).variant / "foreign", [each.name for each in platforms])


def _require(needs: Iterable[Need]) -> None:
    """Raise LabError for what is missing. The lab works without, so it does not install it."""
    missing = [need for need in needs if not need.met]
    if missing:
        names = ", ".join(need.probe for need in missing)
        remedy = host.install_line(missing, host.this_family())
        raise LabError(f"missing on this machine: {names}", hint=remedy)


def test(
    tree: Path, objects: Path, platforms: Sequence[str] = (), *, verdict_only: bool = False
) -> None:
    """Run tests/host on a tree; with platforms, what runs on them. objects: a folder for objects.

    verdict_only: up to the first failure. Raises TestsFailed.
    """
    options = [f"--platform={name}" for name in platforms]
    if verdict_only:
        options += ["-x", "--verdict-only"]
    chosen = ["-k", " or ".join(platforms)] if platforms else []
    pytest = [sys.executable, "-m", "pytest", "-q", "--tb=short", str(SOURCES)]
    given = [f"--tree={tree}", f"--objects={objects}"]
    try:
        run([*pytest, *given, *options, *chosen], cwd=ROOT, deadline=DEADLINE, on_line=_show)
    except CommandFailed as error:
        raise TestsFailed("not all tests of tests/host passed") from error


def _show(line: str) -> None:
    say(line.rstrip("\n"))
