# SPDX-License-Identifier: GPL-2.0-only
"""git as the lab runs it: on the repository that it is told, whatever else is set anywhere.

No repository is looked for, neither by GIT_DIR nor in the folders above, so that git has
nothing to ask about who owns it. No configuration of a user's or a system's is read. What a
tree's own says is overridden where it would run a program, change what is
written, or change what is printed.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from harness.core.run import run

# Fixed, so that the same source and series give the same commit hashes everywhere.
IDENTITY = {
    "GIT_AUTHOR_NAME": "Kernel patch lab",
    "GIT_AUTHOR_EMAIL": "lab@localhost",
    "GIT_AUTHOR_DATE": "2000-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "Kernel patch lab",
    "GIT_COMMITTER_EMAIL": "lab@localhost",
    "GIT_COMMITTER_DATE": "2000-01-01T00:00:00Z",
}
_NOTHING_OF_OTHERS = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_TEMPLATE_DIR": "",  # its hooks
    "GIT_TERMINAL_PROMPT": "0",
}
# git-config(1); each beats what the tree's own file says.
_SETTINGS = {
    # What runs programs.
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "log.showSignature": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    # What changes files and commits. The two files may be in a user's folder.
    "core.attributesFile": os.devnull,
    "core.excludesFile": os.devnull,
    "core.autocrlf": "false",
    "core.eol": "lf",
    "core.safecrlf": "false",
    "i18n.commitEncoding": "UTF-8",
    "commit.cleanup": "whitespace",
    "am.threeWay": "false",
    "am.keepcr": "false",
    "am.messageId": "false",
    "mailinfo.scissors": "false",
    "apply.whitespace": "warn",
    "apply.ignoreWhitespace": "no",
    "rerere.enabled": "false",
    # What changes what is printed.
    "i18n.logOutputEncoding": "UTF-8",
    "core.quotePath": "true",
    "core.abbrev": "auto",
    "color.ui": "false",
    "color.diff": "false",
    "color.status": "false",
    "color.branch": "false",
    "log.decorate": "false",
    "log.follow": "false",
    "log.mailmap": "false",
    "advice.graftFileDeprecated": "false",
    "status.renames": "true",
    "diff.noprefix": "false",
    "diff.mnemonicPrefix": "false",
    "diff.relative": "false",
    "diff.renames": "true",
    "diff.algorithm": "myers",
    "diff.context": "3",
    "diff.interHunkContext": "0",
    "diff.ignoreSubmodules": "none",
    "diff.suppressBlankEmpty": "false",
    "diff.orderFile": os.devnull,
    "safe.directory": "*",  # for a git that a program starts by itself in there
}


def variables(tree: Path) -> dict[str, str]:
    """What has a git, and one that another program starts, work on this tree as the lab wants."""
    tree = tree.absolute()
    settings = {"GIT_CONFIG_COUNT": str(len(_SETTINGS))}
    for number, (name, value) in enumerate(_SETTINGS.items()):
        settings |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    place = {"GIT_DIR": str(tree / ".git"), "GIT_WORK_TREE": str(tree)}
    return {**_NOTHING_OF_OTHERS, **settings, **place}


def git(
    tree: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    stdout: Path | None = None,
    deadline: float = 300,
) -> str:
    """Run git on a tree, with the lab's identity. Returns, and raises, what run() does."""
    environment = {**IDENTITY, **variables(tree), **(env or {})}
    argv = ["git", *arguments]
    return run(argv, cwd=tree, env=environment, log=log, stdout=stdout, deadline=deadline)


def look(tree: Path, *arguments: str) -> str:
    """Run a git that only reads, on anybody's tree: not even the times in the index are renewed."""
    return git(tree, *arguments, env={"GIT_OPTIONAL_LOCKS": "0"})
