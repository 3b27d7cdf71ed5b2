# SPDX-License-Identifier: GPL-2.0-only
"""Which tests need each patch of the series.

A test falls with a patch if it passes from that patch on and not before, or if it fails
on the series without that patch alone: a guest test, or else a KUnit test of the drivers' lane.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial

from harness.artefacts.scratch_tree import without
from harness.core.errors import TestsFailed
from harness.core.progress import say
from harness.series.results import Case, Results, Tests
from harness.series.selection import numbers
from harness.series.trial import Judgement, Outcome


@dataclass(frozen=True)
class Proof:
    """What the tests say of one patch.

    first: the tests that pass with it and not before it.
    lost: the other way round.
    without: what becomes of the series without it, and falls: the tests that fail then.
    compiled: whether the kernel of this configuration differs by it.
    """

    number: int
    subject: str
    first: list[str]
    lost: list[str]
    without: str
    falls: list[str]
    compiled: bool

    @property
    def proven(self) -> bool:
        """Whether some test needs it."""
        return bool(self.first or self.falls)

    def told(self) -> str:
        """In a line."""
        if not self.compiled and not self.proven:
            return "not in this kernel"
        told = f"{len(self.first):>3} first pass with it, {self.without or len(self.falls)} without"
        lost = f", {len(self.lost)} LOST by it" if self.lost else ""
        return told + lost + ("" if self.proven else "  NO TEST NEEDS IT")


def run(results: Results, words: Sequence[str]) -> None:
    """Judge the series up to each patch, and without each; raises TestsFailed if no test needs one.

    words: the numbers of patches, all if there are none.
    """
    everything = [str(number) for number in range(1, len(results.commits) + 1)]
    wanted = sorted(numbers("mutants patches", words or everything, results.commits))
    plain = results.series()
    proofs = []
    for number in wanted:
        proof = _prove(results, number, plain)
        say(f"{number:04}  {proof.subject[:60]:<60} {proof.told()}")
        proofs.append(proof)
    file = results.file.with_name("patches.json")
    file.write_text(json.dumps([asdict(proof) for proof in proofs], indent=1) + "\n")
    say(f"as JSON: {file}")
    bad = [f"{proof.number:04}" for proof in proofs if proof.compiled and not proof.proven]
    if bad:
        raise TestsFailed(f"no test needs {', '.join(bad)}")


def _prove(results: Results, number: int, plain: Judgement) -> Proof:
    commits = results.commits
    before = results.judge(_up_to(results, number - 1))
    here = results.judge(_up_to(results, number), {before.kernel: before})
    make = partial(without, results.place.tree, commits, {number})
    case = Case(f"without-{number:04}", make)
    lacking = results.judge(case, {plain.kernel: plain})
    if lacking.outcome is Outcome.PASSED:
        lacking = results.judge(case.before(Tests.DRIVERS))
    ran = lacking.outcome in (Outcome.PASSED, Outcome.FAILED)
    return Proof(
        number,
        commits[number - 1].subject,
        first=sorted(set(here.passed) - set(before.passed)),
        lost=sorted(set(before.passed) - set(here.passed)),
        without="" if ran else f"{lacking.outcome.value} ({lacking.why})",
        falls=sorted(lacking.failed),
        compiled=here.kernel != before.kernel,
    )


def _up_to(results: Results, number: int) -> Case:
    commit = results.commits[number - 1].hash if number else f"{results.commits[0].hash}^"
    return Case(f"at-{number:04}", lambda: commit)
