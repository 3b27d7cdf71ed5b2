# SPDX-License-Identifier: GPL-2.0-only
"""What a verdict rests on: noted without a word in the tests, and carried by their reports."""

import enum
from typing import Any, NamedTuple

import pytest

from harness.datapath.hints import Seen, seen
from harness.datapath.packets import Frame
from harness.datapath.recorder import Recorder
from harness.datapath.skb import LAYOUT, SkbRecord
from harness.testing import evidence
from harness.testing.evidence import SHOWN, Evidence, Field, differences


def record(number: int, **values: int) -> SkbRecord:
    data = bytes(10) + number.to_bytes(2, "big")
    fields: dict[str, Any] = {name: 0 for name, _ in LAYOUT}
    return SkbRecord(**{**fields, "data": data, "data_len": len(data), **values})


def captured(*records: SkbRecord) -> tuple[Recorder, list[SkbRecord]]:
    recorder = Recorder()
    frames = [Frame(each.id, b"sent" + bytes([each.id])) for each in records]
    return recorder, recorder.captured(frames, records)


def differing(fields: list[Field]) -> list[tuple[str, str | None, str]]:
    return [(each.name, each.expected, each.actual) for each in fields if each.differs]


def test_what_is_read_of_a_record_is_noted() -> None:
    recorder, (first,) = captured(record(7, hash=1, len=60))
    assert (first.id, repr(first)) == (7, repr(record(7, hash=1, len=60)))
    assert recorder.looked_at == set()
    assert first.hash == 1
    assert recorder.looked_at == {"hash"}
    assert recorder.last == (record(7, hash=1, len=60), "hash")
    seen(first)
    assert recorder.looked_at == {"hash", "l4_hash", "vlan_present", "hwtstamp"}
    assert isinstance(first, SkbRecord)
    assert first == first
    assert "data" in recorder.looked_at


def test_the_last_frame_with_an_id_counts() -> None:
    recorder, _ = captured(record(1, hash=1))
    recorder.captured([Frame(1, b"again")], [record(1, hash=2)])
    frame, last = recorder.frame(1), recorder.record(1)
    assert frame is not None and frame.data == b"again"
    assert last is not None and last.hash == 2
    assert recorder.frame(2) is None
    assert recorder.record(2) is None


def test_of_two_mappings_the_frames_that_differ() -> None:
    recorder, records = captured(record(3), record(4, hash=9, mark=5))
    actual = {each.id: seen(each) for each in records}
    (found,) = differences(actual, {3: Seen(), 4: Seen(hash=8, l4_hash=1)}, recorder)
    assert found.what == "frame 4"
    assert found.frame == (b"sent" + bytes([4])).hex()
    assert differing(found.fields) == [("hash", "0x8", "0x9"), ("l4_hash", "1", "0")]
    names = [each.name for each in found.fields]
    assert names[:4] == ["hash", "l4_hash", "vlan", "timestamp"]
    assert Field("mark", None, "0x5", False) in found.fields
    # What is shown as vlan and timestamp isn't shown again, and data is in the dump.
    assert not {"vlan_proto", "vlan_tci", "vlan_present", "hwtstamp", "data"} & {*names}


def test_of_two_mappings_what_only_one_has() -> None:
    found = differences({1: "a", 2: "b"}, {2: "b", 3: "c"}, Recorder())
    told = [(each.what, differing(each.fields)) for each in found]
    assert told == [
        ("[3]", [("value", "'c'", "missing")]),
        ("[1]", [("value", "missing", "'a'")]),
    ]


def test_of_two_lists_the_places_that_differ() -> None:
    found = differences([1, 2, 3], [1, 5], Recorder())
    assert [(each.what, differing(each.fields)) for each in found] == [
        ("[1]", [("value", "5", "2")]),
        ("[2]", [("value", "missing", "3")]),
    ]


def test_one_value_is_the_record_that_was_read_last() -> None:
    recorder, (first, second) = captured(record(1, hash=1), record(2, hash=2))
    seen(second)
    (found,) = differences(seen(first), Seen(vlan=(0x8100, 5)), recorder)
    assert found.what == "frame 1"
    assert differing(found.fields) == [("hash", "0x0", "0x1"), ("vlan", "0x8100 0x0005", "none")]


def test_one_field_has_its_name() -> None:
    recorder, (first,) = captured(record(1, len=57))
    (found,) = differences(first.len, 58, recorder)
    assert (found.what, differing(found.fields)) == ("frame 1", [("len", "58", "57")])


