# SPDX-License-Identifier: GPL-2.0-only
"""Setters called wrongly store nothing and say so; the verifier refuses the rest."""

import errno

import pytest

from harness.api import (
    Bpf,
    BpfError,
    Hints,
    Nic,
    Object,
    RssType,
    To,
    give,
    random_frames,
    redirect,
    seen,
)
from harness.datapath.hints import (
    DONE,
    ETH_P_8021AD,
    ETH_P_8021Q,
    SECOND,
    UNSET,
    Returned,
    returned,
)
from harness.machine.ssh.guest import Guest

STORE = Object("store_hints")
STORED = Hints((0x11111111, int(RssType.L4)), (ETH_P_8021AD, 0x1111), 0x1111_1111_1111_1111)

# 802.1Q and 802.1ad with their bytes swapped, others' tags, no tag at all.
OTHER_PROTOCOLS = [0, 1, 0x0081, 0xA888, 0x0800, 0x86DD, 0x9100, 0x9200, 0x8101, 0x88A9, 0xFFFF]
OTHER_TYPES = [1 << 9, 1 << 31, 0xFFFFFFFF]


def test_what_is_wrong_is_refused_and_changes_nothing(bpf: Bpf, nic: Nic, seed: int) -> None:
    """Each wrong call comes once on its own, and once behind a right one."""
    wrong = [Hints(vlan=(protocol, 0x2222)) for protocol in OTHER_PROTOCOLS]
    wrong += [Hints(hash=(0x22222222, kind)) for kind in OTHER_TYPES]
    second = dict(enumerate(wrong * 2))
    first = dict.fromkeys(range(len(wrong), 2 * len(wrong)), STORED)
    lines = [*give(STORE, first), *give(STORE, second, SECOND)]
    way = redirect(bpf, nic, STORE.name, To.VETH, lines=lines)
    frames = random_frames(len(second), seed)
    records = way.capture(frames)
    assert len(records) == 2 * len(wrong)
    answers = returned(bpf.dump(STORE.map("returned")))
    for at, hints in second.items():
        bad_vlan, bad_hash = hints.vlan is not None, hints.hash is not None
        assert answers[at | SECOND] == Returned(
            -errno.EINVAL * bad_hash, -errno.EINVAL * bad_vlan, 0
        ), hints
        assert seen(records[at]) == first.get(at, Hints()).over(UNSET), hints
    assert {answers[at] for at in first} == {DONE}


def test_a_second_call_replaces_its_own_field_only(bpf: Bpf, nic: Nic, seed: int) -> None:
    second = {
        0: Hints((0x22222222, 0)),
        1: Hints(vlan=(ETH_P_8021Q, 0x2222)),
        2: Hints(timestamp=0),
        3: Hints((0, 0), (ETH_P_8021Q, 0), 0),
    }
    first = dict.fromkeys(second, STORED)
    lines = [*give(STORE, first), *give(STORE, second, SECOND)]
    way = redirect(bpf, nic, STORE.name, To.VETH, lines=lines)
    frames = random_frames(4, seed)
    records = way.capture(frames)
    assert len(records) == 4
    for at, hints in second.items():
        assert seen(records[at]) == hints.over(STORED.over(UNSET)), hints


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("vlan_in_tc", "bpf_xdp_store_rx_vlan is not allowed"),
        ("ts_in_tc", "bpf_xdp_store_rx_ts is not allowed"),
        ("store_in_action", "bpf_xdp_store_rx_hash is not allowed"),
        ("store_without_context", "expected pointer to ctx"),
        ("store_all", "metadata kfuncs require device-bound program"),
        ("kv_set_in_tc", "bpf_xdp_kv_set is not allowed"),
        ("kv_get_in_tc", "bpf_xdp_kv_get is not allowed"),
        ("kv_del_in_tc", "bpf_xdp_kv_del is not allowed"),
        ("kv_from_rodata", "write into map forbidden"),
    ],
)
def test_the_verifier_refuses(bpf: Bpf, name: str, words: str) -> None:
    with pytest.raises(BpfError, match=words):
        bpf.load(name)


def test_without_capabilities_nothing_is_loaded(bpf: Bpf, guest: Guest, nic: Nic) -> None:
    bpf.load("store_then_all", device=nic.device)  # puts the object there
    load = "bpftool prog load /lab/store_then_all.bpf.o /sys/fs/bpf/lab/loaded type xdp"
    load += f" xdpmeta_dev {nic.device}"
    done = guest.run(f"setpriv --bounding-set=-all {load}")
    assert done.status != 0
    assert b"Operation not permitted" in done.stderr, done.stderr
    done = guest.run(f"setpriv --bounding-set=-all,+bpf,+net_admin,+perfmon {load}")
    assert done.status == 0, done.stderr
