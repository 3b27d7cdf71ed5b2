# SPDX-License-Identifier: GPL-2.0-only
"""What is left running in the guest when a connection ends, in good order or not."""

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.core.workspace import ROOT
from harness.machine.ssh import hangup
from harness.machine.ssh.address import Address
from harness.machine.ssh.guest import Guest, GuestGone
from tests.unit.machine.ssh.sshd import TIMEOUT, Server, logged_in

QUIET = "</dev/null >/dev/null 2>&1"  # as a daemon's, so that its command ends


@pytest.fixture
def own_guest(address: Address) -> Iterator[Guest]:
    """A connection of its own, for what is left is told by that."""
    with logged_in(address) as guest:
        yield guest


def started(guest: Guest, command: str) -> int:
    """A pidfd of what runs on in the guest, once it does."""
    return os.pidfd_open(int(guest.sh(f"{command} {QUIET} & echo $!")))


def has_ended(pidfd: int, seconds: float = TIMEOUT) -> bool:
    return bool(select.select([pidfd], [], [], seconds)[0])


def by_error(guest: Guest) -> None:
    raise KeyboardInterrupt


def by_vanishing(guest: Guest) -> None:
    guest.close()


@pytest.mark.parametrize("end", [by_error, by_vanishing])
@pytest.mark.parametrize("command", ["sleep 600", "setsid sleep 600", "nohup sleep 600"])
def test_what_runs_ends_with_its_connection(
    own_guest: Guest, command: str, end: Callable[[Guest], None]
) -> None:
    try:
        with own_guest.hung_up():
            pidfd = started(own_guest, command)
            end(own_guest)
    except KeyboardInterrupt:
        pass
    assert has_ended(pidfd)


def test_what_runs_lives_on_after_an_end_in_good_order(own_guest: Guest, server: Server) -> None:
    with own_guest.hung_up():
        pidfd = started(own_guest, "sleep 600")
        watch = server.processes[-2]
    assert watch.returncode == 0  # it has done what it does
    assert not has_ended(pidfd, 0)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def test_what_another_connection_runs_lives_on(own_guest: Guest, guest: Guest) -> None:
    pidfd = started(guest, "sleep 600")
    with pytest.raises(KeyboardInterrupt), own_guest.hung_up():
        own = started(own_guest, "sleep 600")
        raise KeyboardInterrupt
    assert has_ended(own)
    assert not has_ended(pidfd, 0)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def test_the_oldest_are_told_first() -> None:
    """Or the shell of a line would go on behind a command that has ended."""
    environment = {**os.environ, "SSH_CONNECTION": "a test's own"}
    argv = ["sh", "-c", f"kill() {{ echo $*; }}\n{hangup.SCRIPT}", "hangup", "a test's own"]
    with contextlib.ExitStack() as stack:
        shells = [
            stack.enter_context(subprocess.Popen(["sleep", "600"], env=environment))
            for _ in range(12)
        ]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        for shell in shells:
            shell.kill()
    pids = " ".join(str(shell.pid) for shell in shells)
    assert done.stdout == f"-s HUP {pids}\n-s KILL {pids}\n"


def test_a_command_may_clean_up_but_not_stay(own_guest: Guest, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), own_guest.hung_up():
        guest_shell = f"trap 'echo told >{tmp_path}/words' HUP; touch {tmp_path}/ready; "
        pidfd = started(own_guest, f'sh -c "{guest_shell} while :; do sleep 0.05; done"')
        own_guest.sh(f"while [ ! -e {tmp_path}/ready ]; do sleep 0.01; done")
        raise KeyboardInterrupt
    assert has_ended(pidfd)
    assert (tmp_path / "words").read_text() == "told\n"


def test_the_watch_is_none_of_the_connections_own_processes(own_guest: Guest) -> None:
    """Or reset.sh would end it after a test."""
    with own_guest.hung_up():
        pidfd = started(own_guest, "exec sleep 600")
        own = own_guest.run('grep -ls "SSH_CONNECTION=$SSH_CONNECTION" /proc/[0-9]*/environ; :')
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    assert len(own.stdout.splitlines()) == 2, own  # sleep, and this shell


def test_a_connection_that_is_gone_is_said_to_be(own_guest: Guest, server: Server) -> None:
    own_guest.close()
    with pytest.raises(GuestGone), own_guest.hung_up():
        pass


CLIENT = """
import signal
import sys
from pathlib import Path
from harness.machine.ssh.guest import Address
from tests.unit.machine.ssh.sshd import logged_in
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored below nohup(1), as is
signal.signal(signal.SIGINT, signal.default_int_handler)  # this one behind a shell's &
host, port, key, host_key = sys.argv[1:]
guest = logged_in(Address(host, int(port), Path(key), host_key))
with guest.hung_up():
    guest.stream("echo $$; exec sleep 600", None, sys.stdout.buffer, sys.stderr.buffer)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGHUP])
def test_a_client_that_is_ended_ends_its_command(address: Address, number: signal.Signals) -> None:
    argv = [sys.executable, "-c", CLIENT, *map(str, address.to_json().values())]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        assert run.stdout
        pidfd = os.pidfd_open(int(run.stdout.readline()))
        run.send_signal(number)
        run.wait(30)
    assert has_ended(pidfd)
