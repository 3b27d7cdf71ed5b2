# SPDX-License-Identifier: GPL-2.0-only
"""`./lab trace`: what a test had the kernel do is in its file, and nothing of its neighbours."""

from pathlib import Path

import pytest

from harness.commands.trace import Trace
from harness.testing import fixtures
from harness.testing.fixtures import Testbed
from harness.testing.verdict import Verdict

pytestmark = [pytest.mark.slow, pytest.mark.unchanged]

READS = """
def test_version(guest):
    assert guest.sh("cat /proc/version")

def test_uptime(guest):
    assert guest.sh("cat /proc/uptime")

def test_that_fails(guest):
    assert not guest.sh("cat /proc/version")
"""


def traced(
    pytester: pytest.Pytester, testbed: Testbed, directory: Path, *functions: str
) -> tuple[Trace, pytest.HookRecorder]:
    """Those tests, under a trace of these functions."""
    pytester.makepyfile(READS)
    plugin = Trace(functions, directory)
    run = pytester.inline_run(
        "-p",
        "no:cacheprovider",
        plugins=[fixtures, Verdict(testbed), plugin],
        no_reraise_ctrlc=True,
    )
    return plugin, run


def test_each_test_has_a_file_with_what_it_called(
    testbed: Testbed, pytester: pytest.Pytester, tmp_path: Path
) -> None:
    functions = ("version_proc_show", "uptime_proc_*")
    plugin, run = traced(pytester, testbed, tmp_path / "trace", *functions)
    passed, _, failed = run.listoutcomes()
    assert (len(passed), len(failed)) == (2, 1)
    called = {
        file.stem.rpartition("test_")[2]: {
            name for name in ("version_proc_show", "uptime_proc_show") if name in file.read_text()
        }
        for file in plugin.files
    }
    version = {"version_proc_show"}
    assert called == {"version": version, "uptime": {"uptime_proc_show"}, "that_fails": version}
    machine = testbed.duts.machine
    assert machine is not None
    assert machine.guest.sh("cat /sys/kernel/tracing/current_tracer") == "nop\n"


def test_what_an_earlier_trace_left_goes(tmp_path: Path) -> None:
    (tmp_path / "old.trace").touch()
    Trace(["f"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_function_that_the_kernel_has_not_ends_it(
    testbed: Testbed, pytester: pytest.Pytester, tmp_path: Path
) -> None:
    plugin, run = traced(pytester, testbed, tmp_path, "version_proc_show", "no_such_function")
    assert plugin.refused is not None
    assert "no_such_function" in plugin.refused.message
    assert run.listoutcomes()[0] == []
