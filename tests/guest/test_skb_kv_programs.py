# SPDX-License-Identifier: GPL-2.0-only
"""An skb's keys in programs of each kind: that may read, that may set, that may not."""

import struct

import pytest

from harness.api import (
    SLOW,
    Bpf,
    BpfError,
    Nic,
    Object,
    at_ingress,
    by_veth,
    lay,
    random_frames,
)
from harness.datapath.kv_cases import EACH, STORE, STORED
from harness.datapath.kv_script import SECOND, scripts
from harness.datapath.skb_cases import TC, held, holding, reading

TRACED = Object("kv_skb_traced")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kv_skb_set_traced", "bpf_skb_kv_set is not allowed"),
        ("kv_skb_del_traced", "bpf_skb_kv_del is not allowed"),
        ("kv_skb_sent_traced", "bpf_skb_kv_get is not allowed"),
        ("kv_skb_queued_traced", "bpf_skb_kv_get is not allowed"),
        ("kv_skb_untrusted", "must be referenced or trusted"),
        ("kv_skb_in_xdp", "bpf_skb_kv_get is not allowed"),
        ("kv_names_in_tc", "bpf_kv_register is not allowed"),
    ],
)
def test_the_verifier_refuses(bpf: Bpf, name: str, words: str) -> None:
    with pytest.raises(BpfError, match=words):
        bpf.load(name)


def test_other_calls_are_allowed_where_keys_are_not_read(bpf: Bpf) -> None:
    bpf.load("cpumask_traced")


def test_a_tracing_program_reads(bpf: Bpf, nic: Nic, seed: int) -> None:
    """What XDP stored; of a key that is not there it says so."""
    lines = [
        *scripts(STORE, EACH),
        f"mkdir {TRACED.directory}",
        f"{TRACED.load()} autoattach",
    ]
    way = lay(bpf, nic, STORE.name, "pass", lines, observed=[nic.device])
    way.capture(random_frames(len(STORED), seed))
    seen = {
        int.from_bytes(key, "little"): struct.unpack("<iI8s", value)
        for key, value in bpf.dump(TRACED.map("seen")).items()
    }
    for number, stored in STORED.items():
        returned, _, value = seen[number]
        if 7 in stored:
            assert value[:returned] == stored[7]
        else:
            assert returned == -2


@SLOW
def test_an_action_reads(bpf: Bpf, nic: Nic, seed: int) -> None:
    lines = [
        TC.load(),
        *reading(SECOND),
        *scripts(STORE, EACH),
        f"tc qdisc replace dev {nic.device} clsact",
        f"tc filter add dev {nic.device} ingress pref 1 bpf object-pinned {TC.program('first')}"
        f" action bpf object-pinned {TC.program('second_in_action')} continue",
    ]
    way = lay(bpf, nic, STORE.name, "pass", lines, observed=[nic.device])
    way.capture(random_frames(len(STORED), seed))
    assert held(bpf.dump(TC.map("scripts")), SECOND) == holding()


@SLOW
def test_a_mirrored_packet_has_them(bpf: Bpf, nic: Nic, seed: int) -> None:
    passage = by_veth()
    lines = [
        TC.load(),
        *reading(SECOND),
        *scripts(STORE, EACH),
        *passage.lines,
        f"tc qdisc replace dev {nic.device} clsact",
        f"tc filter add dev {nic.device} ingress pref 1 bpf object-pinned {TC.program('first')}"
        " action mirred egress mirror dev v0",
        *at_ingress(TC.program("second"), passage.exit),
    ]
    way = lay(bpf, nic, STORE.name, "pass", lines, observed=[passage.exit])
    way.capture(random_frames(len(STORED), seed))
    assert held(bpf.dump(TC.map("scripts")), SECOND) == holding()
