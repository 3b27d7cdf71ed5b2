# SPDX-License-Identifier: GPL-2.0-only
"""No verdict is green that should not be: tests about the tests' own ground."""

import pytest

from harness import fixtures
from harness.bpf import Bpf, BpfError
from harness.fixtures import Bench
from harness.machines import Machines
from harness.packets import Frame
from harness.suite import Verdict
from harness.topology import CaptureError, Nic, To, redirect

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
    with Machines(bench.start) as machines:
        verdict = Verdict(Bench(machines, bench.objects, bench.start))
        run = pytester.inline_run("-p", "no:cacheprovider", plugins=[fixtures, verdict])
    passed, skipped, failed = run.listoutcomes()
    assert [report.nodeid.partition("::")[2] for report in passed] == ["test_afterwards"]
    assert skipped == []
    assert [report.nodeid.partition("::")[2] for report in failed] == ["test_that_ends_the_guest"]


def test_a_frame_that_is_lost_is_no_empty_capture(bpf: Bpf, nic: Nic) -> None:
    way = redirect(bpf, nic, "redirect_plain", To.VETH)
    foreign = bytes.fromhex("ffffffffffff 525400000099 0800") + bytes(60)
    with pytest.raises(CaptureError, match="0 frames of 1 were seen"):
        way.capture([Frame(0, foreign)], seconds=1)


def test_the_verifiers_words_are_shown(bpf: Bpf) -> None:
    with pytest.raises(BpfError, match=r"calling kernel function|device-bound"):
        bpf.load("redirect_hash")
