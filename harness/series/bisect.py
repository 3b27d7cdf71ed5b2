# SPDX-License-Identifier: GPL-2.0-only
"""The commit from which on a test fails, or passes: the series' patch, or one of a user's tree."""

import re
from collections.abc import Sequence

from harness.artefacts.source import BASE_TAG
from harness.core.errors import BadCall, LabError
from harness.core.git import git, look
from harness.core.progress import say
from harness.core.run import CommandFailed
from harness.core.workspace import Layout, Selection
from harness.series.trial import Judgement, Outcome, Trial, trial

USAGE = "./lab patches bisect [GOOD BAD --] TEST..."
FOUND = re.compile(r"^([0-9a-f]{40,64}) is the first new commit$", re.MULTILINE)
STEPS = re.compile(r"\(roughly (\d+) steps?\)")


def bisect(selection: Selection, words: Sequence[str]) -> None:
    """Say where a test's verdict changes: over the series, or between two revisions of a tree.

    words: pytest's arguments; or revisions, old and new, then "--" and these.
    Raises BadCall if the verdict is the same at both ends.
    """
    at = list(words).index("--") if "--" in words else 0
    revisions, tests = words[:at], [word for word in words[at:] if word != "--"]
    if len(revisions) not in (0, 2) or not tests:
        raise BadCall("bisect takes tests, and two revisions in front of -- or none", hint=USAGE)
    if selection.tree and not revisions:
        raise BadCall(f"between which revisions of {selection.tree}?", hint=USAGE)
    with trial(selection) as place:
        old, new = (_commit(place, name) for name in revisions or (BASE_TAG, "HEAD"))
        _Search(place, tests).run(old, new)


def _commit(place: Trial, name: str) -> str:
    try:
        return look(place.origin, "rev-parse", "--verify", f"{name}^{{commit}}").strip()
    except CommandFailed:
        raise BadCall(f"{place.origin} has no revision {name!r}", hint=USAGE) from None


class _Search:
    def __init__(self, place: Trial, tests: Sequence[str]) -> None:
        self._place = place
        self._tests = tests
        self._log = Layout.of(place.selection).logs / "bisect.log"

    def run(self, old: str, new: str) -> None:
        was, now = (
            self._passes(self._judge(commit, end))
            for commit, end in ((old, "old end"), (new, "new end"))
        )
        if was is None or now is None:
            raise LabError("one end of the range does not build", log=self._log)
        if was == now:
            verdict = "pass" if now else "fail"
            raise BadCall(f"the tests {verdict} at both ends: there is nothing to be found")
        said = self._git("start", "--no-checkout", "--term-old=old", "--term-new=new", new, old)
        while not (found := FOUND.search(said)):
            commit = git(self._place.tree, "rev-parse", "BISECT_HEAD").strip()
            steps = STEPS.search(said)
            passes = self._passes(self._judge(commit, f"{steps[1]} steps" if steps else "last"))
            said = self._git("skip" if passes is None else "old" if passes == was else "new")
        subject = git(self._place.tree, "log", "-1", "--format=%s", found[1]).strip()
        change = "pass" if now else "fail"
        say(f"bisect    {' '.join(self._tests)}: {change} from {found[1][:12]} on: {subject}")

    def _judge(self, commit: str, step: str) -> Judgement:
        judged = self._place.judge(commit, ["-x", *self._tests], self._log)
        subject = git(self._place.tree, "log", "-1", "--format=%s", commit).strip()
        say(
            f"bisect    {step:<8} {judged.outcome.value:<14} {commit[:12]} {subject[:60]}"
            f" ({judged.seconds:.0f} s)"
        )
        return judged

    def _passes(self, judged: Judgement) -> bool | None:
        """None: it can't be told."""
        known = {Outcome.PASSED: True, Outcome.FAILED: False, Outcome.NOT_BOOTED: False}
        return known.get(judged.outcome)

    def _git(self, *words: str) -> str:
        try:
            return git(self._place.tree, "bisect", *words)
        except CommandFailed as error:
            if "only 'skip'ped commits left" not in error.output:
                raise
            rest = error.output.partition("could be any of:\n")[2].split()
            names = [word[:12] for word in rest if re.fullmatch("[0-9a-f]{40,64}", word)]
            raise LabError(
                f"between {len(names)} commits it can't be told, as some do not build:"
                f" {', '.join(names)}",
                log=self._log,
            ) from None
