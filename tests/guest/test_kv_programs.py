# SPDX-License-Identifier: GPL-2.0-only
"""The store in programs of each kind, and its constants in the kernel's BTF."""

import struct

from harness.bpf import Bpf, Object, attach, extend, run_once
from harness.devices import Nic
from harness.fixtures import SLOW
from harness.hints import UNSET, seen
from harness.kvcases import STORE, STORED, check_first, given, hints_of, read
from harness.kvscript import SECOND, done
from harness.packets import random_frames
from harness.topology import lay

CONSTANTS = Object("kv_constants")
DISPATCHER = Object("dispatcher")


def test_the_constants_are_in_btf(bpf: Bpf) -> None:
    """As libbpf finds them for a program that was compiled elsewhere."""
    bpf.run([CONSTANTS.load(), run_once(CONSTANTS.program("say"), b"", bytes(64))])
    (value,) = bpf.dump(CONSTANTS.map("constants")).values()
    names = "NOEXIST", "REPLACE", "HW_HASH", "HW_VLAN", "HW_TIMESTAMP"
    assert dict(zip(names, struct.unpack("<5I", value), strict=True)) == {
        "NOEXIST": 1,
        "REPLACE": 2,
        "HW_HASH": 64,
        "HW_VLAN": 65,
        "HW_TIMESTAMP": 66,
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
