# SPDX-License-Identifier: GPL-2.0-only
"""The rivals do what the store does, each in its own bytes: else their cost says nothing."""

import random
from pathlib import Path

import pytest

from harness.commands.bench_encodings import RIVALS
from harness.datapath.kv import NOEXIST, REPLACE, SIZES, Store
from harness.native.compiled import SANITIZED, SOURCES, calls, compile_c

STEPS = 4000
ROOM = 256
KEYS = (0, 1, 2, 17, 30, 31, 32, 62, 63)  # few enough that all have room


@pytest.mark.parametrize("rival", RIVALS)
def test_it_gives_what_the_store_gives(tree: Path, tmp_path: Path, seed: int, rival: str) -> None:
    source = random.Random(seed)
    program = tmp_path / rival
    flags = [*SANITIZED, f'-DRIVAL="rivals/{rival}.h"']
    compile_c(tree, program, [SOURCES / "store.c", SOURCES / "calls.c"], flags)
    twin, memory, length = Store(), bytes(ROOM), 0
    with calls(program) as store:
        for _ in range(STEPS):
            key = source.choice((*KEYS, 64))
            value = source.randbytes(source.choice((*SIZES, 3)))
            flag = source.choice((0, 0, NOEXIST, REPLACE, 3))
            call = source.choice(("set", "set", "get", "del"))
            at = source.randrange(8)
            answer = store.ask(call, key, memory, length, value=value, flags=flag, store_at=at)
            expected: int | bytes
            if call == "get":
                expected = twin.get(key, len(value))
                found = answer.value[: answer.result] if answer.result > 0 else answer.result
                assert found == expected
                continue
            expected = twin.set(key, value, flag) if call == "set" else twin.delete(key)
            assert min(answer.result, 0) == expected
            if expected == 0:
                memory, length = answer.memory, answer.result
                assert bool(length) == bool(twin.length)
                valid = store.ask("valid", 0, memory, length).result
                assert bool(valid) == bool(length)
