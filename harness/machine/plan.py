# SPDX-License-Identifier: GPL-2.0-only
"""What a machine is started from, and the last plan that a build made.

Apart from the modules that build: one that guesses is to start a machine before those
are imported.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeGuard

from harness.core import files
from harness.core.errors import BadCall
from harness.core.workspace import Layout, Selection
from harness.machine import qemu
from harness.machine.options import Options
from harness.machine.snapshot import State
from harness.machine.vm import Access


@dataclass(frozen=True)
class Plan:
    """A machine of a selection that can be started.

    spec: its console and descriptors are still to be filled in.
    state: where it is saved.
    """

    selection: Selection
    spec: qemu.Spec
    access: Access
    state: State

    def to_json(self) -> dict[str, Any]:
        """As values that json can write; of the spec what is not the same in all plans."""
        return {
            "selection": asdict(self.selection),
            "kernel": str(self.spec.kernel),
            "initramfs": str(self.spec.initramfs),
            "accelerator": asdict(self.spec.accelerator),
            "options": self.spec.options.to_json(),
            "key": str(self.access.key),
            "host_key": self.access.host_key,
            "state": str(self.state.directory),
            "made_from": self.state.made_from,
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Plan":
        """The reverse of to_json. Raises BadCall, KeyError or TypeError for anything else."""
        accelerator = (str(told["accelerator"][name]) for name in ("name", "cpu", "reason"))
        return cls(
            Selection(**told["selection"]),
            qemu.Spec(
                Path(str(told["kernel"])),
                Path(str(told["initramfs"])),
                qemu.Accelerator(*accelerator),
                Path("console"),
                -1,
                (),
                Options.from_json(told["options"]),
            ),
            Access(Path(str(told["key"])), str(told["host_key"])),
            State(Path(str(told["state"])), str(told["made_from"])),
        )

    def is_same_machine(self, other: "Plan | None") -> bool:
        """Whether the other one is of the same artefacts, and has the same options."""
        return self.has_same_artefacts(other) and other.spec.options == self.spec.options

    def has_same_artefacts(self, other: "Plan | None") -> TypeGuard["Plan"]:
        """Whether the other one is of the same artefacts, by whatever names they are called."""
        if other is None or self.access != other.access:
            return False
        same_place = self.state.directory.parent == other.state.directory.parent
        return same_place and self.state.made_from == other.state.made_from


def remember(plan: Plan) -> None:
    """Have `last` give this."""
    if last(plan.selection) == plan:
        return
    files.replace(_file(plan.selection), json.dumps(plan.to_json()))


def last(selection: Selection) -> Plan | None:
    """The plan of a selection's last build, None if that can't be told: a guess, no more."""
    try:
        plan = Plan.from_json(json.loads(_file(selection).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, BadCall):  # another version's, perhaps
        return None
    return plan if plan.selection == selection else None


def _file(selection: Selection) -> Path:
    return Layout.of(selection).variant / "last-plan"
