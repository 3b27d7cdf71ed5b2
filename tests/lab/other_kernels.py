# SPDX-License-Identifier: GPL-2.0-only
"""Kernels that the series is not for, as a user of `build --tree` has them. Run by its name.

Each is built as README says, and then goes back to what was built before. A kernel takes 20
minutes on two slow processors, and 5 GiB:

    .venv/bin/python -m pytest -m '' tests/lab/other_kernels.py
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.artefacts import apt
from harness.core.run import run
from harness.core.workspace import ROOT, build_root

SOURCES = {
    "6.12": apt.Source("linux-source-6.12", "6.12.117-1~deb12u1", "bookworm-security"),
    "7.3": apt.Source("linux-source-7.3", "7.3.4-1~bpo13+1", "trixie-backports"),
    "6.1": apt.Source("linux-source-6.1", "6.1.192-3", "bookworm-security"),
}
BUILD_SECONDS, TEST_SECONDS = 3600.0, 900.0
# Where there is no observer, which wants kfuncs of 6.2: the counters of the veth.
COUNTED = """
from harness.api import Object, attach, devmap, random_frames, veth

def test_redirected_frames_are_counted(bpf, nic):
    plain = Object("redirect_plain")
    lines = [*veth(), plain.load(), *devmap(plain), f"ip link set dev {nic.device} promisc on up"]
    bpf.run([*lines, attach(plain.program("to_dev"), nic.device)])
    nic.send(random_frames(100, seed=1))
    count = "$(cat /sys/class/net/v1/statistics/rx_packets)"
    bpf.run([f"until [ {count} -ge 100 ]; do sleep 0.01; done"])
"""


def lab(*words: str, seconds: float = TEST_SECONDS) -> str:
    """What ./lab prints; its failure is the test's."""
    return run([ROOT / "lab", *words], cwd=ROOT, deadline=seconds)


@pytest.fixture
def built(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """What the build of a kernel's tree prints."""
    source = SOURCES[request.param]
    tree = build_root() / "kernels" / f"{source.package}_{source.version}"
    if not tree.exists():
        tarball, version = apt.fetch(source, build_root() / "downloads", tmp_path / "log")
        missing = build_root() / "downloads" / f"{source.package}_{source.version}.tar.xz"
        assert version == source.version, f"apt has {version}: put the tarball at {missing}"
        beside = tmp_path / "tree"
        beside.mkdir()
        run(["tar", "-xf", tarball, "--strip-components=1", "-C", beside], deadline=300)
        tree.parent.mkdir(exist_ok=True)
        shutil.move(beside, tree)
    chosen = build_root() / "selection.json"
    before = chosen.read_text() if chosen.exists() else None
    try:
        yield lab("build", "--tree", str(tree), seconds=BUILD_SECONDS)
    finally:
        chosen.unlink(missing_ok=True) if before is None else chosen.write_text(before)


@pytest.mark.parametrize("built", ["6.12", "7.3"], indirect=True)
def test_what_needs_nothing_of_the_series_passes(built: str) -> None:
    printed = lab("test")
    found = re.search(r"tests     (\d+) of (\d+) need nothing of the series", printed)
    assert found, printed
    passed = re.search(r"(\d+) passed", printed)
    assert passed
    assert 0 < int(passed[1]) <= int(found[1]) < int(found[2])


@pytest.mark.parametrize("built", ["6.1"], indirect=True)
def test_a_kernel_without_the_kfuncs_of_the_observer(built: str, tmp_path: Path) -> None:
    assert lab("shell", "uname", "-r").startswith("6.1.")
    test = tmp_path / "test_counted.py"
    test.write_text(COUNTED)
    assert "1 passed" in lab("test", "--", str(test))
