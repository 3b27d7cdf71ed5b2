# SPDX-License-Identifier: GPL-2.0-only
"""Which tests a change concerns, and what a run of the suite says at its end."""

from pathlib import Path

import pytest

from harness.commands.suite_process import summary
from harness.commands.watch import in_order


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    directory = tmp_path / "guest"
    directory.mkdir()
    (directory / "test_adjust.py").write_text('way = redirect("use_headroom", To.CPU)\n')
    (directory / "test_pass.py").write_text('"""virtio_net and veth."""\n')
    (directory / "test_plain.py").write_text('way = redirect("plain", To.VETH)\n')
    return directory


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    directory = tmp_path / "bpf-progs"
    directory.mkdir()
    (directory / "lab.h").write_text("#define LAB 1\n")
    (directory / "hints.h").write_text('#include "lab.h"\n#include <bpf/bpf_helpers.h>\n')
    (directory / "use_headroom.bpf.c").write_text('#include "hints.h"\n')
    (directory / "plain.bpf.c").write_text("int plain;\n")
    return directory


def names(changed: list[Path], tests: Path, programs: Path) -> list[str]:
    return [path.stem.removeprefix("test_") for path in in_order(changed, tests, programs)]


def test_without_a_change_all_come_by_name(tests: Path, programs: Path) -> None:
    assert names([], tests, programs) == ["adjust", "pass", "plain"]


def test_a_changed_test_comes_first(tests: Path, programs: Path) -> None:
    assert names([tests / "test_plain.py"], tests, programs) == ["plain", "adjust", "pass"]


def test_then_those_that_name_a_kernel_file(tests: Path, programs: Path) -> None:
    changed = [Path("/linux/drivers/net/veth.c")]
    assert names(changed, tests, programs) == ["pass", "adjust", "plain"]


def test_a_name_inside_a_longer_one_does_not_count(tests: Path, programs: Path) -> None:
    assert names([Path("/linux/net/head.c")], tests, programs) == ["adjust", "pass", "plain"]


def test_a_programs_tests_come_first(tests: Path, programs: Path) -> None:
    assert names([programs / "plain.bpf.c"], tests, programs) == ["plain", "adjust", "pass"]


def test_a_header_concerns_the_programs_that_include_it_by_way_of_others(
    tests: Path, programs: Path
) -> None:
    (tests / "test_adjust.py").rename(tests / "test_z.py")
    assert names([programs / "lab.h"], tests, programs) == ["z", "pass", "plain"]


@pytest.mark.parametrize(
    ("printed", "verdict"),
    [
        ("..F\n1 failed, 85 passed in 38.80s\n", "1 failed, 85 passed in 38.80s"),
        ("===== 86 passed, 2 subtests passed in 9.00s (0:00:09) =====\n",
         "86 passed, 2 subtests passed in 9.00s"),
        ("boot ...\nerror: no boot\nhint: none\n", "error: no boot"),
        ("killed", "no verdict"),
    ],
)  # fmt: skip
def test_the_verdict_is_the_last_line_of_pytest_or_the_labs_error(
    printed: str, verdict: str
) -> None:
    assert summary(printed) == verdict
