# SPDX-License-Identifier: GPL-2.0-only
"""Hash, VLAN tag and timestamp together over a redirect: what was stored arrives, and no more."""

import itertools

import pytest

from harness.api import (
    EACH_FAR_SIDE,
    EACH_NIC,
    SLOW,
    Bpf,
    Hints,
    Live,
    Nic,
    Object,
    RssType,
    To,
    Way,
    give,
    lay,
    random_frames,
    redirect,
    seen,
)
from harness.datapath.hints import DONE, ETH_P_8021AD, ETH_P_8021Q, UNSET, returned

STORE = Object("store_hints")

UDP4 = RssType.L3_IPV4 | RssType.L4 | RssType.L4_UDP

# Two values of each field, and none: every subset is among the 27.
SUBSETS = [
    Hints(*fields)
    for fields in itertools.product(
        (None, (0x12345678, int(UDP4)), (0x89ABCDEF, int(RssType.L3_IPV6))),
        (None, (ETH_P_8021Q, 0x2ABC), (ETH_P_8021AD, 0xF001)),
        (None, 1, 0x1234_5678_9ABC_DEF0),
    )
]
EXTREMES = [
    Hints((0, int(RssType.NONE)), (ETH_P_8021Q, 0), 0),
    Hints((0xFFFFFFFF, 0x1FF), (ETH_P_8021AD, 0xFFFF), 2**64 - 1),
    Hints((0xFFFFFFFF, int(RssType.NONE)), (ETH_P_8021AD, 0), 2**63),
    Hints((0, int(UDP4)), (ETH_P_8021Q, 0xFFFF), 2**63 - 1),
]


@EACH_NIC
@EACH_FAR_SIDE
def test_what_was_stored_arrives_and_no_more(bpf: Bpf, nic: Nic, to: To, seed: int) -> None:
    hints = dict(enumerate(SUBSETS + EXTREMES))
    way = redirect(bpf, nic, STORE.name, to, lines=give(STORE, hints))
    frames = random_frames(len(hints), seed)
    records = way.capture(frames)
    assert len(records) == len(hints) == 31
    assert returned(bpf.dump(STORE.map("returned"))) == dict.fromkeys(hints, DONE)
    for number, given in hints.items():
        assert seen(records[number]) == given.over(UNSET), given
        assert frames[number].data.startswith(records[number].data)


@SLOW
@pytest.mark.parametrize("name", ["store_hints", "store_meta"])
def test_what_was_stored_for_a_live_frame_arrives_and_no_more(
    bpf: Bpf, nic: Nic, seed: int, name: str
) -> None:
    """Without metadata, and with."""
    store = Object(name)
    hints = dict(enumerate(SUBSETS))
    laid = lay(bpf, nic, name, "", give(store, hints), observed=[nic.device])
    way = Way(bpf, Live(nic.device, nic.packets, bpf, store.program("pass")), laid.program)
    records = way.capture(random_frames(len(hints), seed))
    assert len(records) == len(hints)
    for number, given in hints.items():
        assert seen(records[number]) == given.over(UNSET), given
