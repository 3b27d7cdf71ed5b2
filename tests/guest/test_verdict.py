# SPDX-License-Identifier: GPL-2.0-only
"""No verdict is green that should not be: tests about the tests' own ground."""

import pytest

from harness import fixtures
from harness.bpf import Bpf, BpfError
from harness.fixtures import Bench
from harness.machines import Machines, starter
from harness.packets import Frame
from harness.suite import Verdict
from harness.topology import CaptureError, Nic, To, redirect

pytestmark = pytest.mark.unchanged

WARNS = '''
REPORT = """\\
------------[ cut here ]------------
WARNING: CPU: 0 PID: 1 at net/core/xdp.c:1 planted+0x0/0x10
Call Trace:
---[ end trace 0000000000000000 ]---
"""

def test_during_a_warning(guest):
    guest.sh("while read -r line; do echo \\"$line\\" >/dev/kmsg; done", stdin=REPORT.encode())

def test_afterwards(guest):
    guest.sh("echo a harmless BUG >/dev/kmsg")
'''


def test_a_test_fails_if_the_kernel_warns_meanwhile(
    bench: Bench, guest: object, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(WARNS)
    verdict = Verdict(bench)
    run = pytester.inline_run("-p", "no:cacheprovider", plugins=[fixtures, verdict])
    passed, skipped, failed = run.listoutcomes()
    assert [report.nodeid.partition("::")[2] for report in passed] == ["test_afterwards"]
    assert skipped == []
    (report,) = failed
    assert report.nodeid.endswith("test_during_a_warning")
    assert "planted+0x0/0x10" in report.longreprtext
    assert verdict.passed == 1


HANGS = """
def test_that_ends_the_guest(guest):
    guest.run("echo b >/proc/sysrq-trigger", timeout=10)

def test_afterwards(guest):
    assert guest.sh("cat /proc/sys/kernel/ostype") == "Linux\\n"
"""


def test_a_guest_that_is_gone_costs_one_test(bench: Bench, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(HANGS)
    with Machines(starter(bench.artefacts)) as machines:
        verdict = Verdict(Bench(machines, bench.artefacts))
        run = pytester.inline_run("-p", "no:cacheprovider", plugins=[fixtures, verdict])
    passed, skipped, failed = run.listoutcomes()
    assert [report.nodeid.partition("::")[2] for report in passed] == ["test_afterwards"]
    assert skipped == []
    assert [report.nodeid.partition("::")[2] for report in failed] == ["test_that_ends_the_guest"]


BARE = """
import pytest
from harness.bpf import BpfError
from harness.errors import LabError
from harness.topology import CaptureError

@pytest.mark.parametrize("error", [AssertionError, BpfError, CaptureError])
def test_proves_a_patch(error):
    raise error("the patch is not there")

@pytest.mark.unchanged
def test_of_what_was_there_before():
    pass

def test_proves_nothing():
    pass

def test_that_could_not_run():
    raise LabError("the guest is gone")

@pytest.mark.unchanged
def test_that_needs_the_series_by_mistake():
    assert False
"""


def test_without_the_series_tests_fail_but_for_those_of_what_is_unchanged(
    bench: Bench, pytester: pytest.Pytester
) -> None:
    pytester.makeini("[pytest]\nmarkers = unchanged")
    pytester.makepyfile(BARE)
    verdict = Verdict(bench, bare=True)
    run = pytester.inline_run("-p", "no:cacheprovider", plugins=[fixtures, verdict])
    passed, expected, failed = run.listoutcomes()
    assert [report.nodeid.partition("::")[2] for report in passed] == [
        "test_of_what_was_there_before"
    ]
    assert {report.nodeid.partition("::")[2].partition("[")[0] for report in expected} == {
        "test_proves_a_patch"
    }
    assert [report.nodeid.partition("::")[2] for report in failed] == [
        "test_proves_nothing",
        "test_that_could_not_run",
        "test_that_needs_the_series_by_mistake",
    ]
    assert verdict.passed == 4


def test_a_frame_that_is_lost_is_no_empty_capture(bpf: Bpf, nic: Nic) -> None:
    way = redirect(bpf, nic, "redirect_plain", To.VETH)
    foreign = bytes.fromhex("ffffffffffff 525400000099 0800") + bytes(60)
    with pytest.raises(CaptureError, match="0 frames of 1 were seen"):
        way.capture([Frame(0, foreign)], seconds=1)


def test_the_verifiers_words_are_shown(bpf: Bpf) -> None:
    with pytest.raises(BpfError, match=r"calling kernel function|device-bound"):
        bpf.load("redirect_hash")
