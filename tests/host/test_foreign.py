# SPDX-License-Identifier: GPL-2.0-only
"""What the series has in headers compiles for other machines, whose structs have other paddings."""

from pathlib import Path

import pytest

from harness.native.other_machines import KERNELS, Kernel, compile_files

FILES = ("net/core/xdp.c", "net/core/bpf_kv.c")  # with include/net/xdp.h and its static_asserts


@pytest.mark.parametrize("kernel", KERNELS, ids=[kernel.name for kernel in KERNELS])
def test_it_compiles(tree: Path, objects: Path, kernel: Kernel) -> None:
    compile_files(tree, objects / kernel.arch, kernel, FILES)
