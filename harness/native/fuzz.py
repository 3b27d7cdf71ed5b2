# SPDX-License-Identifier: GPL-2.0-only
"""libFuzzer on the store's encoding: any bytes, any call, under ASan and UBSan."""

import random
import re
import struct
import tempfile
from pathlib import Path

from harness.core.errors import LabError, TestsFailed
from harness.core.host import Need
from harness.core.progress import step
from harness.core.run import CommandFailed, run
from harness.datapath.kv import KEYS, SIZES, Store
from harness.native.compiled import SOURCES, compile_c, store_sources

SECONDS = 60
INPUT = struct.Struct("<QQBBBBB8s")  # struct input of tests/host/fuzz.c
LONGEST = INPUT.size + 2 * 255  # bytes: that, and the longest store
STORES = 200  # that it begins with: it would be long in finding maps that sum up
FLAGS = ("-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")
RUNS = re.compile(r"Done (\d+) runs in (\d+) second")


def needs() -> list[Need]:
    """What it takes beyond the lab's packages: the libraries of clang's sanitizers."""
    try:
        directory = Path(run(["clang", "-print-runtime-dir"], deadline=10).strip())
        major = re.search(r"version (\d+)", run(["clang", "--version"], deadline=10))
    except CommandFailed as error:
        raise LabError("clang does not say where its libraries are", hint=error.output) from None
    package = f"libclang-rt-{major[1] if major else ''}-dev"
    library = directory / "libclang_rt.fuzzer-x86_64.a"
    return [Need(str(library), package, fedora="compiler-rt", arch="compiler-rt")]


def fuzz(tree: Path, directory: Path, seconds: int = SECONDS) -> None:
    """Fuzz the store of a kernel tree. Raises TestsFailed for the first input that breaks it.

    directory: that input is kept there, and what was said of it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "fuzz.log"
    log.unlink(missing_ok=True)
    with (
        tempfile.TemporaryDirectory() as place,
        step("fuzz", f"any bytes for {seconds} s, under ASan and UBSan") as current,
    ):
        program, corpus = Path(place) / "fuzz", Path(place) / "corpus"
        compile_c(tree, program, [SOURCES / "fuzz.c", *store_sources(tree)], FLAGS, "clang")
        corpus.mkdir()
        for number, given in enumerate(inputs()):
            (corpus / str(number)).write_bytes(given)
        limits = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-print_final_stats=0"]
        try:
            said = run(
                [program, *limits, f"-artifact_prefix={directory}/", corpus],
                deadline=seconds + 120,
                log=log,
            )
        except CommandFailed as error:
            raise TestsFailed(
                f"the store does not hold: an input is kept in {directory}\n{error.output}"
            ) from None
        runs = RUNS.search(said)
        current.note = f"{int(runs[1]):,} inputs in {runs[2]} s" if runs else "clean"


def inputs() -> list[bytes]:
    """What it begins with: stores that are whole, and a call on each."""
    source = random.Random(0)
    given = []
    for number in range(STORES):
        store = Store()
        for _ in range(number % 40):
            size = source.choice(SIZES)
            store.set(source.randrange(KEYS), source.randbytes(size))
        words = source.randrange(KEYS), source.randrange(3), source.randrange(4)
        size, more = source.choice(SIZES), source.randrange(20)
        call = INPUT.pack(*words, size, store.length, more, source.randrange(8), bytes(8))
        given.append(call + store.image())
    return given
