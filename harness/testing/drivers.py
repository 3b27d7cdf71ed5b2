# SPDX-License-Identifier: GPL-2.0-only
"""`build --drivers`: NIC drivers that no emulator has, compiled with W=1, and their KUnit tests.

A verdict, not a kernel to work with: what boot and test use stays as it was.
"""

import contextlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.artefacts import kbuild, kconfig
from harness.artefacts.source import BASE_TAG
from harness.console.log import own_console
from harness.console.scanner import Witness
from harness.core import artefact
from harness.core.errors import BadCall, LabError, TestsFailed
from harness.core.git import git
from harness.core.lock import locked
from harness.core.progress import say, step
from harness.core.workspace import SERIES_ROOT, Layout, Selection, build_root, machine_dir
from harness.machine import vm
from harness.machine.build import Artefacts, build
from harness.machine.held import held
from harness.testing import kunit

LANE = "drivers"
SUITE = re.compile(r"# Subtest: (\S+)")
COMPLAINT = re.compile(r"^\S+\.[chS]:\d+.*\b(?:warning|error): .*$", re.MULTILINE)


def verify(selection: Selection) -> Artefacts:
    """Build the lane's kernel, compile strictly what the series touches, run the KUnit tests.

    Raises TestsFailed for a warning, and what run_tests raises.
    """
    if selection.tree:
        raise BadCall("--drivers is for the series: without --tree")
    layout = Layout.of(selection)
    with contextlib.ExitStack() as stack:
        with locked(build_root()):
            artefacts = build(selection)
            sources = touched(layout.linux, layout.objects)
            _strictly(layout, artefacts.kernel, fragments(SERIES_ROOT / selection.base), sources)
            kept = stack.enter_context(held(artefacts))
        run_tests(kept)
    return artefacts


def run_tests(artefacts: Artefacts) -> None:
    """Boot the lane's kernel, which runs its KUnit tests.

    Raises TestsFailed for a case that did not pass, or a report of the kernel,
    kunit.DoesNotRun if a suite did not run.
    """
    suites, splats = _run(artefacts, machine_dir())
    for suite in suites:
        passed = sum(case.passed and not case.skipped for case in suite.cases)
        say(f"kunit     {suite.name}: {passed} of {suite.planned} cases passed")
    asked = kconfig.read_fragment(fragments(SERIES_ROOT / artefacts.selection.base)[-1])
    kunit.judge(suites, kunit.promised(asked))
    if splats:
        raise TestsFailed("the kernel complained during the KUnit tests\n" + "\n".join(splats))


def fragments(series_dir: Path) -> tuple[Path, ...]:
    """What the lane's configuration is made of."""
    return series_dir / "config", series_dir / f"config.{LANE}"


def touched(tree: Path, objects: Path) -> tuple[Path, ...]:
    """The C files that differ from the tree's base and have an object, as paths in the tree.

    Raises LabError for one that was not compiled, by itself or as part of another.
    """
    names = git(tree, "diff", "--name-only", "--diff-filter=d", BASE_TAG, "--", "*.c").split()
    sources = tuple(Path(name) for name in names)
    compiled = own_objects(tree, sources)
    for path in compiled:
        if not (objects / path).with_suffix(".o").exists():
            raise LabError(
                f"{path} is changed by the series, and the configuration does not compile it",
                hint=f"have config.{LANE} select its driver",
            )
    return compiled


def own_objects(tree: Path, sources: Sequence[Path]) -> tuple[Path, ...]:
    """C files of a tree without those that another of them includes."""
    text = "".join((tree / path).read_text() for path in sources)
    return tuple(path for path in sources if f'#include "{path.name}"\n' not in text)


def _strictly(
    layout: Layout, kernel: kbuild.Kernel, fragments: tuple[Path, ...], sources: tuple[Path, ...]
) -> None:
    """Compile these files with W=1; on the base they have no warning. TestsFailed for one.

    In a folder of its own, as other flags would have the kernel's objects made again.
    """
    strict = replace(layout, variant=layout.variant / "strict")
    names = [str(source.with_suffix(".o")) for source in sources]
    objects = [strict.objects / name for name in names]
    wanted = artefact.fingerprint(kernel.fingerprint, *names)
    if artefact.is_current(strict.objects, wanted):
        return
    for path in objects:
        path.unlink(missing_ok=True)  # one that is up to date would say nothing
    with step("strict", f"compiling {len(names)} files with W=1") as current:
        printed = kbuild.complaints(strict, layout.linux, fragments, names, sparse=False)
        said = sorted(set(COMPLAINT.findall(printed)))
        if said:
            raise TestsFailed("the series has warnings with W=1:\n  " + "\n  ".join(said))
        missing = [path.name for path in objects if not path.exists()]
        if missing:
            raise LabError(f"not compiled with W=1: {', '.join(missing)}")
        current.note = f"{len(names)} files without a warning of W=1"
    artefact.stamp(strict.objects, wanted, objects)


def _run(artefacts: Artefacts, directory: Path) -> tuple[list[kunit.Suite], list[str]]:
    """Boot, which runs the tests; their results and the kernel's reports."""
    console = own_console(directory)
    accelerator = artefacts.accelerator
    with step("boot", f"under {accelerator.name}: {accelerator.reason}") as current:
        try:
            with vm.boot(artefacts.spec(console), artefacts.access) as machine:
                results = machine.guest.run(f"cat {kunit.RESULTS}").stdout.decode()
                witness = Witness()
                splats = witness.feed(machine.console.read_new()) + witness.finish()
        except LabError as error:
            begun = SUITE.findall(console.read_text(errors="replace")) if console.exists() else []
            if begun:
                error.hint = error.hint or f"the last KUnit suite that began is {begun[-1]}"
            raise kunit.DoesNotRun(error.message, hint=error.hint, log=error.log) from None
        current.note = f"up under {accelerator.name}: {accelerator.reason}"
    return kunit.parse(results), [splat.text for splat in splats]
