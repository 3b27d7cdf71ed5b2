# SPDX-License-Identifier: GPL-2.0-only
"""Guest: a login, commands one at a time, and what an end looks like."""

import io
import logging
import os
import shlex
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from harness.core.errors import LabError
from harness.machine.ssh.channel import MAX_COMMAND, Wrapped, wrap
from harness.machine.ssh.guest import (
    Address,
    Completed,
    Guest,
    GuestCommandFailed,
    GuestGone,
    GuestTimeout,
)
from tests.unit.machine.ssh.sshd import BIG, TIMEOUT, Server, logged_in, new_key, new_private_key


def test_wrap_keeps_the_command() -> None:
    assert wrap("echo 'a b'") == Wrapped(b"""eval 'echo '"'"'a b'"'"''; exit $?""")
    assert wrap("\udcff") == Wrapped(b"eval '\xff'; exit $?")
    assert wrap("true", "date; ") == Wrapped(b"date; eval true; exit $?")


def test_a_line_that_is_sent_is_as_long_as_the_sshd_takes() -> None:
    fits = "x" * (MAX_COMMAND - len(b"eval ; exit $?"))
    assert wrap(fits) == Wrapped(f"eval {fits}; exit $?".encode())
    for longer in (wrap(fits + "x"), wrap(fits, "date; ")):
        assert len(longer.line) < 100
        assert longer.script.startswith(b"{ eval xxx")


LONG = "#" * MAX_COMMAND + "\n"


def test_a_command_longer_than_the_sshd_takes(guest: Guest) -> None:
    """It has the input behind it, all and no more."""
    words = ["'", '"', "$", "\\", "\n", *map(chr, range(0xDC80, 0xDD00)), *map(chr, range(1, 128))]
    line = shlex.join(["printf", "%s", "".join(words) * 100])
    done = guest.run(f"{line}; cat", stdin=BIG)
    assert done.stdout == os.fsencode("".join(words) * 100) + BIG
    assert guest.run(LONG + "echo why >&2; exit 3") == Completed(3, b"", b"why\n")
    assert guest.run(LONG + "kill -KILL $$").status == 137
    assert guest.run(f"exit 4\n{'x' * (1 << 20)}").status == 4


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.999])
def test_a_command_of_which_the_end_is_lost_does_nothing(kept: float, tmp_path: Path) -> None:
    """Wherever it is cut, also where the rest alone would be a command."""
    sent = wrap(f"touch {tmp_path}/cut\n" * 400 + "echo 'it'\n" * 400)
    for length in range(int(len(sent.script) * kept), len(sent.script), 997):
        subprocess.run(
            ["/bin/sh", "-c", sent.line], input=sent.script[:length], capture_output=True
        )
    assert list(tmp_path.iterdir()) == []
    subprocess.run(["/bin/sh", "-c", sent.line], input=sent.script, check=True, capture_output=True)
    assert [path.name for path in tmp_path.iterdir()] == ["cut"]


@pytest.mark.parametrize(
    "command", ["echo 'open", "echo \\", "cat <<END\nwords", "true # said", "("]
)
def test_a_command_ends_where_its_text_does(guest: Guest, command: str) -> None:
    by_hand = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=False)
    done = guest.run(command)
    assert (done.status, done.stdout) == (by_hand.returncode, by_hand.stdout)


def test_run_gives_all_three_and_the_input_arrives(guest: Guest) -> None:
    done = guest.run("cat; echo oops >&2; exit 3", stdin=b"\0\xff\r\n")
    assert (done.status, done.stdout, done.stderr) == (3, b"\0\xff\r\n", b"oops\n")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_death_by_signal_is_128_and_the_signal(guest: Guest, number: signal.Signals) -> None:
    assert guest.run(f"kill -{number.value} $$").status == 128 + number
    assert guest.run(f"sh -c 'kill -{number.value} $$'; exit $?").status == 128 + number


def test_a_signal_that_the_sshd_has_no_name_for(guest: Guest) -> None:
    assert guest.run("sh -c 'kill -BUS $$'").status == 128 + signal.SIGBUS
    with pytest.raises(GuestGone, match="closed the channel"):
        guest.run("kill -BUS $$")


