# SPDX-License-Identifier: GPL-2.0-only
"""What counts of several rounds: medians, and ratios to virtme-ng where it was measured."""

from harness.commands.bench_loop import VIRTME_NG, judged


def test_medians_and_ratios_to_virtme_ng() -> None:
    taken = {VIRTME_NG: [9.0, 8.0, 7.0], "first command": [0.4, 9.0, 0.4]}
    virtme, first = judged(taken)
    assert (virtme.median, virtme.of_virtme_ng) == (8.0, 1.0)
    assert (first.seconds, first.median, first.of_virtme_ng) == ((0.4, 9.0, 0.4), 0.4, 0.05)


def test_without_virtme_ng_there_is_no_ratio() -> None:
    (only,) = judged({"first command": [2.0, 1.0]})
    assert (only.median, only.of_virtme_ng) == (1.5, None)