def test_a_value_that_is_no_skbs_is_shown_without_one() -> None:
    recorder, (first,) = captured(record(1, len=57))
    seen(first)
    (found,) = differences(-22, 0, recorder)
    assert (found.what, found.frame) == ("", "")
    assert found.fields == [Field("value", "0", "-22", True)]


class Pair(NamedTuple):
    hash: int
    error: int


def test_a_plain_tuple_has_the_others_names() -> None:
    (found,) = differences(Pair(1, -2), (1, 0), Recorder())
    assert differing(found.fields) == [("error", "0", "-2")]
    (found,) = differences((1, -2), Pair(1, 0), Recorder())
    assert differing(found.fields) == [("error", "0", "-2")]


def test_long_values_are_cut() -> None:
    (found,) = differences("x" * 1000, "", Recorder())
    assert len(found.fields[0].actual) < 400


class Way(enum.Enum):
    FAR = "far away"


TESTS = '''
"""What these tests are about.

More of it.
"""
import enum
import pytest
from harness.testing.evidence import CONSOLE, RECORDER
from harness.datapath.recorder import Recorder
from tests.unit.testing.test_evidence import Way, captured, record
from harness.datapath.hints import Seen, seen

@pytest.fixture
def records(request):
    request.node.stash[RECORDER], records = captured(*(record(n, hash=n) for n in range(9)))
    request.node.stash[RECORDER].programs += ["skb_observer", "two", "one", "two"]
    request.node.stash[CONSOLE] = "said"
    return records

def test_green(records):
    assert [each.hash for each in records] == [*range(9)]

@pytest.mark.parametrize("way", Way, ids=str)
def test_red(records, way):
    assert {each.id: seen(each) for each in records} == {n: Seen() for n in range(9)}

def test_that_raises(records):
    with pytest.raises(AssertionError):
        assert records[1].hash == 2
    raise OSError("gone")

def test_parts(records, subtests):
    with subtests.test("first"):
        assert records[1].hash == 2
    with subtests.test("second"):
        assert records[1].mark == 0

@pytest.fixture
def broken():
    raise OSError("gone")

def test_that_never_ran(broken):
    pass
'''


@pytest.fixture
def reports(pytester: pytest.Pytester) -> dict[str, list[pytest.TestReport]]:
    """By the test's name, as they come out of the form in which pytest-xdist carries them."""
    pytester.makepyfile(TESTS)
    run = pytester.inline_run("-p", "no:cacheprovider", plugins=[evidence])
    found: dict[str, list[pytest.TestReport]] = {}
    for call in run.getcalls("pytest_runtest_logreport"):
        plain = call.report._to_json()
        assert _is_plain(plain.get("evidence"))
        carried = type(call.report)._from_json(plain)
        found.setdefault(carried.nodeid.partition("::")[2], []).append(carried)
    return found


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(each) for key, each in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or type(value) in (str, int, bool)


def of(reports: list[pytest.TestReport]) -> list[Evidence]:
    return [found for report in reports if (found := Evidence.of(report))]


def test_a_green_test_says_what_it_judged(reports: dict[str, list[pytest.TestReport]]) -> None:
    (green,) = of(reports["test_green"])
    assert (green.group, green.path) == ("What these tests are about.", "green")
    assert (green.judged, green.wrong, green.differences) == (["hash"], [], [])
    assert (green.programs, green.console) == ([], "")


def test_a_red_test_says_what_differs(reports: dict[str, list[pytest.TestReport]]) -> None:
    (red,) = of(reports["test_red[Way.FAR]"])
    assert red.path == "far away"
    assert red.judged == ["hash", "VLAN tag", "timestamp"]
    assert red.wrong == ["hash"]
    assert [each.what for each in red.differences] == [f"frame {n}" for n in range(1, SHOWN + 1)]
    assert red.more == 8 - SHOWN
    assert (red.programs, red.console) == (["two", "one", "skb_observer"], "said")


def test_only_a_failed_assertion_has_differences(
    reports: dict[str, list[pytest.TestReport]],
) -> None:
    (raised,) = of(reports["test_that_raises"])
    assert (raised.judged, raised.wrong, raised.differences) == (["hash"], [], [])


def test_parts_of_a_test_have_their_own(reports: dict[str, list[pytest.TestReport]]) -> None:
    first, second, whole = of(reports["test_parts"])
    assert [each.what for each in first.differences] == ["frame 1"]
    assert (second.differences, second.judged) == ([], ["hash", "other"])
    assert whole.differences == []


def test_a_test_that_never_ran_has_a_place(reports: dict[str, list[pytest.TestReport]]) -> None:
    (broken,) = of(reports["test_that_never_ran"])
    assert (broken.path, broken.judged) == ("that never ran", [])
