# SPDX-License-Identifier: GPL-2.0-only
"""What a machine is started from, and the last plan that a build made.

Apart from the modules that build: one that guesses is to start a machine before those
are imported.
"""

import pickle
from dataclasses import dataclass
from pathlib import Path

from harness import qemu
from harness.config import Layout, Selection
from harness.snapshot import State
from harness.vm import Access


@dataclass(frozen=True)
class Plan:
    """A machine that can be started. spec: its console and descriptors are still to be filled in.

    state: where it is saved.
    """

    spec: qemu.Spec
    access: Access
    state: State


def remember(selection: Selection, plan: Plan) -> None:
    """Have `last` give this."""
    if last(selection) == plan:
        return
    file = _file(selection)
    beside = file.with_name(f"{file.name}.new")
    beside.write_bytes(pickle.dumps((selection, plan)))
    beside.replace(file)


def last(selection: Selection) -> Plan | None:
    """The plan of a selection's last build, None if that can't be told: a guess, no more."""
    try:
        made_for, plan = pickle.loads(_file(selection).read_bytes())
    except Exception:  # another version of the lab wrote it: anything may come of that
        return None
    return plan if isinstance(plan, Plan) and made_for == selection else None


def _file(selection: Selection) -> Path:
    return Layout.of(selection).variant / "last-plan"
