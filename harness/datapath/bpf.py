# SPDX-License-Identifier: GPL-2.0-only
"""BPF objects in the guest: loaded, pinned, attached, and their maps read, by bpftool.

A command in the guest costs about 60 ms, so what belongs together goes over
as one script: `Object.load` and the like give lines, `Bpf.run` runs them.
"""

import json
import re
import shlex
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import LabError
from harness.datapath.recorder import Recorder

if TYPE_CHECKING:
    from harness.machine.ssh.guest import Guest

PIN_ROOT = "/sys/fs/bpf/lab"  # of what a test loads; a reset empties it
KEPT_ROOT = "/sys/fs/bpf/kept"
GUEST_DIRECTORY = "/lab"
BPFCALL = f"{GUEST_DIRECTORY}/bpfcall"  # what bpftool has no words for; bpf-progs/bpfcall.c
EXTENSION = f"{GUEST_DIRECTORY}/extension"  # bpf-progs/extension.c
PACKET_SOCKET = f"{GUEST_DIRECTORY}/packet_socket"  # one that listens; bpf-progs/packet_socket.c
XSK = f"{GUEST_DIRECTORY}/xsk"  # AF_XDP sockets; bpf-progs/xsk.c
LINK = f"{GUEST_DIRECTORY}/link"  # what the host's ip has no words for; bpf-progs/link.c
VHOST = f"{GUEST_DIRECTORY}/vhost"  # frames in batches; bpf-progs/vhost.c
SUFFIX = ".bpf.o"
LOG_LINES = 80
LOADED = re.compile(rf"loadall {GUEST_DIRECTORY}/(\w+){re.escape(SUFFIX)}".encode())
NAMED = re.compile(rf"(?<![\w/]){GUEST_DIRECTORY}/([\w.]+)".encode())


class BpfError(LabError):
    """A step of a script failed in the guest; the message ends with all that it said.

    For a program that the verifier refused, that is the verifier's log.
    """


@dataclass(frozen=True)
class Object:
    """A BPF object as it is pinned in the guest.

    name: of the source, without .bpf.c.
    device: that its programs are bound to, as those must be that call a driver's getter.
    kept: it is the same in every test, and so stays loaded: loading takes 0.07 s.
    """

    name: str
    device: str | None = None
    kept: bool = False

    @property
    def directory(self) -> str:
        return f"{KEPT_ROOT if self.kept else PIN_ROOT}/{self.name}"

    @property
    def maps(self) -> str:
        """The directory of the pinned maps."""
        return f"{self.directory}/maps"

    def program(self, name: str) -> str:
        """Where the program of that name is pinned."""
        return f"{self.directory}/{name}"

    def map(self, name: str) -> str:
        """Where the map of that name is pinned."""
        return f"{self.maps}/{name}"

    def load(self) -> str:
        """The line that loads the object and pins its programs and maps."""
        bound = f" xdpmeta_dev {self.device}" if self.device else ""
        unless = f"[ -d {self.directory} ] || " if self.kept else ""
        return (
            f"{unless}bpftool prog loadall {GUEST_DIRECTORY}/{self.name}{SUFFIX} {self.directory}"
            f"{bound} pinmaps {self.maps}"
        )


class Bpf:
    """The guest's BPF.

    objects: the host's directory of compiled *.bpf.o. recorder: of the test that uses this.
    """

    def __init__(self, guest: "Guest", objects: Path) -> None:
        self.recorder = Recorder()
        self._guest = guest
        self._objects = objects
        self._there: set[str] = set()

    def run(self, lines: Sequence[str], *, timeout: float = 30.0) -> str:
        """Run lines as one shell script and return what it printed; the first failure ends it.

        timeout: seconds. Raises BpfError with the failed line and what was
        said on stderr.
        """
        script = "\n".join(lines) + "\n"
        return self._shell("set -e -x; . /proc/self/fd/0", script.encode(), timeout)

    def script(self, script: bytes, arguments: Sequence[str], *, timeout: float = 30.0) -> str:
        """Run a script from a file with arguments; the rest as `run`."""
        return self._shell(f"set -- {shlex.join(arguments)}; . /proc/self/fd/0", script, timeout)

    def load(self, name: str, *, device: str | None = None) -> Object:
        """Load and pin one object. Raises BpfError with the verifier's log."""
        loaded = Object(name, device)
        self.run([loaded.load()])
        return loaded

    def dump(self, path: str) -> dict[bytes, bytes]:
        """All entries of the pinned map, which must not be a per-CPU one."""
        data = self._bpfcall(f"dump {path}")
        key, value = struct.unpack_from("=II", data)
        at = range(8, len(data), key + value)
        return {data[n : n + key]: data[n + key : n + key + value] for n in at}

    def update(self, path: str, values: Mapping[bytes, bytes]) -> None:
        """Write entries into the pinned map."""
        self._bpfcall(f"update {path}", b"".join(key + value for key, value in values.items()))

    def _bpfcall(self, words: str, stdin: bytes = b"") -> bytes:
        self._put({Path(BPFCALL).name} - self._there)
        return self._run(f"{BPFCALL} {words}", stdin)

    def _shell(self, command: str, script: bytes, timeout: float) -> str:
        self._put({name.decode() for name in NAMED.findall(script)} - self._there)
        self.recorder.programs += map(bytes.decode, LOADED.findall(script))
        return self._run(command, script, timeout).decode(errors="replace")

    def _run(self, command: str, stdin: bytes = b"", timeout: float = 30.0) -> bytes:
        done = self._guest.run(command, stdin=stdin, timeout=timeout)
        if done.status != 0:
            raise _failure(done.status, done.stderr.decode(errors="replace"))
        return done.stdout

    def _put(self, names: set[str]) -> None:
        """Have these in the guest, those of them that were compiled."""
        files = [path for name in sorted(names) if (path := self._objects / name).exists()]
        if files:
            self._guest.put(files, GUEST_DIRECTORY)
        self._there |= names


