# SPDX-License-Identifier: GPL-2.0-only
"""No verdict is green that should not be: tests about the tests' own ground."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from harness.datapath.bpf import Bpf, BpfError
from harness.datapath.devices import Nic
from harness.datapath.packets import Frame, random_frames
from harness.datapath.topology import CaptureError, To, redirect
from harness.machine.options import Options
from harness.machine.session import Machines, starter
from harness.testing import fixtures
from harness.testing.fixtures import Testbed
from harness.testing.suite import run_tests
from harness.testing.verdict import Verdict

pytestmark = pytest.mark.unchanged

WARNS = '''
REPORT = """\\
------------[ cut here ]------------
WARNING: CPU: 0 PID: 1 at net/core/xdp.c:1 planted+0x0/0x10
Call Trace:
 <TASK>
 xdp_do_redirect+0x10/0x400
 </TASK>
---[ end trace 0000000000000000 ]---
"""
SAY = "while IFS= read -r line; do echo \\"$line\\" >/dev/kmsg; done"

def test_over_before_it_is_noticed(guest):
    guest.sh(SAY, stdin=REPORT.encode())

def test_in_a_wait_for_the_guest(guest):
    guest.sh(f"{SAY}; sleep 50", stdin=REPORT.encode(), timeout=55)

def test_in_a_loop_that_expects_errors(guest):
    guest.sh(SAY, stdin=REPORT.encode())
    while True:
        try:
            sum(range(1000))
        except Exception:
            pass

def test_of_a_test_that_fails_besides(guest):
    try:
        guest.sh(SAY, stdin=REPORT.encode())
    finally:  # the report may be seen while this still waits
        assert 1 == 2


def test_afterwards(guest):
    guest.sh("echo a harmless BUG >/dev/kmsg")
'''


def outcomes(
    pytester: pytest.Pytester, testbed: Testbed, source: str
) -> tuple[list[str], dict[str, str]]:
    """The names of the tests of this source that passed, and the text of those that failed."""
    pytester.makepyfile(source)
    verdict = Verdict(testbed)
    run = pytester.inline_run("-p", "no:cacheprovider", plugins=[fixtures, verdict])
    passed, skipped, failed = run.listoutcomes()
    assert skipped == []
    assert verdict.passed == len(passed)
    texts = {report.nodeid.partition("::")[2]: report.longreprtext for report in failed}
    return [report.nodeid.partition("::")[2] for report in passed], texts


@pytest.mark.slow
def test_a_test_fails_if_the_kernel_warns_meanwhile(
    testbed: Testbed, pytester: pytest.Pytester
) -> None:
    passed, failed = outcomes(pytester, testbed, WARNS)
    assert passed == ["test_afterwards"]
    for text in failed.values():
        assert "the kernel complained while this test ran: WARNING" in text
        assert "planted+0x0/0x10" in text
        assert " xdp_do_redirect (net/core/filter.c:" in text
    assert "sleep 50" in failed["test_in_a_wait_for_the_guest"]
    assert "--- the test was at " in failed["test_in_a_loop_that_expects_errors"]
    assert "assert 1 == 2" in failed["test_of_a_test_that_fails_besides"]


@contextmanager
def elsewhere(testbed: Testbed, *, fresh: bool = False) -> Iterator[Testbed]:
    """A testbed with machines of its own."""
    with Machines(starter(testbed.artefacts.plan)) as machines:
        yield replace(testbed, duts=testbed.duts.at(machines, fresh=fresh))


ENDS = """
def test_that_ends_the_guest(guest):
    guest.run("echo b >/proc/sysrq-trigger", timeout=10)

def test_that_panics(guest):
    guest.run("echo c >/proc/sysrq-trigger", timeout=10)

def test_afterwards(guest):
    assert guest.sh("cat /proc/sys/kernel/ostype") == "Linux\\n"
"""


@pytest.mark.slow
def test_a_guest_that_is_gone_costs_one_test(testbed: Testbed, pytester: pytest.Pytester) -> None:
    with elsewhere(testbed) as another:
        passed, failed = outcomes(pytester, another, ENDS)
    assert passed == ["test_afterwards"]
    assert set(failed) == {"test_that_ends_the_guest", "test_that_panics"}
    panic = failed["test_that_panics"]
    assert "Kernel panic - not syncing: sysrq triggered crash" in panic
    assert "sysrq_handle_crash (drivers/tty/sysrq.c:" in panic


PANICS = """
def test_that_panics(guest):
    guest.run("echo c >/proc/sysrq-trigger", timeout=10)
"""


@pytest.mark.slow
@pytest.mark.parametrize("keep", [False, True])
def test_the_memory_of_a_guest_that_panicked_is_kept(
    testbed: Testbed, pytester: pytest.Pytester, tmp_path: Path, keep: bool
) -> None:
    artefacts = testbed.artefacts.with_options(Options(stays=True))
    with Machines(starter(artefacts.plan)) as machines:
        duts = testbed.duts.at(machines)
        duts.keep, duts.dumps = keep, tmp_path
        _, failed = outcomes(pytester, replace(testbed, duts=duts), PANICS)
    (file,) = tmp_path.iterdir()
    assert f"its memory: ./lab drgn {file}" in failed["test_that_panics"]
    assert "Kernel panic - not syncing" in failed["test_that_panics"]
    written = file.read_bytes()
    assert written[:8] == b"KDUMP   "
    assert b"OSRELEASE=" in written
    assert file.stat().st_mode & 0o777 == 0o600


HANGS = """
import pytest

