# SPDX-License-Identifier: GPL-2.0-only
"""struct skb_record in C and its Python twin: same names, offsets, sizes."""

import dataclasses
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from harness.datapath import skb
from harness.datapath.packets import build, random_flows

HEADER = Path(__file__).parents[3] / "bpf-progs" / "skb_record.h"

Layout = dict[str, tuple[int, int]]


def layout_in_c(header: Path, directory: Path) -> tuple[Layout, int]:
    """{field: (offset, size)} of the twin's fields as gcc lays them out, and the record's size."""
    gcc = shutil.which("gcc")
    assert gcc, "gcc is not installed, and the kernel's build needs it as well"
    prints = "\n".join(
        f'printf("{name} %zu %zu\\n", offsetof(struct skb_record, {name}),'
        f" sizeof(((struct skb_record *)0)->{name}));"
        for name, _ in skb.LAYOUT
    )
    source = (
        "#include <stddef.h>\n#include <stdio.h>\n#include <linux/types.h>\n"
        f'#include "{header.name}"\n'
        f'int main(void) {{ {prints} printf("%zu\\n", sizeof(struct skb_record)); return 0; }}\n'
    )
    program = directory / "layout"
    subprocess.run(
        [gcc, "-Wall", "-Werror", "-I", header.parent, "-x", "c", "-", "-o", program],
        input=source.encode(),
        check=True,
        timeout=30,
    )
    printed = subprocess.run([program], capture_output=True, check=True, timeout=30).stdout
    *fields, size = printed.decode().splitlines()
    layout = {}
    for line in fields:
        name, offset, width = line.split()
        layout[name] = (int(offset), int(width))
    return layout, int(size)


def layout_in_python() -> Layout:
    layout = {}
    so_far = "<"
    for name, code in skb.LAYOUT:
        layout[name] = (struct.calcsize(so_far), struct.calcsize("<" + code))
        so_far += code
    return layout


def test_the_twins_agree(tmp_path: Path) -> None:
    layout, size = layout_in_c(HEADER, tmp_path)
    assert layout == layout_in_python()
    assert size == skb.SIZE
    # No hole and no field that the twin doesn't know: the sizes add up.
    assert sum(width for _, width in layout.values()) == size


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("__u32 hash;\n\t__u32 mark;", "__u32 mark;\n\t__u32 hash;"),
        ("__u8 pkt_type;", "__u16 pkt_type;"),
        ("__u32 meta;", "__u16 napi_id;\n\t__u16 meta;"),
        ("__u16 vlan_tci;", "__u16 vlan_id;"),
    ],
    ids=["swapped", "widened", "added", "renamed"],
)
def test_a_change_on_one_side_is_seen(old: str, new: str, tmp_path: Path) -> None:
    text = HEADER.read_text()
    assert old in text
    changed = tmp_path / "skb_record.h"
    changed.write_text(text.replace(old, new))
    try:
        layout, _ = layout_in_c(changed, tmp_path)
    except subprocess.CalledProcessError:
        return
    assert layout != layout_in_python()


def test_every_field_is_in_the_class() -> None:
    fields = [field.name for field in dataclasses.fields(skb.SkbRecord)]
    assert fields == [name for name, _ in skb.LAYOUT]


def test_a_record_is_read_field_by_field() -> None:
    (flow,) = random_flows(1, seed=1)
    frame = build(flow, 0x0102).data
    values = list(range(1, len(skb.LAYOUT)))  # each field another value
    values[18] = len(frame)
    record = skb.SkbRecord.from_bytes(struct.pack(skb.FORMAT, *values, frame))
    assert [record.tstamp, record.hwtstamp, record.hash, record.mark] == [1, 2, 3, 4]
    assert [record.len, record.ifindex, record.cpu, record.queue_mapping] == [5, 6, 7, 8]
    assert [record.protocol, record.vlan_proto, record.vlan_tci] == [9, 10, 11]
    assert [record.l4_hash, record.sw_hash, record.vlan_present] == [12, 13, 14]
    assert [record.pkt_type, record.meta_len, record.pfmemalloc] == [15, 16, 17]
    assert record.has_sender == 18
    assert record.data_len == len(frame)
    assert record.data == frame
    assert record.id == 0x0102


def test_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="184 bytes, not 183"):
        skb.SkbRecord.from_bytes(bytes(183))
