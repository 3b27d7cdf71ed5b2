# SPDX-License-Identifier: GPL-2.0-only
"""What a lane takes besides: programs of this machine, and programs in the guest."""

from collections.abc import Iterable
from unittest.mock import Mock

import pytest

from harness.core import host
from harness.core.host import Need
from harness.core.workspace import Base, Lane, Selection
from harness.machine import build


@pytest.mark.parametrize("lane", list(Lane))
def test_what_the_kernels_own_tests_take_is_asked_for_in_their_lane_alone(
    monkeypatch: pytest.MonkeyPatch, lane: Lane
) -> None:
    asked: set[Need] = set()

    def require(needs: Iterable[Need]) -> None:
        asked.update(needs)

    monkeypatch.setattr(host, "require", require)
    build.require(Selection(lane=lane))
    base = Base.load(Selection().base)
    own = {base.clang, *host.SELFTESTS} if lane == Lane.SELFTESTS else set()
    assert asked == {*base.tools, *own}


class Made(Exception):
    """The image is the last thing that is made here."""


@pytest.mark.parametrize("lane", list(Lane))
def test_the_image_is_of_the_lane(monkeypatch: pytest.MonkeyPatch, lane: Lane) -> None:
    def image(layout: object, kernel: object, tools: object, lane: Lane = Lane.PLAIN) -> None:
        raise Made(lane)

    monkeypatch.setattr(host, "require", Mock())
    monkeypatch.setattr(build, "tree", Mock())
    monkeypatch.setattr(build, "bpf_programs", Mock())
    monkeypatch.setattr("harness.artefacts.image.image", image)
    with pytest.raises(Made) as made:
        build.build(Selection(lane=lane))
    assert made.value.args == (lane,)
