# SPDX-License-Identifier: GPL-2.0-only
"""A program's end, and that of its deadline, whatever it left running."""

import time
from pathlib import Path

import pytest

from harness.core import run as module
from harness.core.run import CommandFailed, run

LONG = 60  # seconds that what is left running holds the pipe
SOON = 20.0  # seconds: far from the above, whatever else this machine does


@pytest.fixture(params=["", "setsid "], ids=["in its group", "in a session of its own"])
def left(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A line of sh that leaves a program running, which holds the pipe until the test's end."""
    script = tmp_path / "left"
    script.write_text(f"trap '' TERM\nend=$(($(date +%s) + {LONG}))\n"
                      f"while [ -e {tmp_path}/left ] && [ $(date +%s) -lt $end ]; do\n"
                      "sleep 0.05; done\n")  # fmt: skip
    request.addfinalizer(script.unlink)
    return f"{request.param}sh {script} & "


def test_an_end_is_one_whatever_was_left_running(left: str) -> None:
    started = time.monotonic()
    assert run(["sh", "-c", f"echo before; {left} echo after"], deadline=LONG) == "before\nafter\n"
    assert time.monotonic() - started < SOON


def test_so_is_a_failure(left: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(CommandFailed, match="exit status 3") as caught:
        run(["sh", "-c", f"{left} echo why; exit 3"], deadline=LONG, log=log)
    assert caught.value.output == "why\n"
    assert log.read_text().endswith("\nwhy\n")


def test_a_deadline_is_one_whatever_was_left_running(
    left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE", 0.5)
    started = time.monotonic()
    with pytest.raises(CommandFailed, match="not done after 3 s") as caught:
        run(["sh", "-c", f"echo first; {left} sleep {LONG}"], deadline=3)
    assert time.monotonic() - started < SOON
    assert caught.value.output == "first\n"


def test_what_it_prints_while_it_ends_is_heard(tmp_path: Path) -> None:
    """More than a pipe holds: else it would hang there, and be killed before it has cleaned up."""

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    trap = "trap 'head -c 300000 /dev/zero; echo cleaned up; exit' TERM"
    script = f"{trap}; echo ready; while :; do sleep 0.01; done"
    with pytest.raises(KeyboardInterrupt):
        run(["sh", "-c", script], deadline=LONG, log=tmp_path / "log", on_line=interrupt)
    assert (tmp_path / "log").read_bytes().endswith(b"\0cleaned up\n")


def test_lines_are_told_as_they_come_and_the_last_needs_no_end() -> None:
    told: list[str] = []
    printed = run(["printf", r"one\ntwo\r2\n\303\274 three"], deadline=10, on_line=told.append)
    assert told == ["one\n", "two\r2\n", "\u00fc three"]
    assert printed == "".join(told)


def test_what_is_done_with_a_line_may_fail() -> None:
    def refuse(line: str) -> None:
        raise BrokenPipeError

    started = time.monotonic()
    with pytest.raises(BrokenPipeError):
        run(["sh", "-c", f"echo one; sleep {LONG}"], deadline=LONG, on_line=refuse)
    assert time.monotonic() - started < SOON


def test_a_program_that_closes_its_output_is_waited_for() -> None:
    with pytest.raises(CommandFailed, match="exit status 4"):
        run(["sh", "-c", "exec >&- 2>&-; sleep 0.1; exit 4"], deadline=LONG)


def test_output_that_is_no_text_goes_to_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    script = "head -c 300000 /dev/zero; echo said >&2"
    assert run(["sh", "-c", script], deadline=LONG, stdout=file) == "said\n"
    assert file.read_bytes() == bytes(300000)
