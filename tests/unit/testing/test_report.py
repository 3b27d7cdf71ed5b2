# SPDX-License-Identifier: GPL-2.0-only
"""Reports: every verdict is in them, each in its place, and they need nothing beside them."""

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest

from harness.core.errors import BadCall
from harness.testing import evidence, report
from harness.testing.report import ALL, Cell, Report, hexdump

ABOUT = {"kernel": "6.12.1", "config": "0123456789ab", "tree": "<b> | c"}
TESTS = '''
"""Hints & more."""
import pytest
from harness.testing.evidence import CONSOLE, RECORDER
from harness.datapath.hints import Seen, seen
from tests.unit.testing.test_evidence import Way, captured, record

@pytest.fixture
def records(request):
    request.node.stash[RECORDER], records = captured(*(record(n, hash=n) for n in range(9)))
    request.node.stash[RECORDER].programs.append("xdp_pass")
    request.node.stash[CONSOLE] = "the <console>"
    return records

@pytest.mark.parametrize("wrong", [0, 1, 2])
@pytest.mark.parametrize("way", Way)
def test_far(records, way, wrong):
    if wrong == 1:
        assert seen(records[3]) == Seen(hash=3, timestamp=5)
    if wrong == 2:
        assert records[3].hash == 4
    seen(records[3])

def test_parts(subtests):
    print("printed <here>")
    for n in range(2):
        with subtests.test(f"part <{n}>"):
            assert n == 0

@pytest.fixture
def broken():
    raise OSError("no luck")

def test_that_never_ran(broken):
    pass

@pytest.mark.skip(reason="of course")
def test_skipped():
    pass

@pytest.mark.xfail(strict=True)
def test_fails_as_it_must(records):
    assert records[1].hash == 0

@pytest.mark.xfail(strict=True)
def test_passes_but_must_not():
    pass
'''
TOTALS = {"error": 1, "expected failure": 1, "failed": 4, "passed": 1, "skipped": 1}


@pytest.fixture
def junit(tmp_path: Path) -> Path:
    return tmp_path / "junit.xml"


@pytest.fixture
def told(pytester: pytest.Pytester, junit: Path) -> Report:
    """The report of TESTS."""
    pytester.makepyfile(test_hints=TESTS)
    collected = Report(ABOUT)
    words = ("-p", "no:cacheprovider", f"--junit-xml={junit}")
    pytester.inline_run(*words, plugins=[evidence, collected])
    return collected


def test_every_test_is_counted_once(told: Report) -> None:
    assert told.counts == TOTALS
    names = [result.name.partition("::")[2] for result in told.bad]
    assert names == [
        "test_far[Way.FAR-1]",
        "test_far[Way.FAR-2]",
        "test_parts",
        "test_that_never_ran",
        "test_passes_but_must_not",
    ]


def test_the_matrix_has_each_field_where_it_was_judged(told: Report) -> None:
    assert told.columns == [ALL, "hash", "VLAN tag", "timestamp"]
    ((group, rows),) = told.matrix().items()
    assert group == "Hints & more."
    cells = {row.path: dict(row.cells) for row in rows}
    first, second = (result.anchor for result in told.bad[:2])
    assert cells["far away"] == {
        "hash": Cell(passed=1, failed=1, unknown=1, anchor=second),
        "VLAN tag": Cell(passed=1, unknown=1),
        "timestamp": Cell(passed=1, failed=1, anchor=first),
        ALL: Cell(passed=1, failed=2, anchor=first),
    }
    assert cells["skipped"] == {ALL: Cell()}
    assert cells["fails as it must"] == {"hash": Cell(passed=1), ALL: Cell(passed=1)}
    assert cells["parts"][ALL].failed == cells["that never ran"][ALL].failed == 1


VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Checks that each element is closed, and collects text, IDs and what is referred to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open += [tag] if tag not in VOID else []
        for name, value in attrs:
            self.ids += [str(value)] if name == "id" else []
            self.links += [str(value)] if name in ("href", "src", "srcset", "data") else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_has_everything_and_needs_nothing(told: Report) -> None:
    page = Page(told.html())
    assert "script" not in page.tags
    assert not re.search(r"url\(|@import|https?:", told.html())
    assert page.links
    assert {link.removeprefix("#") for link in page.links} <= {*page.ids}
    assert len(page.ids) == len({*page.ids}) == len(told.bad)
    for name, value in ABOUT.items():
        assert name in page.text and value in page.text
    for shown in (
        "1 error, 1 expected failure, 4 failed, 1 passed, 1 skipped",
        "frame 3",
        "≠ timestamp",
        "0000  73 65 6e 74 03",  # the frame
        "the <console>",
        "printed <here>",
        "part <1>",
        'SEC("xdp',  # the program
        "no luck",
    ):
        assert shown in page.text, shown
    assert all(name in page.text for name in told.results)


def test_a_green_page_has_no_failures(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_green(): pass")
    green = Report(ABOUT)
    pytester.inline_run("-p", "no:cacheprovider", plugins=[evidence, green])
    page = Page(green.html())
    assert "✓\n1 passed" in page.text
    assert "Failures" not in page.text and "✗ " not in page.text.replace("✗ fails", "")
    assert "Failed:" not in green.markdown()
    assert green.markdown().startswith("### ✅ 1 passed in ")


def test_the_short_form_is_a_table(told: Report) -> None:
    lines = told.markdown().splitlines()
    assert lines[0].startswith("### ❌ 1 error, 1 expected failure, 4 failed, 1 passed, 1 skipped")
    assert "| tree | <b> \\| c |" in lines
    header = lines.index("| what | path | verdict | hash | VLAN tag | timestamp |")
    assert lines[header + 1] == "| --- | --- | --- | --- | --- | --- |"
    first = "| Hints & more. | far away | ❌ 2 of 3 | ❌ 1 of 3 | ❔ 1 | ❌ 1 of 2 |"
    assert lines[header + 2] == first
    assert "- `test_hints.py::test_far[Way.FAR-1]`: frame 3, timestamp is `0`, not `5`" in lines
    assert "- `test_hints.py::test_that_never_ran`" in lines


def test_the_short_form_stays_short(told: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "SUMMARY_FAILURES", 2)
    assert "- and 3 more" in told.markdown().splitlines()


def test_junit_says_what_it_is_about(told: Report, junit: Path) -> None:
    (suite,) = ElementTree.parse(junit).getroot()
    about = {each.attrib["name"]: each.attrib["value"] for each in suite.iterfind("properties/*")}
    assert about == ABOUT


def test_a_page_and_a_summary_are_written(
    told: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, summary = tmp_path / "new folder" / "page.html", tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv(report.SUMMARY, str(summary))
    report.publish(told, report.writable(page))
    assert page.read_text() == told.html()
    assert summary.read_text() == "before\n" + told.markdown()
    monkeypatch.delenv(report.SUMMARY)
    report.publish(told, None)
    assert summary.read_text() == "before\n" + told.markdown()


def test_a_page_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadCall, match=r"Not a directory|File exists"):
        report.writable(tmp_path / "file" / "page.html")


def test_a_frame_as_hexdump_shows_it() -> None:
    assert hexdump(b"lab\x00".hex()) == f"0000  {'6c 61 62 00':<47}  lab."
    lines = hexdump(bytes(range(256)).hex() + "00" * 10).splitlines()
    assert lines[2].startswith("0020  20 21 22") and lines[2].endswith("""  !"#$%&'()*+,-./""")
    assert lines[7].endswith("  pqrstuvwxyz{|}~.")
    assert len(lines) == 17
    assert lines[-1] == "and 10 bytes more"
