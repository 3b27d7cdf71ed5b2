# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel's own tests say of themselves, as the lab reads it."""

import contextlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import BinaryIO
from unittest.mock import Mock

import pytest

from harness.artefacts.selftests import NET, TESTS, Selftest
from harness.testing import selftests
from harness.testing.selftests import Selftests, command, outcomes
from tests.selftests import test_of_the_kernel

KV = Selftest("xdp_kv", TESTS / "xdp_kv.c")
VETH = Selftest("veth.sh", NET / "veth.sh")
PRINTED = """\
WARNING! Selftests relying on bpf_testmod.ko will be skipped.
test_kv:PASS:open and load 0 nsec
#541/1   xdp_kv/calls:OK
#541/2   xdp_kv/two words:SKIP
test_kv:FAIL:value unexpected value: actual 1 != expected 2
#541/3   xdp_kv/bounds:FAIL
#541     xdp_kv:FAIL

All error logs:
#541/3   xdp_kv/bounds:FAIL
#541     xdp_kv:FAIL
Summary: 0/1 PASSED, 1 SKIPPED, 1 FAILED
"""


def test_each_part_has_an_outcome() -> None:
    assert outcomes(KV, 1, PRINTED) == {
        "xdp_kv/calls": "OK",
        "xdp_kv/two words": "SKIP",
        "xdp_kv/bounds": "FAIL",
        "xdp_kv": "FAIL",
    }


@pytest.mark.parametrize(
    ("status", "printed", "came"),
    [
        (0, "#1       xdp_kv:OK\n", "OK"),
        (0, "#1       xdp_kv:SKIP\n", "SKIP"),
        (0, "#1       xdp_kv:OK (SKIP: 1/3)\n", "OK"),  # parts of it were
        (127, "./test_progs: no such library\n", "BROKE"),
        (1, "#1       xdp_kv:OK\n", "FAIL"),
        (139, "#1/1     xdp_kv/calls:OK\n", "FAIL"),  # it crashed
        (0, "Summary: 0/0 PASSED, 0 SKIPPED, 0 FAILED\n", "FAIL"),  # it has no such test
        (0, "#1       xdp_kv_of_another:OK\n", "FAIL"),
    ],
)
def test_a_test_that_did_not_say_ok_is_none(status: int, printed: str, came: str) -> None:
    assert outcomes(KV, status, printed)["xdp_kv"] == came


@pytest.mark.parametrize(("status", "came"), [(0, "OK"), (4, "SKIP"), (1, "FAIL"), (126, "BROKE")])
def test_a_script_says_it_by_its_status(status: int, came: str) -> None:
    assert outcomes(VETH, status, "#1 veth.sh:OK\n") == {"veth.sh": came}


def test_each_runs_where_its_files_are() -> None:
    here = "LD_LIBRARY_PATH=/tmp/selftests/lib"
    of_bpf, of_net = command(KV, emulated=False), command(VETH, emulated=False)
    assert of_bpf.endswith(f"cd /tmp/selftests/bpf && {here} ./test_progs -a xdp_kv 2>&1")
    assert of_net.endswith(f"cd /tmp/selftests/net && {here} ./veth.sh 2>&1")
    assert "KSFT_MACHINE_SLOW" not in of_net
    assert command(VETH, emulated=True).startswith("export KSFT_MACHINE_SLOW=yes; ")


def test_what_can_not_be_copied_into_the_guest_did_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share, copy = tmp_path / "share", tmp_path / "copy"
    monkeypatch.setattr(selftests, "SHARED", str(share))
    monkeypatch.setattr(selftests, "COPY", str(copy))

    def came() -> str:
        done = subprocess.run(["sh", "-c", command(VETH, emulated=False)], stderr=subprocess.PIPE)
        return outcomes(VETH, done.returncode, "")["veth.sh"]

    assert came() == "BROKE"
    (share / "net").mkdir(parents=True)
    (share / "net/veth.sh").write_text("#!/bin/sh\ntouch beside; exit 4\n")
    (share / "net/veth.sh").chmod(0o755)
    assert came() == "SKIP"
    assert (copy / "net/beside").exists() and not (share / "net/beside").exists()
    shutil.rmtree(share)
    assert came() == "SKIP", "copied once"


@pytest.mark.parametrize("word", ["OK", "SKIP", "FAIL"])
def test_what_came_is_known_whatever_comes_of_the_test(tmp_path: Path, word: str) -> None:
    plugin = Selftests([KV], [], tmp_path / "came.json", tmp_path)
    said = f"#1/1     xdp_kv/calls:{word}\n#1       xdp_kv:{word}\n"

    def stream(line: str, stdin: None, stdout: BinaryIO, stderr: BinaryIO) -> int:
        stdout.write(said.encode())
        return int(word == "FAIL")

    judged: type[BaseException] = {"FAIL": AssertionError}.get(word, pytest.skip.Exception)
    ends = contextlib.nullcontext() if word == "OK" else pytest.raises(judged, match="xdp_kv/calls")
    with ends:
        test_of_the_kernel.test_selftest(Mock(stream=stream), Mock(), KV, plugin)
    assert plugin.came == {"xdp_kv/calls": word, "xdp_kv": word}
    assert plugin.log(KV).read_text() == said


CASES = """
    import pytest
    from harness.core.errors import LabError

    def test_selftest(selftest, selftests):
        if selftest.name == "broken":
            selftests.log(selftest).write_text("its last words")
            raise LabError("the guest is gone")
        if selftest.name == "complained":
            selftests.came[selftest.name] = "OK"
            pytest.fail("the kernel complained", pytrace=False)
        selftests.came[selftest.name] = "OK"
"""


def test_what_the_lab_ends_is_told_from_what_fails_by_itself(pytester: pytest.Pytester) -> None:
    names = ("fine", "broken", "complained")
    tests = [Selftest(name, TESTS / "x.c") for name in names]
    record = pytester.path / "came.json"
    plugin = Selftests(tests, [], record, pytester.path)
    pytester.makepyfile(CASES)
    pytester.inline_run("-p", "no:terminal", "-W", "ignore", plugins=[plugin])
    assert json.loads(record.read_text()) == {
        "fine": "OK",
        "broken": "BROKE",
        "complained": "BROKE",
    }
    printed = plugin.log(tests[1]).read_text()
    assert "its last words" in printed and "the guest is gone" in printed