def test_sh_raises_what_failed(guest: Guest) -> None:
    assert guest.sh("echo fine") == "fine\n"
    with pytest.raises(GuestCommandFailed) as caught:
        guest.sh("echo why >&2; exit 4")
    error = caught.value
    assert (error.command, error.exit_status) == ("echo why >&2; exit 4", 4)
    assert "why" in error.render()


def test_megabytes_go_both_ways_at_once(guest: Guest) -> None:
    assert guest.run("cat", stdin=BIG).stdout == BIG
    assert guest.run("cat >&2", stdin=BIG).stderr == BIG


def test_input_that_nobody_reads_is_no_error(guest: Guest) -> None:
    assert guest.run("exit 5", stdin=BIG * 2).status == 5


def test_a_timeout_spares_the_connection(guest: Guest) -> None:
    started = time.monotonic()
    with pytest.raises(GuestTimeout, match=r"0\.1 s in the guest: sleep 60"):
        guest.run("sleep 60", timeout=0.1)
    assert time.monotonic() - started < TIMEOUT
    assert guest.sh("echo still here") == "still here\n"


def test_a_refused_command_is_said_to_be_refused(guest: Guest) -> None:
    with pytest.raises(GuestGone, match="closed the channel of: refuse me"):
        guest.run("refuse me")
    assert guest.sh("echo still here") == "still here\n"


def test_another_host_key_is_refused(address: Address) -> None:
    another = f"ssh-ed25519 {new_key().get_base64()}"
    wrong = Address(address.host, address.port, address.key, another)
    with pytest.raises(LabError, match="another host key"):
        logged_in(wrong)


def test_another_user_key_is_refused(address: Address, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(new_private_key())
    wrong = Address(address.host, address.port, tmp_path / "key", address.host_key)
    with pytest.raises(LabError, match="refuses the key"):
        logged_in(wrong)


def test_a_guest_that_vanishes_is_one_clear_error(
    address: Address,
    server: Server,
    capfd: pytest.CaptureFixture[str],
) -> None:
    guest = logged_in(address)
    started = threading.Event()

    class Started(io.BytesIO):
        def flush(self) -> None:
            started.set()

    def vanish() -> None:
        started.wait(TIMEOUT)
        server.transports[-1].close()

    threading.Thread(target=vanish).start()
    with pytest.raises(GuestGone, match="is gone: echo ready"):
        guest.stream("echo ready; sleep 60", None, Started(), io.BytesIO())
    with pytest.raises(GuestGone):
        guest.run("true")
    guest.close()
    assert capfd.readouterr() == ("", "")
    # Nor would it be printed where, unlike here, nobody has set up logging.
    logger = logging.getLogger("kernel-patch-lab.paramiko")
    assert logger.handlers and not logger.propagate


def test_a_login_that_does_not_come_about_is_one_clear_error(
    address: Address, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        nobody = Address("127.0.0.1", silent.getsockname()[1], address.key, address.host_key)
        started = time.monotonic()
        with pytest.raises(GuestGone, match="no SSH session"):
            logged_in(nobody, deadline=0.1)
        assert time.monotonic() - started < 2.0
        knock = nobody.knock(TIMEOUT)
        silent.accept()[0].close()  # that of the first try
        silent.accept()[0].close()
        with pytest.raises(GuestGone, match="no SSH session"):
            Guest.negotiate(nobody, deadline=TIMEOUT, knock=knock).log_in()
    with pytest.raises(GuestGone, match="refused"):
        logged_in(nobody, deadline=0.1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("streamed", [False, True])
def test_only_the_first_command_sets_a_wrong_clock(
    address: Address, environment: dict[str, str], tmp_path: Path, streamed: bool
) -> None:
    date = tmp_path / "date"
    date.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/set\n')
    date.chmod(0o755)
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    with logged_in(address, clock_is_wrong=True) as guest:
        before = time.time()
        if streamed:
            stdout = io.BytesIO()
            assert guest.stream("echo first; exit 3", None, stdout, io.BytesIO()) == 3
            assert stdout.getvalue() == b"first\n"
        else:
            assert guest.run("echo first; exit 3") == Completed(3, b"first\n", b"")
        assert guest.sh("echo second") == "second\n"
    options, at = (tmp_path / "set").read_text().split()
    assert options == "-us"
    assert -1 <= int(at.removeprefix("@")) - before <= 2
