# SPDX-License-Identifier: GPL-2.0-only
"""What is left by a kill, and what a person is told."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.artefacts import stale
from harness.core import host
from harness.core.errors import LabError, unexpected
from harness.core.run import CommandFailed, run

SECOND = 10**9


def _write(path: Path, at: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    os.utime(path, ns=(at * SECOND, at * SECOND))
    return path


def test_only_what_a_kill_may_have_halved_is_removed(tmp_path: Path) -> None:
    """A build that began at 100 s and was killed at 200 s."""
    _write(tmp_path / ".lab-started", 100)
    keep = [
        _write(tmp_path / "old.o", 50),
        _write(tmp_path / "tools/objtool/objtool", 110),
        _write(tmp_path / "done.o", 120),
        _write(tmp_path / ".done.o.cmd", 121),
        _write(tmp_path / "late.o", 195),
        _write(tmp_path / ".late.o.cmd", 196),
        _write(tmp_path / "include/config/auto.conf", 199),
    ]
    gone = [
        _write(tmp_path / "half.o", 150),
        _write(tmp_path / "linked-at-the-end", 195),
        _write(tmp_path / ".cut.o.cmd", 200),
    ]
    _write(tmp_path / ".half.o.cmd", 60)
    stale.remove_half_written(tmp_path)
    assert [path for path in keep if not path.exists()] == []
    assert [path for path in gone if path.exists()] == []


def test_a_complete_build_loses_nothing(tmp_path: Path) -> None:
    made = _write(tmp_path / "objtool", 110)
    stale.remove_half_written(tmp_path)
    assert made.exists()


def test_a_program_may_clean_up_at_the_deadline(tmp_path: Path) -> None:
    half = tmp_path / "half"
    script = f"trap 'rm {half}; exit 1' TERM; touch {half}; while :; do sleep 0.01; done"
    with pytest.raises(CommandFailed, match=r"not done after 0\.2 s"):
        run(["sh", "-c", script], deadline=0.2)
    assert not half.exists()


def test_a_program_hears_of_the_end_of_the_lab(tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    script = f"trap 'touch {heard}; exit' TERM; touch {tmp_path}/up; while :; do sleep 0.01; done"
    lab = f"from harness.core.run import run; run(['sh', '-c', {script!r}], deadline=60)"
    process = subprocess.Popen([sys.executable, "-c", lab])
    _wait_for(tmp_path / "up")
    process.kill()
    process.wait()
    _wait_for(heard)


def _wait_for(path: Path) -> None:
    end = time.monotonic() + 5
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.01)


def test_a_defect_of_the_lab_is_one_line_and_a_log() -> None:
    try:
        raise TypeError("of the lab")
    except TypeError as error:
        told: LabError = unexpected(error)
    assert told.log is not None
    assert "Traceback" in told.log.read_text()
    told.log.unlink()
    assert told.render().startswith("error: TypeError: of the lab\nhint: a defect of the lab")


def test_a_full_disk_has_a_remedy_that_loses_nothing(tmp_path: Path) -> None:
    with pytest.raises(LabError) as full:
        host.require_space(tmp_path, 1e9, "a kernel")
    for hint in (unexpected(OSError(28, "No space left on device")).hint, full.value.hint):
        assert "./lab clean, or rm -r build/*/obj build/downloads, which are made anew" in hint
