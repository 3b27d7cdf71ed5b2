# SPDX-License-Identifier: GPL-2.0-only
"""Verdicts as a page that needs nothing beside it, and as a short table for a CI's summary."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from _pytest.junitxml import xml_key

from harness.core.errors import BadCall
from harness.core.workspace import ROOT
from harness.testing.evidence import COLUMNS, Evidence

PROGRAMS = ROOT / "bpf-progs"
SUMMARY = "GITHUB_STEP_SUMMARY"  # the file that GitHub Actions shows with the job
SUMMARY_FAILURES = 20
HEX_BYTES = 256
HEX_WIDTH = 16
ALL = "verdict"  # the column of what is not about one field


@dataclass(frozen=True)
class Failure:
    """One thing that went wrong in a test.

    part: of the test, "" for all of it.
    """

    part: str
    text: str
    printed: str
    evidence: Evidence | None


@dataclass
class Result:
    """What came of one test.

    outcome: passed, failed, error, skipped or expected failure.
    """

    name: str
    group: str
    path: str
    outcome: str = "skipped"
    seconds: float = 0.0
    judged: set[str] = field(default_factory=set)
    wrong: set[str] = field(default_factory=set)
    failures: list[Failure] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """The ID of its part of the page."""
        return "".join(char if char.isalnum() else "-" for char in self.name)

    @property
    def bad(self) -> bool:
        """Whether it makes the verdict red."""
        return self.outcome in ("failed", "error")


@dataclass
class Cell:
    """The verdicts on one field on one path: tests that passed, and those that did not.

    unknown: tests that failed before, or over, something else.
    anchor: of the first failure.
    """

    passed: int = 0
    failed: int = 0
    unknown: int = 0
    anchor: str = ""

    def add(self, result: Result, column: str) -> None:
        """Count a test that judges this field."""
        if result.outcome == "skipped":
            return
        if not result.bad:
            self.passed += 1
        elif column == ALL or column in result.wrong:
            self.failed += 1
            self.anchor = self.anchor or result.anchor
        else:
            self.unknown += 1


@dataclass(frozen=True)
class Row:
    """A path, and its cells by column."""

    path: str
    cells: Mapping[str, Cell]


class Report:
    """A pytest plugin that collects the verdicts and their evidence.

    provenance: what they are about, by name.
    """

    def __init__(self, provenance: Mapping[str, str]) -> None:
        self.provenance = provenance
        self.results: dict[str, Result] = {}
        self._started = time.time()
        self._seconds = 0.0

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Say in a JUnit report, too, what the verdicts are about."""
        xml = session.config.stash.get(xml_key, None)
        if xml is not None:
            for name, value in self.provenance.items():
                xml.add_global_property(name, value)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take one report: of a part of a test, of a whole one, or of its set-up."""
        evidence = Evidence.of(report)
        name = report.nodeid
        group = evidence.group if evidence else name.partition("::")[0]
        path = evidence.path if evidence else name.rpartition("::")[2]
        result = self.results.setdefault(name, Result(name, group, path))
        result.seconds += report.duration
        part = getattr(getattr(report, "context", None), "msg", None) or ""
        if evidence:
            result.group, result.path = evidence.group, evidence.path
            result.judged.update(evidence.judged)
            result.wrong.update(evidence.wrong)
        if report.failed:
            text, printed = report.longreprtext, report.capstdout
            result.failures.append(Failure(part, text, printed, evidence))
        if report.when != "call":
            if report.failed:
                result.outcome = "error"
        elif hasattr(report, "wasxfail"):
            result.outcome = "expected failure" if report.skipped else "failed"
        elif not part or report.failed:
            result.outcome = report.outcome

    def pytest_sessionfinish(self) -> None:
        """The tests are over."""
        self._seconds = time.time() - self._started

    @property
    def counts(self) -> dict[str, int]:
        """How many tests there are of each outcome."""
        outcomes = [result.outcome for result in self.results.values()]
        return {outcome: outcomes.count(outcome) for outcome in dict.fromkeys(sorted(outcomes))}

    @property
    def bad(self) -> list[Result]:
        """The tests that make the verdict red."""
        return [result for result in self.results.values() if result.bad]

    @property
    def columns(self) -> list[str]:
        """The verdict, and the fields that any test judged."""
        judged = {column for result in self.results.values() for column in result.judged}
        return [ALL, *(column for column in COLUMNS if column in judged)]

    def matrix(self) -> dict[str, list[Row]]:
        """The rows, by what their tests are about."""
        groups: dict[str, dict[str, dict[str, Cell]]] = {}
        for result in self.results.values():
            row = groups.setdefault(result.group, {}).setdefault(result.path, {})
            for column in (*result.judged, ALL):
                row.setdefault(column, Cell()).add(result, column)
        return {
            group: [Row(path, cells) for path, cells in rows.items()]
            for group, rows in groups.items()
        }

    def html(self) -> str:
        """The page."""
        return self._render("report.html.j2", autoescape=True)

    def markdown(self) -> str:
        """The short form, in GitHub's Markdown."""
        return self._render("report.md.j2", autoescape=False)

    def _render(self, template: str, *, autoescape: bool) -> str:
        import jinja2  # slow to import, and no page is asked for as a rule

        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).parent),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=autoescape,
        )
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self._started))
        return environment.get_template(template).render(
            report=self,
            all=ALL,
            when=when,
            seconds=self._seconds,
            source=source,
            hexdump=hexdump,
            shown_failures=SUMMARY_FAILURES,
        )


def writable(page: Path) -> Path:
    """The page's path, its folder made; BadCall, before the tests run, if it can't be written."""
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.open("a").close()
    except OSError as error:
        raise BadCall(f"{page}: {error.strerror}") from None
    return page


def publish(report: Report, page: Path | None) -> None:
    """Write the page, and add the short form to what the CI shows, if it gives a place for that."""
    if page:
        page.write_text(report.html())
    summary = os.environ.get(SUMMARY)
    if summary:
        with Path(summary).open("a") as file:
            file.write(report.markdown())


def source(program: str) -> str:
    """The source of a BPF program, "" if it is none of the lab's."""
    file = PROGRAMS / f"{program}.bpf.c"
    return file.read_text() if file.exists() else ""


def hexdump(frame: str) -> str:
    """A frame, given in hex, as `hexdump -C` shows it; of a long one the beginning."""
    data = bytes.fromhex(frame)
    lines = []
    for at in range(0, min(len(data), HEX_BYTES), HEX_WIDTH):
        row = data[at : at + HEX_WIDTH]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        lines.append(f"{at:04x}  {row.hex(' '):<{3 * HEX_WIDTH - 1}}  {text}")
    if len(data) > HEX_BYTES:
        lines.append(f"and {len(data) - HEX_BYTES} bytes more")
    return "\n".join(lines)