def attach(program: str, device: str, mode: str = "xdpdrv") -> str:
    """The line that attaches a pinned XDP program to a device; mode: or xdpgeneric."""
    return f"bpftool net attach {mode} pinned {program} dev {device}"


def entry(path: str, key: int, value: int, program: str) -> str:
    """The line that writes a devmap's or cpumap's entry that runs a pinned program."""
    return f"{BPFCALL} entry {path} {key} {value} {program}"


def extend(by: Object, program: str, target: str, function: str) -> str:
    """The line that puts a program of a loaded object in the place of a pinned one's function.

    As libxdp's dispatcher has it: the function is global; the program is loaded once more, as
    an extension, with the object's maps.
    """
    compiled = f"{GUEST_DIRECTORY}/{by.name}{SUFFIX}"
    link = f"{PIN_ROOT}/{function}"
    return f"{EXTENSION} {compiled} {program} {by.maps} {target} {function} {link}"


def live(program: str, device: str, repeat: int, frame: bytes) -> str:
    """The line that runs a pinned program on live frames, as if they came in by device."""
    index = f"$(cat /sys/class/net/{device}/ifindex)"
    return f"{_printf(frame)} | {BPFCALL} live {program} {index} {repeat}"


def run_once(program: str, metadata: bytes, frame: bytes) -> str:
    """The line that runs a pinned XDP program once on a packet in memory, behind metadata."""
    # struct xdp_md: data and data_end count from where the metadata begin.
    context = struct.pack("<6I", len(metadata), len(metadata) + len(frame), 0, 0, 0, 0)
    return (
        f"{_printf(context)} >/tmp/context; {_printf(metadata + frame)} |"
        f" bpftool prog run pinned {program} data_in - ctx_in /tmp/context"
    )


def by_tap(device: str, frame: bytes, *, wait: bool) -> str:
    """The line that lets a frame come in by a tap of the guest's; wait: without O_NONBLOCK."""
    return f"{_printf(frame)} | {BPFCALL} tap {device} {'wait' if wait else 'nowait'}"


def by_vhost(device: str, frames: Sequence[bytes], *, segment: int = 0) -> str:
    """The line that lets frames come in by a tap of the guest's, in batches from vhost_net.

    segment: they are of TCP over IPv4, and segments of so many bytes are to be made of them.
    """
    data = b"".join(struct.pack("!H", len(frame)) + frame for frame in frames)
    return f"{_printf(data)} | {VHOST} {device}{f' {segment}' if segment else ''}"


def observe(program: str, device: str, within: str = "") -> list[str]:
    """Lines that put a pinned TC program at a device's ingress, behind those of `at_ingress`.

    within: see links.within.
    """
    return _hook("ingress", program, device, within, 2)


def at_ingress(program: str, device: str, within: str = "") -> list[str]:
    """Lines that put a pinned TC program at a device's ingress, in front of the observer."""
    return _hook("ingress", program, device, within, 1)


def at_egress(program: str, device: str, within: str = "") -> list[str]:
    """Lines that put a pinned TC program at a device's egress."""
    return _hook("egress", program, device, within, 1)


def _hook(hook: str, program: str, device: str, within: str, preference: int) -> list[str]:
    return batch(
        f"{within}/bin/tc -batch -",
        [
            f"qdisc replace dev {device} clsact",
            f"filter add dev {device} {hook} pref {preference} bpf direct-action"
            f" object-pinned {program}",
        ],
    )


def update(path: str, values: Mapping[bytes, bytes]) -> list[str]:
    """Lines that write entries into a pinned map."""
    commands = [
        f"map update pinned {path} key {_decimal(key)} value {_decimal(value)}"
        for key, value in values.items()
    ]
    return batch("bpftool batch file - >/dev/null", commands)


def batch(program: str, commands: Sequence[str]) -> list[str]:
    """Lines that give commands to one process: starting one is what takes the time."""
    return [f"{program} <<END", *commands, "END"]


def entries(dumped: str) -> dict[bytes, bytes]:
    """What `bpftool -j map dump` printed, as bytes. Raises BpfError if it is no dump."""
    try:
        return {_bytes(entry["key"]): _bytes(entry["value"]) for entry in json.loads(dumped)}
    except (ValueError, TypeError, KeyError) as error:
        raise BpfError(f"not a map dump ({error!r}): {dumped[:200]!r}") from error


def u32(value: int) -> bytes:
    """An unsigned 32-bit key or value as the guest, little-endian, keeps it."""
    return struct.pack("<I", value)


def _printf(data: bytes) -> str:
    octal = "".join(f"\\{byte:03o}" for byte in data)
    return f"printf '{octal}'"


def _decimal(data: bytes) -> str:
    return " ".join(map(str, data))


def _bytes(numbers: list[str]) -> bytes:
    return bytes(int(number, 16) for number in numbers)


def _failure(status: int, stderr: str) -> BpfError:
    lines = stderr.splitlines()
    traced = [number for number, line in enumerate(lines) if line.startswith("+ ")]
    failed = lines[traced[-1]][2:] if traced else "the script"
    said = lines[traced[-1] + 1 :] if traced else lines
    shown = "\n".join(f"    {line}" for line in said[-LOG_LINES:])
    return BpfError(f"exit status {status} in the guest: {failed}\n{shown}")
