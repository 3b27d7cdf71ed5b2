# SPDX-License-Identifier: GPL-2.0-only
"""Names of keys: the registry's twin, calls that a test makes on the kernel's, and its listing.

As the calls' documentation and Documentation/networking/xdp-kv.rst promise it.
"""

import errno
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from harness.datapath.bpf import BPFCALL, Bpf, Object, u32

PROGRAM = Object("kv_names", kept=True)  # to be there still when the guest was reset
CALL = struct.Struct("<IHHIiQ")  # struct names_call in bpf-progs/kv_names.bpf.c
CALLS = 256
LISTING = "/proc/net/bpf_kv"

CREATE, GRO_FIRST, GRO_LAST = 1, 2, 4
GRO = {0: "compare", GRO_FIRST: "first", GRO_LAST: "last"}
KEYS = 64
LONGEST = 31

# By number: what the program can say, for a name is a constant there.
NAMES = {
    0: "",
    1: "x",
    2: "a name of thirty-one characters",
    3: "a name of thirty-two characters!",
    4: "two words\\\n",
    5: "name1",  # as others begin
    **{number: f"name{number}" for number in range(10, 80)},
}


@dataclass(frozen=True)
class Request:
    """One call.

    name: one of NAMES.
    size: None to unregister.
    """

    name: int
    size: int | None = None
    flags: int = 0

    def to_bytes(self, *, meets: bool) -> bytes:
        """As struct names_call has it, not called yet; meets: it waits for the other CPU's."""
        kind = 2 if self.size is None else 1
        size = self.size or 0
        return CALL.pack(self.name, kind, meets, size, -errno.ENOSYS, self.flags)


@dataclass(frozen=True)
class Name:
    """A key that has a name.

    gro: GRO_FIRST, GRO_LAST or 0.
    """

    key: int
    size: int
    gro: int


@dataclass
class Registry:
    """What the kernel's must be after the same calls."""

    names: dict[str, Name] = field(default_factory=dict)
    _given: int = 0

    def call(self, request: Request) -> int:
        """What the call must return; the registry is changed by it."""
        name = NAMES[request.name]
        if request.size is None:
            return 0 if self.names.pop(name, None) else -errno.ENOENT
        gro = request.flags & (GRO_FIRST | GRO_LAST)
        if not 1 <= len(name) <= LONGEST or request.size not in (2, 4, 8):
            return -errno.EINVAL
        if request.flags & ~(CREATE | gro) or gro not in GRO:
            return -errno.EINVAL
        if there := self.names.get(name):
            return there.key if (there.size, there.gro) == (request.size, gro) else -errno.EEXIST
        if not request.flags & CREATE:
            return -errno.ENOENT
        return self._give(name, request.size, gro)

    def _give(self, name: str, size: int, gro: int) -> int:
        taken = {there.key for there in self.names.values()}
        for step in range(1, KEYS + 1):
            key = (self._given - step) % KEYS
            if key not in taken:
                self.names[name] = Name(key, size, gro)
                self._given = key
                return key
        return -errno.ENOSPC

    def listing(self) -> list[str]:
        """The lines of the kernel's listing, but for the last one."""
        return [
            f"{_escaped(name)} {there.key} {there.size} {GRO[there.gro]}"
            for name, there in sorted(self.names.items(), key=lambda item: -item[1].key)
        ]


@contextmanager
def names(bpf: Bpf) -> Iterator[Registry]:
    """The twin of the kernel's registry, which is empty, and is emptied again.

    Which key is given next is what other tests left.
    """
    bpf.run([PROGRAM.load()])
    (key,) = call(bpf, [Request(1, 2, CREATE)])
    call(bpf, [Request(1)])
    try:
        yield Registry(_given=key)
    finally:
        call(bpf, [Request(number) for number in NAMES])


def call(bpf: Bpf, requests: Sequence[Request], second: Sequence[Request] = ()) -> list[int]:
    """What the calls return; second: those of another CPU, as many, whose results come last.

    Each is made when the other CPU is about to make its own.
    """
    lists = [list(requests), list(second)]
    if second and len(requests) != len(second):
        raise ValueError("each call of one CPU has one of the other's to wait for")
    empty = bytes(CALL.size)
    bpf.update(
        PROGRAM.map("calls"),
        {
            u32(at + CALLS * which): entry
            for which, each in enumerate(lists)
            for at, entry in enumerate(
                [*(one.to_bytes(meets=bool(second)) for one in each), empty][:CALLS]
            )
        },
    )
    runs = [f"taskset -c 0 {BPFCALL} syscall {PROGRAM.program('run')}"]
    if second:
        runs = [f"taskset -c 1 {BPFCALL} syscall {PROGRAM.program('run_second')} &", *runs, "wait"]
    bpf.run(runs)
    dumped = bpf.dump(PROGRAM.map("calls"))
    returned = [
        CALL.unpack(dumped[u32(at + CALLS * which)])[4]
        for which, each in enumerate(lists)
        for at in range(len(each))
    ]
    for request, key in zip([*requests, *second], returned, strict=True):
        if key >= 0 and request.size is not None:
            bpf.recorder.names[key] = NAMES[request.name]
    return returned


def listed(bpf: Bpf) -> tuple[list[str], int]:
    """The kernel's listing: a line a key, and how many packets lost what was to be theirs."""
    *lines, last = bpf.run([f"cat {LISTING}"]).splitlines()
    word, lost = last.split()
    if word != "lost":
        raise ValueError(f"the listing ends with {last!r}")
    return lines, int(lost)


def _escaped(name: str) -> str:
    """As seq_escape() has it, in octal."""
    return "".join(f"\\{ord(each):03o}" if each in " \t\n\\" else each for each in name)
