# SPDX-License-Identifier: GPL-2.0-only
"""The store's encoding in user space: the series' own C, compiled for this machine or another.

include/net/bpf_kv.h and net/core/bpf_kv.c of the series' tree use little of the
kernel; tests/host/include stands in for it.
"""

import os
import select
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from harness.core.host import Need
from harness.core.run import Argv, run, start
from harness.core.workspace import ROOT

SOURCES = ROOT / "tests" / "host"
ENCODING = (Path("include/net/bpf_kv.h"), Path("net/core/bpf_kv.c"))  # in a tree with the series
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
MOST = 256  # bytes of a value, and of a store's memory, in tests/host/store.c
REQUEST = "QQIIIIII256s256s"  # its struct request
REPLY = "i256s256s"  # its struct reply
PATIENCE = 30.0  # seconds for an answer; it takes microseconds


@dataclass(frozen=True)
class Platform:
    """A machine that programs are compiled for.

    emulator: the words in front of a program's name.
    flags: the compiler's, for the tests.
    """

    name: str
    compiler: str = "gcc"
    emulator: tuple[str, ...] = ()
    order: Literal["little", "big"] = "little"
    flags: tuple[str, ...] = ("-O2", "-static")
    needs: tuple[Need, ...] = ()


NATIVE = Platform("native", order=sys.byteorder, flags=SANITIZED)


def compile_c(
    tree: Path,
    program: Path,
    sources: Sequence[Path],
    flags: Sequence[str] = (),
    compiler: str = "gcc",
) -> None:
    """Compile sources that use the store of a kernel tree. Raises CommandFailed."""
    # The tree's headers come last: <linux/types.h> is libc's.
    includes: Argv = ["-I", SOURCES / "include", "-I", SOURCES, "-idirafter", tree / "include"]
    stand_in: Argv = ["-include", SOURCES / "include" / "kernel.h"]
    warnings = ["-std=gnu11", "-Wall", "-Werror", "-Wno-unused-but-set-variable"]  # the kernel's
    argv = [compiler, *warnings, *flags, *includes, *stand_in, "-o", program, *sources]
    run(argv, deadline=120)


def store_sources(tree: Path) -> list[Path]:
    """The series' encoding, as functions."""
    return [SOURCES / "calls.c", tree / ENCODING[1]]


@dataclass(frozen=True)
class Answer:
    """What a call left: its result, and the bytes of the value and of the store's memory."""

    result: int
    value: bytes
    memory: bytes


class Calls:
    """A process that makes one call of the store for each request."""

    def __init__(self, process: "subprocess.Popen[bytes]", errors: IO[bytes], order: str) -> None:
        self._process = process
        self._errors = errors
        self._mark = "<" if order == "little" else ">"

    def ask(
        self,
        call: str,
        key: int,
        memory: bytes,
        length: int,
        *,
        value: bytes = b"",
        flags: int = 0,
        store_at: int = 0,
        value_at: int = 0,
    ) -> Answer:
        """Make a call on a store of that length, at the beginning of the memory that it may use.

        call: set, get, del or valid; merge or equal, of two stores. value: what to set, what is
        in the buffer for it, or the other store; key: in that case a mask of keys.
        store_at, value_at: distance from an address that is a multiple of 8.
        Raises AssertionError with what the process said, if it died of the call.
        """
        assert max(len(memory), len(value)) <= MOST and length <= len(memory)
        sizes = len(value), length, len(memory), store_at, value_at
        request = struct.pack(self._mark + REQUEST, key, flags, ord(call[0]), *sizes, value, memory)
        assert self._process.stdin
        try:
            self._process.stdin.write(request)
            self._process.stdin.flush()
        except BrokenPipeError:
            self._died()
        result, left, after = struct.unpack(self._mark + REPLY, self._read())
        return Answer(result, left[: len(value)], after[: len(memory)])

    def _read(self) -> bytes:
        assert self._process.stdout
        descriptor = self._process.stdout.fileno()
        wanted = struct.calcsize(self._mark + REPLY)
        got = b""
        end = time.monotonic() + PATIENCE
        while len(got) < wanted:
            left = max(0.0, end - time.monotonic())
            if not select.select([descriptor], [], [], left)[0]:
                raise AssertionError(f"no answer in {PATIENCE:g} s")
            some = os.read(descriptor, wanted - len(got))
            if not some:
                self._died()
            got += some
        return got

    def _died(self) -> None:
        self._process.wait(PATIENCE)
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace")
        raise AssertionError(f"exit status {self._process.returncode}\n{said}")


@contextmanager
def calls(program: Path, platform: Platform = NATIVE) -> Iterator[Calls]:
    """The process of a program made of tests/host/store.c, for the length of the context."""
    with tempfile.TemporaryFile() as errors:
        process = start(
            [*platform.emulator, program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            bufsize=0,
        )
        try:
            yield Calls(process, errors, platform.order)
        finally:
            process.kill()
            process.communicate()
