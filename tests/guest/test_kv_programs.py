# SPDX-License-Identifier: GPL-2.0-only
"""The store in programs of each kind, and what the verifier knows of it."""

import struct

import pytest

from harness.bpf import Bpf, BpfError, Object, run_once

CONSTANTS = Object("kv_constants")


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


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kv_in_tc", "bpf_xdp_kv_set is not allowed"),
        ("kv_from_rodata", "write into map forbidden"),
    ],
)
def test_the_verifier_refuses(bpf: Bpf, name: str, words: str) -> None:
    with pytest.raises(BpfError, match=words):
        bpf.load(name)
