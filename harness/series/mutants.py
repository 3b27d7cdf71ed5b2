# SPDX-License-Identifier: GPL-2.0-only
"""`./lab mutants`: a small fault in the series, built and tested; then the next one.

A fault that no test finds is a missing test. To lack a whole patch is a fault too. What
the guest tests do not find is given to the KUnit tests of the drivers' lane. A fault in the
store's encoding is given to the tests on the host first, which need no kernel.
"""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from harness.artefacts.scratch_tree import compose
from harness.core.errors import BadCall, TestsFailed
from harness.core.progress import say
from harness.core.workspace import Base
from harness.native.compiled import ENCODING
from harness.series import per_patch
from harness.series.results import Case, Results, Tests
from harness.series.selection import of_series
from harness.series.trial import Judgement, Outcome, trial

LEFT, PATCHES = "left", "patches"
CHANGED = re.compile(r"^\+\+\+ b/(\S+)", re.MULTILINE)


def run(words: Sequence[str]) -> None:
    """Judge the faults that are named, or all; behind the word `patches`, patches of the series.

    The word `left` in front of that leaves out what was judged before. Raises
    TestsFailed if a fault survived, or has no place in the series any more.
    """
    left = list(words[:1]) == [LEFT]
    rest = words[1:] if left else words
    selection = of_series()
    with trial(selection) as place:
        results = Results(place, left)
        if list(rest[:1]) == [PATCHES]:
            per_patch.run(results, rest[1:])
        else:
            _faults(results, Base.load(selection.base).series_dir / "mutants", rest)


def _faults(results: Results, directory: Path, names: Sequence[str]) -> None:
    files = {path.stem: path for path in sorted(directory.glob("*.patch"))}
    if wrong := [name for name in names if name not in files]:
        raise BadCall(f"there is no fault {wrong[0]!r} in {directory}", hint=", ".join(files))
    names = names or list(files)
    plain = results.series()
    tree, series = results.place.tree, results.commits[-1].hash
    bad, made = [], dict[str, str]()
    for at, name in enumerate(names, 1):
        make = partial(compose, tree, series, [files[name]], name)
        case = Case(name, make, ("-x",))
        judged = _judged(results, case, plain, in_encoding=is_encodings(files[name]))
        killed, told = _fate(judged)
        # One of the two is a copy of the other, or was not built.
        if judged.kernel and (twin := made.setdefault(judged.kernel, name)) != name:
            killed, told = False, f"the same kernel as that of {twin}"
        say(f"{at:>3} of {len(names)}  {name:<32} {told} ({judged.seconds:.0f} s)")
        if not killed:
            say(f"           {breaks(files[name])}")
            bad.append(name)
    say(f"mutants   {len(names) - len(bad)} of {len(names)} killed; as JSON: {results.file}")
    if bad:
        raise TestsFailed(f"not killed: {', '.join(bad)}", hint="a missing test, as a rule")


def _judged(results: Results, case: Case, plain: Judgement, *, in_encoding: bool) -> Judgement:
    """The first verdict that finds a fault, else the last one."""
    if in_encoding:
        judged = results.judge(case.before(Tests.HOST))
        if judged.outcome is not Outcome.PASSED:
            return judged
    judged = results.judge(case, {plain.kernel: plain})
    if judged.outcome is Outcome.PASSED:  # or is not in that kernel
        judged = results.judge(case.before(Tests.DRIVERS))
    return judged


def is_encodings(path: Path) -> bool:
    """Whether a fault is in nothing but the store's encoding."""
    changed = {Path(name) for name in CHANGED.findall(path.read_text())}
    return changed <= set(ENCODING)


def breaks(path: Path) -> str:
    """What a fault breaks: the words in front of its diff, in a line."""
    return " ".join(path.read_text().partition("\ndiff --git ")[0].split())


def _fate(judged: Judgement) -> tuple[bool, str]:
    """Whether a fault was found, and how that is told."""
    match judged.outcome:
        case Outcome.FAILED:
            name, why = next(iter(judged.failed.items()))
            return True, f"killed by {name.removeprefix('tests/guest/')}: {why[:50]}"
        case Outcome.NOT_BOOTED:
            return True, f"killed: {judged.why}"
        case Outcome.PASSED:
            return False, "SURVIVED"
        case _:
            return False, f"{judged.outcome.value}: {judged.why}"
