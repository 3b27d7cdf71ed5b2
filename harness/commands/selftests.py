# SPDX-License-Identifier: GPL-2.0-only
"""`./lab selftests`: the kernel's own tests with and without the series, and what differs."""

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

from harness.artefacts import selftest_programs, selftests, tree
from harness.artefacts.selftests import RUNNER, Selftest
from harness.commands.suite_process import TestRun
from harness.core.artefact import opened
from harness.core.errors import BadCall, LabError, TestsFailed
from harness.core.lock import locked
from harness.core.progress import say, step
from harness.core.run import tail
from harness.core.workspace import Base, Lane, Layout, Selection, build_root
from harness.machine.build import Artefacts, build, require
from harness.machine.held import held
from harness.machine.options import Options
from harness.testing import report
from harness.testing.provenance import provenance
from harness.testing.selftests import BROKE, OK, WORDS
from harness.testing.selftests_process import Job

DEFAULT = ("xdp", "tc_", "skb_kv", "veth.sh", "gro.sh", "udpgro*.sh")
POLL = 0.2  # seconds
MEMORY = 1024  # MiB: the programs lie in the guest's memory
# Seconds for the run on a kernel: one test that hangs may take 300, and all of them mostly 250.
FOR_ALL, FOR_EACH = 900.0, 60.0
BARE, PATCHED = "bare", "patched"


@dataclass(frozen=True)
class Kernels:
    """What came of the tests, and of their parts, on both kernels.

    new: names of the tests that the base lacks.
    """

    new: frozenset[str]
    bare: Mapping[str, str]
    patched: Mapping[str, str]

    @property
    def names(self) -> list[str]:
        """All tests and parts, but for the parts of new tests, in the order of their run."""
        both = dict.fromkeys([*self.patched, *self.bare])
        return [name for name in both if name.partition("/")[0] not in self.new or name in self.new]

    @property
    def bad(self) -> list[str]:
        """Those that make the verdict red: worse with the series; or new, and worth nothing.

        A new one has to pass with the series, and to fail or be skipped without it.
        """
        return [name for name in self.names if not self._good(name)]

    def _good(self, name: str) -> bool:
        # A part that is not there was not come to: its test failed before.
        before, after = self.bare.get(name, BROKE), self.patched.get(name, BROKE)
        if name in self.new:
            return before not in (OK, BROKE) and after == OK
        return WORDS.index(after) <= WORDS.index(before)

    def told(self, name: str) -> str:
        """What came of it, in words."""
        before, after = (came.get(name, "not run") for came in (self.bare, self.patched))
        if name not in self.new and before == after:
            return f"{before} on both"
        told = f"{before} without the series, {after} with it"
        parts = sum(part.startswith(f"{name}/") for part in self.patched)
        return f"{told}, {parts} parts" if name in self.new and parts else told


def run(names: Sequence[str], *, junit: str | None = None, html: str | None = None) -> None:
    """Build both kernels and the tests that these names choose, run them, say what differs.

    names: see selftests.choose; none: DEFAULT, as far as it is there. junit, html: files that
    get a report.
    Raises TestsFailed if a test is worse with the series than without it, or a new one is not
    good; LabError if one did not run.
    """
    selection = Selection.load()
    if selection.tree:
        raise BadCall("selftests compares the base with its series: without --tree")
    for page in filter(None, (junit, html)):
        report.writable(Path(page)).write_text("")  # an older one is not this call's
    if selection.lane:
        say(f"selftests on kernels of their own, not on that of --{selection.lane}")
    selection = replace(selection, lane=Lane.SELFTESTS)
    root = build_root() / "selftests"
    with contextlib.ExitStack() as stack:
        stack.enter_context(locked(root, "runs the kernel's own tests"))
        with locked(build_root()):
            require(selection)
            tests = _chosen(tree.source_tree(selection), names)  # kernels take their time
            patched = stack.enter_context(held(build(selection)))
            bare = stack.enter_context(held(build(replace(selection, bare=True))))
            of_base = {test.name for test in selftests.all_of(bare.kernel.tree)}
            folder = _programs(patched, tests)
            # By a name that stays good, whatever is compiled meanwhile.
            share = f"/proc/{os.getpid()}/fd/{stack.enter_context(opened(folder))}"
        written = report.Report(provenance(selection))
        new = frozenset(test.name for test in tests if test.name not in of_base)
        options = Options(memory=MEMORY, share=share)
        jobs = [
            Job(artefacts.with_options(options), tests, new, root / kernel)
            for kernel, artefacts in ((BARE, bare), (PATCHED, patched))
        ]
        _side_by_side(jobs)
        kernels = Kernels(new, jobs[0].came(), jobs[1].came())
        written.results = {name: _result(name, kernels, jobs[1]) for name in kernels.names}
    written.pytest_sessionfinish()
    if junit:
        _junit(written, Path(junit))
    report.publish(written, Path(html) if html else None)
    _tell(tests, kernels, jobs)


