# SPDX-License-Identifier: GPL-2.0-only
"""A process in the background of the guest: a server, a sender, a capture."""

import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from harness.datapath.bpf import Bpf
from harness.datapath.links import within

SECONDS = 30.0
_LISTEN = "0A"  # a socket's state in /proc/net/tcp (net/tcp_states.h)


@dataclass(frozen=True)
class Process:
    """A command that runs in the guest until `running` ends it.

    directory: its working directory in the guest, with what it leaves; it is removed at the end.
    """

    bpf: Bpf
    directory: str

    def wait(self, seconds: float = SECONDS) -> str:
        """What it printed on stdout and stderr, when it has ended by itself.

        Raises BpfError, with that, for another status than 0; GuestTimeout when the seconds
        are over.
        """
        return self.bpf.run(
            [f"cd {self.directory}", *_until("[ -e status ]"), _END], timeout=seconds
        )


_END = "if [ $(cat status) = 0 ]; then cat out; else sh -c 'cat out >&2; exit $(cat status)'; fi"


@contextlib.contextmanager
def running(
    bpf: Bpf, command: str, *, until: str = "true", seconds: float = SECONDS
) -> Iterator[Process]:
    """Have a shell command run in the guest, with an empty stdin, while the `with` block runs.

    It begins in an empty folder of its own.

    until: a shell condition that says that it is ready, as `listening`. At the end it is killed,
    and all that it started in its session, and is gone. Raises BpfError, with what it printed,
    if it ended before it was ready; GuestTimeout when the seconds are over.
    """
    # A subshell: what calls exit, or becomes another program, is not to end what notes its end.
    script = f"( {command}\n); echo $? >status.new; mv status.new status"
    started = f"setsid sh -c {shlex.quote(script)} </dev/null >out 2>&1"
    ended = "[ -e status ] && ! { " + until + "; }"
    directory = bpf.run(
        [
            "cd $(mktemp -d)",
            # Bpf.run's -x has the background's shell tell first what it will do; who reads that
            # may be gone by then, and SIGPIPE be its end.
            f"{{ set +x; exec {started}; }} 2>/dev/null &",
            "echo $! >pid",
            *_until(until, f"if {ended}; then sh -c 'cat out >&2; exit 1'; fi"),
            "pwd",
        ],
        timeout=seconds,
    ).strip()
    try:
        yield Process(bpf, directory)
    finally:
        group = f"-$(cat {directory}/pid)"
        gone = _until(f"! kill -s KILL -- {group} 2>/dev/null")
        bpf.run([*gone, f"rm -r {directory}"])


def listening(port: int, *, namespace: str = "") -> str:
    """The condition that a TCP socket waits for who connects to that port, by IPv4 or IPv6."""
    pattern = f":{port:04X} [0-9A-F:]* {_LISTEN} "
    return f"{within(namespace)}/bin/busybox grep -qs '{pattern}' /proc/net/tcp /proc/net/tcp6"


def _until(condition: str, else_: str = ":") -> list[str]:
    return [f"until {condition}; do", else_, "sleep 0.01", "done"]