@pytest.mark.deadline(3)
def test_that_hangs(guest):
    guest.sh("kill -STOP $(pidof dropbear) && sleep 50", timeout=55)

def test_afterwards(guest):
    assert guest.sh("cat /proc/sys/kernel/ostype") == "Linux\\n"
"""


@pytest.mark.slow
def test_a_hang_has_a_face_and_costs_one_test(testbed: Testbed, pytester: pytest.Pytester) -> None:
    with elsewhere(testbed) as another:
        passed, failed = outcomes(pytester, another, HANGS)
    assert passed == ["test_afterwards"]
    (text,) = failed.values()
    assert "it did not end in its time" in text
    assert "its last command in the guest: kill -STOP" in text
    for cpu in range(2):
        assert f"NMI backtrace for cpu {cpu}" in text
        assert f"CPU {cpu}\n RAX=" in text
    assert " do_idle (kernel/sched/idle.c:" in text


BARE = """
import pytest
from harness.datapath.bpf import BpfError
from harness.core.errors import LabError
from harness.datapath.topology import CaptureError

@pytest.mark.parametrize("error", [AssertionError, BpfError, CaptureError])
def test_proves_a_patch(error):
    raise error("the patch is not there")

@pytest.mark.unchanged
def test_of_what_was_there_before():
    pass

def test_proves_nothing():
    pass

@pytest.mark.measures
@pytest.mark.parametrize("figure", [1, 2])
def test_that_measures(figure):
    assert figure == 1

def test_that_could_not_run():
    raise LabError("the guest is gone")

@pytest.mark.unchanged
def test_that_needs_the_series_by_mistake():
    assert False
"""


def test_without_the_series_tests_fail_but_for_those_of_what_is_unchanged(
    testbed: Testbed, pytester: pytest.Pytester
) -> None:
    pytester.makeini("[pytest]\nmarkers = unchanged\n measures")
    pytester.makepyfile(BARE)
    verdict = Verdict(testbed, bare=True)
    run = pytester.inline_run("-p", "no:cacheprovider", plugins=[fixtures, verdict])
    passed, expected, failed = run.listoutcomes()
    assert [report.nodeid.partition("::")[2] for report in passed] == [
        "test_of_what_was_there_before",
        "test_that_measures[1]",
    ]
    assert {report.nodeid.partition("::")[2].partition("[")[0] for report in expected} == {
        "test_proves_a_patch",
        "test_that_measures",
    }
    assert [report.nodeid.partition("::")[2] for report in failed] == [
        "test_proves_nothing",
        "test_that_could_not_run",
        "test_that_needs_the_series_by_mistake",
    ]
    assert verdict.passed == 6


LEAVES = """
def test_first(guest):
    guest.sh("touch /tmp/left")

def test_second(guest):
    guest.sh("[ -e /tmp/left ]")
"""


@pytest.mark.slow
@pytest.mark.parametrize("fresh", [False, True])
def test_each_module_or_each_test_has_a_pristine_machine(
    testbed: Testbed, pytester: pytest.Pytester, fresh: bool
) -> None:
    pytester.makepyfile(test_one=LEAVES, test_two="from test_one import test_second")
    with elsewhere(testbed, fresh=fresh) as another:
        verdict = Verdict(another)
        run = pytester.inline_run("-p", "no:cacheprovider", plugins=[fixtures, verdict])
    _, _, failed = run.listoutcomes()
    names = [report.nodeid for report in failed]
    lost = ["test_one.py::test_second"] if fresh else []
    assert names == [*lost, "test_two.py::test_second"]


FAILS = """
def test_fails(guest):
    assert guest.sh("echo one") == "another"
"""


@pytest.mark.slow
def test_the_first_failure_ends_a_run_side_by_side(
    testbed: Testbed, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(test_one=FAILS, test_two=FAILS)
    with elsewhere(testbed) as another:
        assert not run_tests(another, ["-x", "test_one.py", "test_two.py"], at_once=2)


def test_a_frame_that_is_lost_is_no_empty_capture(bpf: Bpf, nic: Nic) -> None:
    way = redirect(bpf, nic, "redirect_plain", To.VETH)
    foreign = bytes.fromhex("ffffffffffff 525400000099 0800") + bytes(60)
    with pytest.raises(CaptureError, match="0 frames of 1 were seen"):
        way.capture([Frame(0, foreign)], seconds=1)


def test_more_frames_are_captured_than_a_veth_holds(bpf: Bpf, nic: Nic, seed: int) -> None:
    """Also when the veth's peer runs late: by a thread, so after what else fills its ring."""
    late = "echo 1 >/sys/class/net/v1/threaded"
    way = redirect(bpf, nic, "redirect_plain", To.VETH, lines=[late])
    frames = random_frames(1000, seed)
    assert len(way.capture(frames)) == 1000


def test_the_verifiers_words_are_shown(bpf: Bpf) -> None:
    with pytest.raises(BpfError, match=r"calling kernel function|device-bound"):
        bpf.load("redirect_hash")
