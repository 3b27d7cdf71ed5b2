# SPDX-License-Identifier: GPL-2.0-only
"""What users do with the guest by hand: commands, and copies in and out."""

import os
import random
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from harness.core.errors import BadCall
from harness.machine.ssh.guest import Guest, GuestTimeout
from harness.machine.vm import Machine
from harness.testing.dut import RESET_SCRIPT

pytestmark = pytest.mark.unchanged


def test_streams_and_status_pass_through(guest: Guest, seed: int) -> None:
    data = random.Random(seed).randbytes(300_000)
    done = guest.run("cat; echo words >&2; exit 7", stdin=data)
    assert done.status == 7
    assert done.stdout == data
    assert done.stderr == b"words\n"


@pytest.mark.parametrize(("signal", "status"), [("KILL", 137), ("TERM", 143), ("SEGV", 139)])
def test_death_by_signal_is_128_and_its_number(guest: Guest, signal: str, status: int) -> None:
    assert guest.run(f"kill -{signal} $$").status == status
    assert guest.run(f"sh -c 'kill -{signal} $$'").status == status


def test_death_by_a_signal_that_ssh_has_no_name_for(guest: Guest) -> None:
    assert guest.run("sh -c 'kill -BUS $$'").status == 135


def test_a_command_is_as_long_as_it_is_and_of_any_bytes(guest: Guest) -> None:
    words = os.fsdecode(bytes(range(1, 256))) * 80
    done = guest.run(f"printf %s {shlex.quote(words)}; cat; exit 9", stdin=b"\0input\n")
    assert (done.status, done.stdout) == (9, os.fsencode(words) + b"\0input\n")


def test_copies_come_back_as_they_went(guest: Guest, seed: int, tmp_path: Path) -> None:
    sent, received = tmp_path / "sent", tmp_path / "received"
    (sent / "sub").mkdir(parents=True)
    (sent / "sub/a file").write_bytes(random.Random(seed).randbytes(200_000))
    (sent / "tool").write_text("#!/bin/sh\necho ran\n")
    (sent / "tool").chmod(0o755)
    guest.put([sent], "/tmp/lab test")
    assert guest.sh("'/tmp/lab test/sent/tool'") == "ran\n"
    guest.get(["/tmp/lab test/sent"], received)
    assert (received / "sent/sub/a file").read_bytes() == (sent / "sub/a file").read_bytes()
    assert (received / "sent/tool").stat().st_mode & 0o777 == 0o755
    guest.sh("rm -r '/tmp/lab test'")


def test_a_file_that_is_not_there_is_named(guest: Guest, tmp_path: Path) -> None:
    with pytest.raises(BadCall, match="/tmp/absent"):
        guest.get(["/proc/version", "/tmp/absent"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_tools_are_iproute2s_own_and_not_busyboxs(guest: Guest) -> None:
    assert "iproute2" in guest.sh("ip -V; tc -V")
    assert "libbpf" in guest.sh("bpftool version")


def test_the_host_is_out_of_the_guests_reach(guest: Guest) -> None:
    assert guest.run("timeout 3 nc -w 2 10.0.2.2 22 </dev/null").status != 0


@contextmanager
def another_client(machine: Machine) -> Iterator[Guest]:
    address, deadline = machine.address, 30.0
    knock = address.knock(deadline)
    with Guest.negotiate(address, deadline=deadline, knock=knock) as guest:
        guest.log_in()
        yield guest


DAEMON = "sleep 600 </dev/null >/dev/null 2>&1 & echo $!"


def test_what_runs_ends_with_a_client_that_is_lost(machine: Machine) -> None:
    with another_client(machine) as client, suppress(KeyboardInterrupt), client.hung_up():
        pid = client.sh(f"setsid {DAEMON}").strip()
        raise KeyboardInterrupt
    machine.guest.sh(f"while [ -e /proc/{pid} ]; do sleep 0.05; done")


def test_what_runs_outlives_a_client_that_went_in_good_order(machine: Machine) -> None:
    """Each time: dropbear may drop what it was sent last."""
    for _ in range(10):
        with another_client(machine) as client, client.hung_up():
            pid = client.sh(DAEMON).strip()
        # What would end it is the last that runs of that connection.
        watched = "grep -qs '^#[ ]hangup.sh' /proc/[0-9]*/cmdline"
        machine.guest.sh(f"while {watched}; do sleep 0.05; done")
        machine.guest.sh(f"kill {pid}")


def test_a_reset_ends_what_did_not_end_in_time(guest: Guest) -> None:
    with pytest.raises(GuestTimeout):
        guest.run("setsid sleep 600 & sleep 600", timeout=0.5)
    guest.sh("ps | grep 's[l]eep 600'")
    guest.sh("set -- '' reset; . /proc/self/fd/0", stdin=RESET_SCRIPT)
    guest.sh("while ps | grep -q 's[l]eep 600'; do sleep 0.05; done")


def test_a_reset_spares_the_watch_of_its_connection(machine: Machine) -> None:
    with another_client(machine) as client:
        with client.hung_up():
            pid = client.sh(DAEMON).strip()
            client.sh("set -- '' reset; . /proc/self/fd/0", stdin=RESET_SCRIPT)
            client.sh(f"while [ -e /proc/{pid} ]; do sleep 0.05; done")
            pid = client.sh(DAEMON).strip()
            client.close()
        machine.guest.sh(f"while [ -e /proc/{pid} ]; do sleep 0.05; done")
