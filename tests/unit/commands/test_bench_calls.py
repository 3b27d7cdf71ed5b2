# SPDX-License-Identifier: GPL-2.0-only
"""The calls that are measured do what their names say; nothing is measured here."""

import re
from pathlib import Path

from harness.commands import bench_calls
from harness.datapath.kv import KEYS, Store
from harness.datapath.kv_script import CALLS, Call, Kind

SOURCE = Path(__file__).parents[3] / "bpf-progs" / "bench_calls.h"
HINTS = range(KEYS, KEYS + 3)


def made(store: Store, call: Call) -> int:
    """What the call gives on the store's twin."""
    match call.kind:
        case Kind.SET:
            return store.set(call.key, call.value, call.flags)
        case Kind.GET:
            got = store.get(call.key, call.size)
            return got if isinstance(got, int) else len(got)
        case _:
            return store.delete(call.key)


def test_each_call_returns_what_it_should() -> None:
    for case in bench_calls._cases():
        assert len(case.before) <= CALLS
        if case.setter or case.call.key in HINTS:
            continue  # which the twin has not
        store = Store()
        assert [made(store, call) for call in case.before] == [0] * len(case.before), case.name
        assert made(store, case.call) == case.returns, case.name


def test_what_is_before_or_behind_is() -> None:
    for case in bench_calls._cases():
        there = {call.key for call in case.before}
        if found := re.search(r"(before|behind) (\d+) other", case.name):
            others = there - {case.call.key}
            assert len(others) == int(found[2]), case.name
            side = [key > case.call.key for key in others]
            assert all(side) if found[1] == "before" else not any(side), case.name


def test_as_many_runs_as_the_program_keeps() -> None:
    (runs,) = re.findall(r"#define BENCH_RUNS (\d+)", SOURCE.read_text())
    assert int(runs) == bench_calls.RUNS
