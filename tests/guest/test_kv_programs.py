# SPDX-License-Identifier: GPL-2.0-only
"""The store in programs of each kind, and its constants in the kernel's BTF."""

import struct

from harness.api import (
    SLOW,
    Bpf,
    Nic,
    Object,
    attach,
    devmap,
    extend,
    lay,
    random_frames,
    run_once,
    seen,
    veth,
)
from harness.datapath.hints import UNSET, by_nic
from harness.datapath.kv_cases import (
    EACH,
    KEYS,
    READ,
    STORE,
    STORED,
    check_first,
    given,
    hints_of,
    read,
)
from harness.datapath.kv_script import SECOND, THIRD, done, scripts

CONSTANTS = Object("kv_constants")
DISPATCHER = Object("dispatcher")


def test_the_constants_are_in_btf(bpf: Bpf) -> None:
    """As libbpf finds them for a program that was compiled elsewhere."""
    bpf.run([CONSTANTS.load(), run_once(CONSTANTS.program("say"), b"", bytes(64))])
    (value,) = bpf.dump(CONSTANTS.map("constants")).values()
    names = [
        "NOEXIST",
        "REPLACE",
        "HW_HASH",
        "HW_VLAN",
        "HW_TIMESTAMP",
        "CREATE",
        "GRO_FIRST",
        "GRO_LAST",
    ]
    assert dict(zip(names, struct.unpack("<8I", value), strict=True)) == {
        "NOEXIST": 1,
        "REPLACE": 2,
        "HW_HASH": 64,
        "HW_VLAN": 65,
        "HW_TIMESTAMP": 66,
        "CREATE": 1,
        "GRO_FIRST": 2,
        "GRO_LAST": 4,
    }


@SLOW
def test_through_a_tail_call(bpf: Bpf, nic: Nic, seed: int) -> None:
    lines = [
        *given(),
        f"bpftool map update pinned {STORE.map('tails')} key 0 0 0 0"
        f" value pinned {STORE.program('pass_second')}",
    ]
    way = lay(bpf, nic, STORE.name, "tail_call", lines, observed=[nic.device])
    way.capture(random_frames(len(STORED), seed))
    check_first(bpf)
    second = done(bpf.dump(STORE.map("scripts")), SECOND)
    assert second == {number: read(number) for number in STORED}


@SLOW
def test_beside_all_that_the_device_gives(bpf: Bpf, nic: Nic, seed: int) -> None:
    """In a program that is bound to it: neither call takes away what the other stored."""
    both = Object("kv_and_all", nic.device)
    lines = [
        *scripts(both, EACH),
        *scripts(both, READ, THIRD),
        STORE.load(),
        *scripts(STORE, READ, SECOND),
        *veth(napi=False),
        *devmap(both),
        attach(STORE.program("pass_second"), "v1"),
    ]
    way = lay(bpf, nic, both.name, "to_dev", lines, observed=["v1"], bound=True)
    frames = random_frames(len(STORED), seed, kinds=["ipv4/udp"])
    records = way.capture(frames)
    check_first(bpf, both)
    third = done(bpf.dump(both.map("scripts")), THIRD)
    second = done(bpf.dump(STORE.map("scripts")), SECOND)
    assert second == third
    for sent in frames:
        # The device gives a hash, and nothing else.
        given_hash = by_nic(sent, way.rss_key)
        expected = read(sent.id)
        assert second[sent.id][: len(KEYS)] == expected[: len(KEYS)]
        assert second[sent.id][len(KEYS) + 1 :] == expected[len(KEYS) + 1 :]
        shown = seen(records[sent.id])
        assert (shown.hash, shown.l4_hash) == (given_hash.hash, given_hash.l4_hash)


@SLOW
def test_in_extension_programs(bpf: Bpf, nic: Nic, seed: int) -> None:
    """Two that a dispatcher runs in turn, each in the place of one of its functions."""
    dispatch = DISPATCHER.program("dispatch")
    lines = [
        *given(),
        DISPATCHER.load(),
        extend(STORE, "pass", dispatch, "first"),
        extend(STORE, "pass_second", dispatch, "second"),
    ]
    way = lay(bpf, nic, STORE.name, "", lines, observed=[nic.device])
    bpf.run([attach(dispatch, nic.device)])
    records = way.capture(random_frames(len(STORED), seed))
    check_first(bpf)
    second = done(bpf.dump(STORE.map("scripts")), SECOND)
    assert second == {number: read(number) for number in STORED}
    for number in STORED:
        assert seen(records[number]) == hints_of(number).over(UNSET), number
