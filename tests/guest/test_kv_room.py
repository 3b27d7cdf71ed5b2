# SPDX-License-Identifier: GPL-2.0-only
"""How much room the store has: to its own most, and to the packet's first byte."""

import errno

import pytest

from harness.api import (
    EACH_NIC,
    SLOW,
    Bpf,
    Giving,
    Nic,
    Way,
    delete,
    get,
    lay,
    lay_on_tap,
    set_,
)
from harness.datapath.kv_cases import OK, STORE, Script, check_calls
from harness.datapath.kv_packet import NIC_HEADROOM
from harness.datapath.kv_script import HW_TIMESTAMP, NOEXIST, REPLACE, Kind, found, move

EINVAL, EEXIST, EBUSY, ENOSPC = -errno.EINVAL, -errno.EEXIST, -errno.EBUSY, -errno.ENOSPC
TWO, FOUR, EIGHT = b"\x02\x82", b"\x04\x14\x24\x84", b"\x08\x18\x28\x38\x48\x58\x68\x88"
OTHER = b"\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8"

# The kernel's struct xdp_frame, and where the store begins: behind it and the hints.
FRAME, BEGIN, HEADER = 40, 64, 16


@pytest.fixture
def way(bpf: Bpf, nic: Nic) -> Way:
    return lay(bpf, nic, STORE.name, "pass", [], observed=[nic.device])


def test_full_is_full(bpf: Bpf, way: Way, seed: int) -> None:
    """128 bytes of values; what does not fit changes nothing."""
    eights: Script = [(set_(key, bytes([key]) * 8), OK) for key in range(16)]
    last = get(15), found(b"\x0f" * 8)
    cases: list[Script] = [
        [*eights, (set_(16, TWO), ENOSPC), (set_(16, TWO, NOEXIST), ENOSPC), last],
        [*eights, (set_(63, EIGHT), ENOSPC), (set_(3, EIGHT), OK), (get(3), found(EIGHT)), last],
        [*eights, (set_(3, TWO), EBUSY), (set_(3, EIGHT, NOEXIST), EEXIST), last],
        [*eights, (set_(3, TWO, REPLACE), OK), (set_(16, EIGHT), ENOSPC), (set_(16, FOUR), OK)],
        [*eights, (set_(3, FOUR, REPLACE), OK), (set_(16, FOUR), OK), (set_(3, EIGHT, 2), ENOSPC)],
        [*eights, (set_(16, OTHER[:3]), EINVAL), (delete(0), OK), (set_(16, EIGHT), OK), last],
        [*eights, (set_(HW_TIMESTAMP, EIGHT), OK), last],
    ]
    check_calls(bpf, way, seed, cases)


def room_scripts(behind: int, *, metadata: bool) -> list[Script]:
    """Scripts for a headroom of that many bytes behind data_hard_start.

    The head, or metadata, is moved so far that a header and two bytes fit, or one byte less.
    """
    fits = behind - (BEGIN + HEADER + 2)
    to_frame = BEGIN + HEADER + 2 - FRAME
    hints: Script = [(set_(HW_TIMESTAMP, EIGHT), OK)]
    cases: list[Script] = [
        [
            (move(Kind.HEAD, -fits), OK),
            (set_(0, FOUR), ENOSPC),
            (move(Kind.HEAD, -1), OK),
            (move(Kind.HEAD, 1), OK),
            (set_(0, TWO), OK),
            (move(Kind.HEAD, -1), EINVAL),
            (set_(1, TWO), ENOSPC),
            (set_(0, FOUR, REPLACE), ENOSPC),
            (get(0), found(TWO)),
            (delete(0), OK),
            (move(Kind.HEAD, -to_frame), OK),
            (move(Kind.HEAD, -1), EINVAL),
            (set_(0, TWO), ENOSPC),
            (set_(HW_TIMESTAMP, EIGHT), ENOSPC),
            (move(Kind.HEAD, fits + to_frame), OK),
        ],
        [
            (move(Kind.HEAD, -(fits + 1)), OK),
            (set_(0, TWO), ENOSPC),
            (move(Kind.HEAD, fits + 1), OK),
        ],
        [  # a hint stays when the last key goes, and the other way round
            *hints,
            (set_(0, TWO), OK),
            (set_(5, EIGHT), OK),
            (move(Kind.HEAD, -(fits - 8)), OK),
            (move(Kind.HEAD, -1), EINVAL),
            (set_(5, FOUR, REPLACE), OK),
            (move(Kind.HEAD, -4), OK),
            (move(Kind.HEAD, -1), EINVAL),
            (delete(HW_TIMESTAMP), OK),
            (move(Kind.HEAD, -1), EINVAL),
            (delete(5), OK),
            (move(Kind.HEAD, -4), OK),
            (get(0), found(TWO)),
            (set_(HW_TIMESTAMP, EIGHT), OK),
            (delete(0), OK),
            (move(Kind.HEAD, -(HEADER + 2)), OK),
            (move(Kind.HEAD, -1), EINVAL),
            (get(HW_TIMESTAMP), found(EIGHT)),
            (delete(HW_TIMESTAMP), OK),
            (move(Kind.HEAD, -(BEGIN - FRAME)), OK),
            (move(Kind.HEAD, -1), EINVAL),
            (move(Kind.HEAD, behind - FRAME), OK),
        ],
    ]
    if metadata:
        by_four = fits // 4 * 4
        cases += [
            [
                (move(Kind.HEAD, -(fits - by_four)), OK),
                (move(Kind.META, -by_four), OK),
                (set_(0, FOUR), ENOSPC),
                (set_(0, TWO), OK),
                (move(Kind.META, -4), EINVAL),
                (get(0), found(TWO)),
                (delete(0), OK),
                (move(Kind.META, -4), OK),
                (set_(0, TWO), ENOSPC),
                (move(Kind.META, by_four + 4), OK),
                (set_(0, TWO), OK),
                (move(Kind.HEAD, fits - by_four), OK),
            ]
        ]
    return cases


@EACH_NIC
def test_room_ends_where_the_packet_begins(bpf: Bpf, nic: Nic, seed: int, way: Way) -> None:
    check_calls(bpf, way, seed, room_scripts(NIC_HEADROOM[nic.device], metadata=True))


@SLOW
@pytest.mark.parametrize(
    ("giving", "behind"), [(Giving.WRITE_NOWAIT, 320), (Giving.VHOST, 384)], ids=["nowait", "vhost"]
)
def test_room_without_metadata(bpf: Bpf, seed: int, giving: Giving, behind: int) -> None:
    """Where data_meta is a byte behind data."""
    way = lay_on_tap(bpf, giving, STORE.name, "pass")
    check_calls(bpf, way, seed, room_scripts(behind, metadata=False))
