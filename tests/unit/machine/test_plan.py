# SPDX-License-Identifier: GPL-2.0-only
"""The plan of the last build: what is read back is what was written, or nothing."""

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from harness.core import workspace
from harness.core.workspace import Lane, Layout, Selection
from harness.machine.options import Options
from harness.machine.plan import Plan, last, remember
from harness.machine.qemu import Accelerator, Spec
from harness.machine.snapshot import State
from harness.machine.vm import Access

SELECTION = Selection(fragment="/my config/\udcff", lane=Lane.DEBUG)
PLAN = Plan(
    SELECTION,
    Spec(
        Path("/b/vmlinux"), Path("/b/\udcff/initramfs"), Accelerator("tcg", "c", "why"),
        Path("console"), -1, (),
    ),
    Access(Path("/b/key"), "ssh-ed25519 AAAA"),
    State(Path("/b/state"), "made from"),
)  # fmt: skip


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the plan is remembered."""
    monkeypatch.setattr(workspace, "ROOT", tmp_path)
    variant = Layout.of(SELECTION).variant
    variant.mkdir(parents=True)
    return variant / "last-plan"


def test_what_is_read_back_is_what_was_written(file: Path) -> None:
    assert last(SELECTION) is None
    remember(PLAN)
    assert last(SELECTION) == PLAN
    other = replace(PLAN, state=State(Path("/b/state"), "other"))
    remember(other)
    assert last(SELECTION) == other
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_another_selections_plan_is_none(file: Path) -> None:
    remember(PLAN)
    assert last(replace(SELECTION, fragment="/another")) is None


@pytest.mark.parametrize("name", PLAN.to_json())
@pytest.mark.parametrize("value", [None, 7, [], {}, "x"])
def test_a_value_that_is_none_gives_no_plan_or_words(file: Path, name: str, value: object) -> None:
    """Whatever is in the file, what comes of it has the types that it says."""
    file.write_text(json.dumps(PLAN.to_json() | {name: value}))
    told = last(SELECTION)
    if told is not None:
        words = (told.spec.accelerator, told.access.host_key, told.state.made_from)
        assert all(isinstance(word, (str, Accelerator)) for word in words)
        assert isinstance(told.spec.kernel, Path)
    told_less = PLAN.to_json()
    del told_less[name]
    file.write_text(json.dumps(told_less))
    assert last(SELECTION) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '"x"', "\udcff"])
def test_what_is_no_plan_is_none(file: Path, text: str) -> None:
    file.write_bytes(os.fsencode(text))
    assert last(SELECTION) is None


class Planted:
    """What a pickle can have done."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self._mark),)


def test_nothing_that_was_planted_is_run(file: Path, tmp_path: Path) -> None:
    """As a file of an older version of the lab would be."""
    file.write_bytes(pickle.dumps(Planted(tmp_path / "mark")))
    assert last(SELECTION) is None
    assert not (tmp_path / "mark").exists()


def test_the_same_machine_may_have_other_names() -> None:
    held = replace(PLAN, spec=replace(PLAN.spec, kernel=Path("/proc/7/fd/8")))
    assert held.is_same_machine(PLAN)
    assert not held.is_same_machine(None)
    assert not held.is_same_machine(replace(PLAN, state=State(Path("/b/state"), "other")))
    assert not held.is_same_machine(replace(PLAN, access=Access(Path("/b/key"), "other")))


def test_a_machine_with_other_options_is_of_the_same_artefacts() -> None:
    options = Options(cpus=4)
    other = replace(
        PLAN,
        spec=replace(PLAN.spec, options=options),
        state=State(Path("/b/state-4"), "made from"),
    )
    assert other.has_same_artefacts(PLAN)
    assert not other.is_same_machine(PLAN)
    assert Plan.from_json(json.loads(json.dumps(other.to_json()))) == other
