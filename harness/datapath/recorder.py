# SPDX-License-Identifier: GPL-2.0-only
"""What one test did: the programs it loaded, what it captured, which fields it looked at.

A report's matrix says which fields a green test stands for. No test has to
declare that: the records that it gets note which of their fields are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from harness.datapath.packets import Frame
from harness.datapath.skb import SkbRecord

FIELDS = frozenset(field.name for field in fields(SkbRecord))


@dataclass(frozen=True)
class Capture:
    """What was sent, and what the observer recorded of it, which may be less or more."""

    frames: Sequence[Frame]
    records: Sequence[SkbRecord]


class Recorder:
    """Of one test.

    programs: the names of the objects that it loaded. looked_at: of the fields of
    SkbRecord those that it read. last: the record and the field that it read last.
    names: of the keys that it registered.
    """

    def __init__(self) -> None:
        self.programs: list[str] = []
        self.captures: list[Capture] = []
        self.looked_at: set[str] = set()
        self.last: tuple[SkbRecord, str] | None = None
        self.names: dict[int, str] = {}

    def captured(self, frames: Sequence[Frame], records: Sequence[SkbRecord]) -> list[SkbRecord]:
        """Note a capture; returns the records such that what is read of them is noted."""
        self.captures.append(Capture(frames, records))
        return [_Watched(record, self) for record in records]

    def frame(self, number: int) -> Frame | None:
        """The frame with that id, the one sent last."""
        sent = (frame for capture in reversed(self.captures) for frame in capture.frames)
        return next((frame for frame in sent if frame.id == number), None)

    def record(self, number: int) -> SkbRecord | None:
        """The skb of the frame with that id, the one captured last."""
        seen = (record for capture in reversed(self.captures) for record in capture.records)
        return next((record for record in seen if record.id == number), None)


class _Watched(SkbRecord):
    """A record that tells the recorder which of its fields are read."""

    def __init__(self, record: SkbRecord, recorder: Recorder) -> None:
        vars(self).update(vars(record), _record=record, _recorder=recorder)

    def __getattribute__(self, name: str) -> object:
        if name in FIELDS:
            recorder = object.__getattribute__(self, "_recorder")
            recorder.looked_at.add(name)
            recorder.last = object.__getattribute__(self, "_record"), name
        return object.__getattribute__(self, name)

    def __repr__(self) -> str:
        """As any record's: pytest shows what it asserted, and judges nothing by that."""
        return repr(object.__getattribute__(self, "_record"))

    @property
    def id(self) -> int:
        """Whose frame it was, which is no judgement of its data."""
        record: SkbRecord = object.__getattribute__(self, "_record")
        return record.id
