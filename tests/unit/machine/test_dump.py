# SPDX-License-Identifier: GPL-2.0-only
"""A dump as QEMU writes it, made one that readers take; tests/lab has the real thing."""

import io
import struct

import pytest

from harness.core.errors import LabError
from harness.machine.dump import reassemble

HEADER = b"KDUMP   " + struct.pack("<I", 6) + bytes(4 * 65) + b"x86_64".ljust(65, b"\0") + bytes(65)
NOTE = b"\0VMCOREINFO\0OSRELEASE=6.12.117+\nPAGESIZE=4096\n"


def flattened(*parts: tuple[int, bytes], end: bool = True) -> bytes:
    told = b"".join(struct.pack(">qq", place, len(data)) + data for place, data in parts)
    return b"makedumpfile".ljust(4096, b"\0") + told + (struct.pack(">qq", -1, -1) if end else b"")


def whole(flat: bytes) -> bytes:
    out = io.BytesIO()
    reassemble(io.BytesIO(flat), out)
    return out.getvalue()


def test_parts_are_where_they_belong_in_whatever_order() -> None:
    made = whole(flattened((8192, b"pages"), (0, HEADER), (4096, NOTE)))
    assert made[:8] == b"KDUMP   "
    assert made[4096 : 4096 + len(NOTE)] == NOTE
    assert made[8192:] == b"pages"


def test_its_header_says_of_which_kernel_it_is() -> None:
    made = whole(flattened((0, HEADER), (4096, NOTE)))
    names = [made[12 + 65 * at :][:65].rstrip(b"\0") for at in range(6)]
    assert names == [b"Linux", b"guest", b"6.12.117+", b"#1", b"x86_64", b"-"]


@pytest.mark.parametrize("flat", [b"", b"ELF", flattened((0, HEADER), end=False)])
def test_what_is_no_dump(flat: bytes) -> None:
    with pytest.raises(LabError, match="QEMU's dump is"):
        whole(flat)
