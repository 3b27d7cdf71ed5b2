# SPDX-License-Identifier: GPL-2.0-only
"""`build --drivers`: NIC drivers that no emulator has, compiled with W=1, and their KUnit tests.

A verdict, not a kernel to work with: what boot and test use stays as it was.
"""

import contextlib
import re
from pathlib import Path

from harness.artefacts import kconfig, strict
from harness.console.log import own_console
from harness.console.scanner import Scanner
from harness.core.errors import BadCall, LabError, TestsFailed
from harness.core.lock import locked
from harness.core.progress import say, step
from harness.core.workspace import SERIES_ROOT, Layout, Selection, build_root, machine_dir
from harness.machine import vm
from harness.machine.build import Artefacts, build
from harness.machine.held import held
from harness.testing import kunit

SUITE = re.compile(r"# Subtest: (\S+)")


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
            sources = strict.touched(layout.linux, layout.objects)
            fragments = strict.fragments(SERIES_ROOT / selection.base)
            strict.check(layout, artefacts.kernel, fragments, sources)
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
    asked = kconfig.read_fragment(strict.fragments(SERIES_ROOT / artefacts.selection.base)[-1])
    kunit.judge(suites, kunit.promised(asked))
    if splats:
        raise TestsFailed("the kernel complained during the KUnit tests\n" + "\n".join(splats))


def _run(artefacts: Artefacts, directory: Path) -> tuple[list[kunit.Suite], list[str]]:
    """Boot, which runs the tests; their results and the kernel's reports."""
    console = own_console(directory)
    accelerator = artefacts.accelerator
    with step("boot", f"under {accelerator.name}: {accelerator.reason}") as current:
        try:
            with vm.boot(artefacts.spec(console), artefacts.access) as machine:
                results = machine.guest.run(f"cat {kunit.RESULTS}").stdout.decode()
                scanner = Scanner()
                splats = scanner.feed(machine.console.read_new()) + scanner.finish()
        except LabError as error:
            begun = SUITE.findall(console.read_text(errors="replace")) if console.exists() else []
            if begun:
                error.hint = error.hint or f"the last KUnit suite that began is {begun[-1]}"
            raise kunit.DoesNotRun(error.message, hint=error.hint, log=error.log) from None
        current.note = f"up under {accelerator.name}: {accelerator.reason}"
    return kunit.parse(results), [splat.text for splat in splats]
