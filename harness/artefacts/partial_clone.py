# SPDX-License-Identifier: GPL-2.0-only
"""What a partial clone lacks of a commit, fetched by its owner's git.

`git clone --filter=blob:none` leaves files out until somebody needs them; git then fetches
them by itself, from the remote of which they were promised (git's promisor-remote.c). The
lab's own git does not: it borrows the objects, not the configuration, in which a remote, its
address and what vouches for it are.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from harness.core.environment import USERS_GIT
from harness.core.errors import LabError
from harness.core.git import git
from harness.core.progress import step
from harness.core.run import CommandFailed, run

PROMISED = re.compile(r"^remote\.(.+)\.promisor true$", re.MULTILINE)
DEADLINE = 1800.0  # seconds; all files of a kernel are some 250 MB


def complete(tree: Path, repository: Path, commit: str) -> None:
    """Have all that a commit is made of in the repository from which the tree borrows objects.

    repository: its .git folder. Does nothing if that is not a partial clone.
    Raises LabError, with the command, for what can't be fetched.
    """
    remotes = _promisors(repository)
    if not remotes:
        return
    # Once more where folders were left out too: what is in them is known when they are there.
    while missing := _missing(tree, commit):
        _fetch(repository, remotes, missing)
        if _missing(tree, commit) == missing:
            raise LabError(f"{repository} lacks {len(missing)} objects, and its remotes too")


def _promisors(repository: Path) -> list[str]:
    here = {"GIT_DIR": str(repository)}
    try:
        told = git(repository, "config", "--get-regexp", r"^remote\..*\.promisor$", env=here)
    except CommandFailed:  # there is none
        return []
    return PROMISED.findall(told)


def _missing(tree: Path, commit: str) -> list[str]:
    told = git(tree, "rev-list", "--objects", "--missing=print", "--no-walk", commit)
    return [line[1:] for line in told.splitlines() if line.startswith("?")]


def _fetch(repository: Path, remotes: Sequence[str], objects: Sequence[str]) -> None:
    """Fetch objects from the first remote that has them. Raises LabError where none does."""
    with step("tree", f"fetching {len(objects)} objects that {repository} lacks"):
        for remote in remotes:
            try:
                _fetch_from(repository, remote, objects)
                return
            except CommandFailed as error:
                failed = error
    command = f"git --git-dir {repository} fetch {remotes[-1]}"
    raise LabError(
        f"{repository} is of a partial clone: {len(objects)} objects are still to be"
        f" fetched, and git could not\n{failed.output.rstrip()}",
        hint=f"see that this works, then call again: {command}",
    )


def _fetch_from(repository: Path, remote: str, objects: Sequence[str]) -> None:
    # As git itself asks for what was promised; nothing but objects comes.
    asking = ["-c", "fetch.negotiationAlgorithm=noop", "fetch", "--quiet", "--no-tags"]
    asking += ["--no-write-fetch-head", "--no-auto-maintenance", "--recurse-submodules=no"]
    argv = ["git", "--git-dir", str(repository), *asking, "--filter=blob:none", "--stdin", remote]
    run(argv, USERS_GIT, stdin="\n".join(objects).encode(), deadline=DEADLINE)
