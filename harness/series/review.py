# SPDX-License-Identifier: GPL-2.0-only
"""`patches check`: what a maintainer's robots would say of each patch, in order.

checkpatch; whether the kernel builds with the series up to there; and what the compiler with
W=1, and sparse, say of the files that the patch touches and did not say before.
"""

import contextlib
import io
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.artefacts import kbuild, kconfig
from harness.artefacts.kbuild import DoesNotBuild
from harness.artefacts.patches import Commit
from harness.artefacts.scratch_tree import check_out
from harness.artefacts.strict import fragments, own_objects
from harness.artefacts.tree import kernel, origin
from harness.core.errors import TestsFailed
from harness.core.git import git, variables
from harness.core.progress import say, step
from harness.core.run import CommandFailed, run
from harness.core.workspace import Base, Lane, Layout, Selection
from harness.series.cover import commits_of
from harness.series.export import FORMAT
from harness.series.trial import Trial, trial

NEW_OPTION = re.compile(r"^\+(?:menu)?config (\w+)", re.MULTILINE)
UNDECLARED = re.compile(r"symbol '(\w+)' was not declared")
# The sign-off is that of the person who posts the series, and what a Fixes: tag
# names is in no history here: the base is one commit. Whether MAINTAINERS covers a
# new file is a question, not a fault.
IGNORED = "MISSING_SIGN_OFF,UNKNOWN_COMMIT_ID,FILE_PATH_CHANGES"

Complaint = tuple[str, str]  # file, below the tree's top; what is said, without line numbers


@dataclass(frozen=True)
class Review:
    """What is said against one patch.

    unbuilt: files of it that were not compiled.
    """

    style: tuple[str, ...]
    complaints: tuple[str, ...]
    unbuilt: tuple[str, ...]

    @property
    def fine(self) -> bool:
        """Whether nothing is said against it."""
        return not (self.style or self.complaints)


def check(selection: Selection, parts: Sequence[str]) -> None:
    """Review the patches of these sub-series, or all if none is named.

    Raises TestsFailed if something is said against one; what `commits_of` raises.
    """
    with trial(replace(selection, lane=Lane.PLAIN)) as place:
        series_dir = Base.load(selection.base).series_dir
        tree = origin(selection)
        named = [each for part in parts for each in commits_of(tree, series_dir, part)]
        commits = named or place.commits
        reviewer = _Reviewer(place, series_dir, commits)
        reviewer.begin()
        bad = []
        for number, commit in enumerate(commits, 1):
            started = time.monotonic()
            review = reviewer.review(commit)
            told = "ok" if review.fine else "NOT OK"
            seconds = time.monotonic() - started
            say(f"{number:04}  {told:<6} {commit.subject[:66]:<66} ({seconds:.0f} s)")
            for line in (*review.style, *review.complaints):
                say(f"      {line}")
            for file in review.unbuilt:
                say(f"      not compiled here: {file}")
            if not review.fine:
                bad.append(f"{number:04}")
    if bad:
        raise TestsFailed(f"not ready to be sent: {', '.join(bad)}")
    say(f"patches   {len(commits)} are ready, but for the sign-off")


