# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's own tests, tools/testing/selftests, one after the other in a guest."""

import pytest

from harness.artefacts.selftests import Selftest
from harness.core.errors import EXIT_BAD_CALL
from harness.machine.ssh.guest import Guest
from harness.testing.fixtures import Testbed
from harness.testing.selftests import OK, SKIP, Selftests, command, outcomes

SECONDS = 300.0  # for one of them; the longest, gro.sh, took 34 s on an emulated CPU


@pytest.fixture
def selftest() -> Selftest:
    """One of the kernel's tests; the verb tells which there are."""
    pytest.exit("the kernel's own tests are run by ./lab selftests", EXIT_BAD_CALL)


@pytest.mark.deadline(SECONDS)
def test_selftest(guest: Guest, testbed: Testbed, selftest: Selftest, selftests: Selftests) -> None:
    emulated = testbed.artefacts.accelerator.name != "kvm"
    with selftests.log(selftest).open("w+b") as printed:  # there, too, if this is interrupted
        status = guest.stream(command(selftest, emulated=emulated), None, printed, printed)
        printed.seek(0)
        output = printed.read().decode(errors="replace")
    came = outcomes(selftest, status, output)
    selftests.came.update(came)
    outcome = came[selftest.name]
    if outcome == SKIP:
        pytest.skip(output)
    assert outcome == OK, output
