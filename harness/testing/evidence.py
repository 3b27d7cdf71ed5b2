# SPDX-License-Identifier: GPL-2.0-only
"""A pytest plugin: what each verdict rests on, attached to the report of its test.

It works in the process that runs the tests, and gives plain data, which pytest-xdist
carries to the process that writes the report.
"""

import enum
import inspect
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any

import pytest

from harness.datapath.recorder import FIELDS, Recorder
from harness.datapath.skb import SkbRecord
from harness.datapath.topology import OBSERVER

SHOWN = 4  # frames of one failure; the others are counted
CONSOLE_LINES = 80
REPR_LENGTH = 300

RECORDER = pytest.StashKey[Recorder]()
CONSOLE = pytest.StashKey[str]()
COMPARED = pytest.StashKey[tuple[Any, Any]]()

# The columns of the matrix, and the fields of SkbRecord and of what tests make of it.
COLUMNS = {
    "hash": ("hash", "l4_hash", "sw_hash"),
    "VLAN tag": ("vlan", "vlan_proto", "vlan_tci", "vlan_present"),
    "timestamp": ("timestamp", "hwtstamp", "tstamp"),
    "data": ("data", "data_len", "len", "protocol"),
    "metadata": ("meta", "meta_len"),
    "other": ("mark", "ifindex", "cpu", "queue_mapping", "pkt_type"),
}
COLUMN_OF = {name: column for column, names in COLUMNS.items() for name in names}
# What datapath.hints.Seen says in other names than the record.
COVERS = {"vlan": ("vlan_proto", "vlan_tci", "vlan_present"), "timestamp": ("hwtstamp",)}
IN_HEX = ("hash", "mark", "meta", "protocol", "vlan_proto", "vlan_tci", "vlan")


@dataclass(frozen=True)
class Field:
    """A field of an skb, or of another value, as text.

    expected: None where no test judged it.
    """

    name: str
    expected: str | None
    actual: str
    differs: bool


@dataclass(frozen=True)
class Difference:
    """One value that is not what was expected.

    frame: the bytes that were sent, in hex, or "".
    """

    what: str
    fields: list[Field]
    frame: str


@dataclass(frozen=True)
class Evidence:
    """What the verdict of one test rests on.

    group: what its module is about.
    path: the way that its frames took.
    judged, wrong: columns.
    more: how many differences there are beside those that are shown.
    programs: names of bpf-progs/NAME.bpf.c, the observer last.
    console: what the kernel said meanwhile.
    """

    group: str
    path: str
    judged: list[str]
    wrong: list[str]
    differences: list[Difference]
    more: int
    programs: list[str]
    console: str

    @classmethod
    def of(cls, report: pytest.TestReport) -> "Evidence | None":
        """What a report came with; None for one of another plugin, or of a test that never ran."""
        told = vars(report).get("evidence")
        if told is None:
            return None
        differences = [
            Difference(each["what"], [Field(**field) for field in each["fields"]], each["frame"])
            for each in told["differences"]
        ]
        return cls(**{**told, "differences": differences})


@pytest.hookimpl(tryfirst=True)
def pytest_assertrepr_compare(
    config: pytest.Config, op: str, left: object, right: object
) -> list[str] | None:
    """Keep both sides of a comparison that fails; in this suite the right one is expected."""
    if op == "==":
        config.stash[COMPARED] = left, right
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the evidence. A report's attributes go wherever it goes."""
    report = yield
    compared = item.config.stash.get(COMPARED, None)
    if compared:
        del item.config.stash[COMPARED]
    if call.excinfo is None or not call.excinfo.errisinstance(AssertionError):
        compared = None
    if call.when == "call" or not report.passed:
        vars(report)["evidence"] = asdict(_gather(item, report.failed, compared))
    return report


def _gather(item: pytest.Item, failed: bool, compared: tuple[Any, Any] | None) -> Evidence:
    recorder = item.stash.get(RECORDER, None) or Recorder()
    found = differences(*compared, recorder) if compared else []
    names = [field.name for each in found for field in each.fields if field.differs]
    console = item.stash.get(CONSOLE, "") if failed else ""
    return Evidence(
        group=_group(item),
        path=path_of(item),
        judged=_columns(recorder.looked_at),
        wrong=_columns(names),
        differences=found[:SHOWN],
        more=max(0, len(found) - SHOWN),
        programs=sorted(dict.fromkeys(recorder.programs), key=OBSERVER.name.__eq__)
        if failed
        else [],
        console="\n".join(console.splitlines()[-CONSOLE_LINES:]),
    )