class _Reviewer:
    """Builds the trial's kernels, and with W=1 only what the series touches, in a folder apart.

    That makes another command of each object's. Its configuration has the drivers as well.
    """

    def __init__(self, place: Trial, series_dir: Path, commits: Sequence[Commit]) -> None:
        self._place = place
        self._tree = place.tree
        self._layout = Layout.of(replace(place.selection, lane=Lane.STRICT))
        self._fragment = self._layout.variant / "config"
        self._asked = [path for path in fragments(series_dir) if path.exists()]
        self._sparse = bool(shutil.which("sparse"))
        self._base = f"{commits[0].hash}^"
        self._last = commits[-1].hash
        touched = self._git("diff", "--name-only", self._base, self._last)
        self._touched = [name for name in touched if name.endswith((".c", ".h"))]
        self._known: set[Complaint] = set()

    def begin(self) -> None:
        """Learn what is said of the patches' files before the first one."""
        if not self._sparse:
            say("sparse    is not installed: what it would say is not known")
        with step("base", "compiling with W=1 what the series touches") as current:
            check_out(self._tree, self._base)
            for path in (self._tree / name for name in self._touched):
                if path.exists():
                    os.utime(path)
            self._git("update-index", "-q", "--refresh")
            self._known |= self._complaints()
            current.note = f"{len(self._known)} complaints about what is there before"

    def review(self, commit: Commit) -> Review:
        """Of the patch that follows on what was reviewed last."""
        check_out(self._tree, commit.hash)
        touched = self._git("diff-tree", "-r", "--no-commit-id", "--name-only", commit.hash)
        said = self._complaints()
        new = sorted((file, text) for file, text in said - self._known if file in touched)
        self._known |= said
        against = [f"{file}: {text}" for file, text in new]
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                kernel(self._place.selection, self._tree)
        except DoesNotBuild as error:
            against.append(error.message)
        unbuilt = [name for name in self._sources(touched) if not self._compiled(name).exists()]
        return Review(self._style(commit), tuple(against), tuple(unbuilt))

    def _style(self, commit: Commit) -> tuple[str, ...]:
        patch = self._tree / ".git" / "lab-review.patch"
        git(self._tree, *FORMAT, "--stdout", "-1", commit.hash, stdout=patch)
        script = self._tree / "scripts" / "checkpatch.pl"
        try:
            flags = ["--strict", "--terse", "--quiet", "--ignore", IGNORED]
            # HOME: where it looks for more flags.
            env = {**variables(self._tree), "HOME": os.devnull}
            run([script, *flags, patch], cwd=self._tree, env=env, deadline=120)
        except CommandFailed as error:
            lines = error.output.replace(f"{patch}:", "line ").splitlines()
            return tuple(f"checkpatch: {line}" for line in lines if line)
        return ()

    def _complaints(self) -> set[Complaint]:
        targets = [_object(name) for name in self._sources(self._touched)]
        printed = kbuild.compile_strictly(
            self._layout, self._tree, (self._config(),), targets, self._sparse
        )
        top = self._layout.objects
        said = complaints(printed, top, self._tree)
        return {(file, text) for file, text in said if not of_a_kfunc(self._tree, file, text)}

    def _sources(self, names: Sequence[str]) -> list[str]:
        """The C files among them that have an object of their own."""
        every = [name for name in self._touched if name[-2:] == ".c"]
        there = [Path(name) for name in every if (self._tree / name).exists()]
        return [str(path) for path in own_objects(self._tree, there) if str(path) in names]

    def _compiled(self, name: str) -> Path:
        return self._layout.objects / _object(name)

    def _config(self) -> Path:
        asked = "".join(path.read_text() for path in self._asked)
        later = git(self._tree, "diff", "--no-ext-diff", "HEAD", self._last, "--", "*Kconfig*")
        self._fragment.parent.mkdir(parents=True, exist_ok=True)
        self._fragment.write_text(without_later(asked, later))
        return self._fragment

    def _git(self, *words: str) -> list[str]:
        return git(self._tree, *words).splitlines()


def without_later(asked: str, later: str) -> str:
    """What is asked of a configuration, without the options that later patches bring.

    later: their diff of Kconfig's files.
    """
    lacking = set(NEW_OPTION.findall(later))
    lines = asked.splitlines(keepends=True)
    return "".join(line for line in lines if lacking.isdisjoint(kconfig.parse(line)))


def of_a_kfunc(tree: Path, file: str, text: str) -> bool:
    """Whether a complaint is that a function has no prototype, which only BPF programs call.

    __bpf_kfunc_start_defs() keeps the compiler from it; sparse knows no such thing.
    """
    found = UNDECLARED.search(text)
    if not found:
        return False
    defined = rf"^__bpf_kfunc [^;{{]*\b{found[1]}\("
    return bool(re.search(defined, (tree / file).read_text(), re.MULTILINE))


def complaints(printed: str, cwd: Path, tree: Path) -> Iterator[Complaint]:
    """Those in what make printed, whose files are absolute or, by ccache, relative to cwd."""
    for line in printed.splitlines():
        if found := kbuild.COMPLAINT.match(line):
            path = Path(os.path.normpath(cwd / found["file"]))
            name = path.relative_to(tree) if path.is_relative_to(tree) else path
            yield str(name), found["text"]


def _object(source: str) -> str:
    return f"{source[:-2]}.o"