def _chosen(linux: Path, names: Sequence[str]) -> list[Selftest]:
    tests = selftests.all_of(linux)
    if names:
        return selftests.choose(tests, names)
    there = [name for name in DEFAULT if selftests.meaning(tests, name)]
    if left := sorted(set(DEFAULT) - set(there)):
        say(f"selftests without {', '.join(left)}, which this kernel lacks")
    return selftests.choose(tests, there)


def _programs(patched: Artefacts, tests: Sequence[Selftest]) -> Path:
    layout = Layout.of(patched.selection)
    clang = Base.load(patched.selection.base).clang.probe
    vmlinux, types = layout.objects / "vmlinux", patched.programs.vmlinux_h
    return selftest_programs.programs(layout, vmlinux, types, patched.kernel.tree, tests, clang)


def _side_by_side(jobs: Sequence[Job]) -> None:
    """Run the tests on each kernel. Raises LabError if they did not run."""
    runs: list[TestRun] = []
    in_vain: list[TestRun] = []
    deadline = FOR_ALL + FOR_EACH * len(jobs[0].tests)
    with step("selftests", f"{len(jobs[0].tests)} on the bare and on the patched kernel"):
        try:
            for job in jobs:
                job.put_down()
                runs.append(TestRun(job.words, job.folder / "log", deadline))
            # Until all have ended, or one in vain, with which there is nothing to compare.
            while under_way := [run for run in runs if not run.ended()]:
                in_vain = [run for run in runs if run not in under_way and not run.passed]
                if in_vain:
                    break
                time.sleep(POLL)
        finally:
            for run in runs:
                run.end()
    # First the one that ended by itself: the other one was ended for it.
    for job, run in sorted(zip(jobs, runs, strict=True), key=lambda each: each[1] not in in_vain):
        came = job.came()
        left = [test.name for test in job.tests if test.name not in came]
        if left or not run.passed:
            said = f"{len(left)} tests did not run on the {job.folder.name} kernel"
            raise LabError(f"{said}\n{tail(run.printed)}", log=run.log)


def _result(name: str, kernels: Kernels, patched: Job) -> report.Result:
    """The verdict on a test or a part, for a report."""
    test = name.partition("/")[0]
    group = "scripts of net/" if test.endswith(".sh") else RUNNER
    result = report.Result(name, group, name, "passed")
    if name in kernels.bad:
        result.outcome = "failed"
        result.failures.append(report.Failure("", kernels.told(name), patched.printed(name), None))
    elif kernels.patched.get(name) != OK:
        result.outcome = "skipped"  # and was no better before: it says nothing of the series
    return result


def _junit(written: report.Report, target: Path) -> None:
    """The same verdicts as JUnit's XML, as pytest writes it."""
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(root, "testsuite", name="selftests", errors="0")
    suite.set("tests", str(len(written.results)))
    suite.set("failures", str(len(written.bad)))
    suite.set("skipped", str(written.counts.get("skipped", 0)))
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in written.provenance.items():
        ElementTree.SubElement(properties, "property", name=name, value=value)
    for result in written.results.values():
        case = ElementTree.SubElement(suite, "testcase", classname=result.group, name=result.name)
        if result.outcome == "skipped":
            ElementTree.SubElement(case, "skipped")
        for failure in result.failures:
            element = ElementTree.SubElement(case, "failure", message=failure.text)
            element.text = "".join(filter(_in_xml, failure.printed))
    ElementTree.ElementTree(root).write(target, encoding="utf-8", xml_declaration=True)


def _in_xml(char: str) -> bool:
    return char.isprintable() or char in "\t\n"


def _tell(tests: Sequence[Selftest], kernels: Kernels, jobs: Sequence[Job]) -> None:
    """Say what came of all, and what differs. Raises TestsFailed."""
    for job, came in zip(jobs, (kernels.bare, kernels.patched), strict=True):
        words = [came[test.name] for test in tests]
        counts = ", ".join(f"{words.count(word)} {word}" for word in WORDS if word in words)
        say(f"{job.folder.name:<9} {counts}; what they printed: {job.folder}")
    for name in kernels.names:
        before, after = kernels.bare.get(name), kernels.patched.get(name)
        if name in kernels.new:
            say(f"new       {name}: {kernels.told(name)}")
        elif before != after or after != OK:
            say(f"{'alike' if before == after else 'differs':<9} {name}: {kernels.told(name)}")
    if kernels.bad:
        raise TestsFailed(f"worse with the series, or new and no proof: {', '.join(kernels.bad)}")
    if not any(kernels.patched[test.name] == OK for test in tests):
        raise TestsFailed("no test passed")