def _group(item: pytest.Item) -> str:
    module = getattr(item, "module", None)
    documented = inspect.getdoc(module) if module else None
    return documented.splitlines()[0] if documented else item.nodeid.partition("::")[0]


def path_of(item: pytest.Item) -> str:
    """The way that a test's frames take: the words of its enumerated parameters, or its name."""
    callspec = getattr(item, "callspec", None)
    values = callspec.params.values() if callspec else ()
    words = [str(value.value) for value in values if isinstance(value, enum.Enum)]
    name = getattr(item, "originalname", "") or item.name
    return ", ".join(words) or name.removeprefix("test_").replace("_", " ")


def _columns(names: "set[str] | list[str]") -> list[str]:
    found = {COLUMN_OF[name] for name in names if name in COLUMN_OF}
    return [column for column in COLUMNS if column in found]


def differences(actual: Any, expected: Any, recorder: Recorder) -> list[Difference]:
    """Where two values differ: by key or by index if they have such, with the frame if it is known.

    A key that is the id of a captured frame stands for that frame.
    """
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        keys = [
            key
            for key in dict.fromkeys([*expected, *actual])
            if actual.get(key, _MISSING) != expected.get(key, _MISSING)
        ]
        return [
            _difference(
                f"frame {key}" if recorder.frame(key) else f"[{key!r}]",
                actual.get(key, _MISSING),
                expected.get(key, _MISSING),
                recorder.record(key),
                recorder,
            )
            for key in keys
        ]
    if isinstance(actual, list) and isinstance(expected, list):
        pairs = enumerate(zip_longest(actual, expected, fillvalue=_MISSING))
        return [
            _difference(f"[{at}]", one, other, None, recorder)
            for at, (one, other) in pairs
            if one != other
        ]
    record = _looked_at_last(actual, recorder)
    what = f"frame {record.id}" if record else ""
    return [_difference(what, actual, expected, record, recorder)]


class _Missing:
    def __repr__(self) -> str:
        return "missing"


_MISSING = _Missing()


def _looked_at_last(actual: object, recorder: Recorder) -> SkbRecord | None:
    """The record that was read last, if the value can be that one's."""
    if recorder.last is None:
        return None
    record, name = recorder.last
    values = _named(actual, recorder) or {name: actual}
    own = [key for key in values if key in FIELDS]
    return record if own and all(getattr(record, key) == values[key] for key in own) else None


def _difference(
    what: str, actual: object, expected: object, record: SkbRecord | None, recorder: Recorder
) -> Difference:
    one, other = _named(actual, recorder), _named(expected, recorder)
    names = [*dict.fromkeys([*other, *one])]
    if not names:
        field = recorder.last[1] if record and recorder.last else "value"
        fields = [Field(field, _shown(field, expected), _shown(field, actual), True)]
        names = [field]
    else:
        # A plain tuple on one side has the other's names, by place.
        one, other = one or _placed(names, actual), other or _placed(names, expected)
        fields = [
            Field(
                name,
                _shown(name, other.get(name, _MISSING)),
                _shown(name, one.get(name, _MISSING)),
                one.get(name, _MISSING) != other.get(name, _MISSING),
            )
            for name in names
        ]
    covered = {field for name in names for field in COVERS.get(name, (name,))} | {"data"}
    if record:
        rest = [name for name in vars(record) if name not in covered]
        fields += [Field(name, None, _shown(name, getattr(record, name)), False) for name in rest]
    sent = recorder.frame(record.id) if record else None
    return Difference(what, fields, sent.data.hex() if sent else "")


def _named(value: object, recorder: Recorder) -> dict[str, object]:
    """The parts of a value that has some: a named tuple's fields, or a store's keys."""
    if isinstance(value, Mapping) and all(isinstance(each, bytes) for each in value.values()):
        return {recorder.names.get(key, f"key {key}"): value[key] for key in sorted(value)}
    names = getattr(value, "_fields", None)
    return dict(zip(names, value, strict=True)) if names and isinstance(value, tuple) else {}


def _placed(names: list[str], value: object) -> dict[str, object]:
    return dict(zip(names, value, strict=False)) if isinstance(value, tuple) else {}


def _shown(name: str, value: object) -> str:
    if name in IN_HEX and isinstance(value, tuple):
        return " ".join(f"{part:#06x}" for part in value)
    if name in IN_HEX and isinstance(value, int):
        return f"{value:#x}"
    if isinstance(value, bytes):
        return value.hex(" ")
    text = "none" if value is None else repr(value)
    return text if len(text) <= REPR_LENGTH else f"{text[:REPR_LENGTH]} ..."
