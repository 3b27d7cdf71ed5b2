# SPDX-License-Identifier: GPL-2.0-only
"""Runs a kernel tree's make, with the settings that it is given and no others."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.core import git
from harness.core.environment import COMPILER
from harness.core.host import usable_processors
from harness.core.run import run


def make(
    tree: Path,
    settings: Sequence[str],
    *targets: str,
    part: str = ".",
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    deadline: float,
    on_line: Callable[[str], None] | None = None,
) -> None:
    """Run make in a folder of a tree, on all processors. Raises what run() does.

    settings: NAME=VALUE. env: only for what no setting of make's is, ccache's own.
    """
    argv = ["make", "-C", str(tree / part), *settings, f"-j{usable_processors()}", *targets]
    # The kernel's release has a + if git says that the tree is at no release's tag.
    variables = {**git.variables(tree), **(env or {})}
    run(argv, COMPILER, env=variables, log=log, deadline=deadline, on_line=on_line)
