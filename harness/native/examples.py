# SPDX-License-Identifier: GPL-2.0-only
"""Examples of stores for the tests on the host: how many, hostile headers, and what those say."""

from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from harness.datapath.kv import HEADER, KEYS, MAX_VALUES, Store
from harness.native.compiled import Platform

FULL = HEADER + MAX_VALUES

few_bits = st.lists(st.integers(0, KEYS - 1), max_size=6).map(
    lambda bits: sum(1 << bit for bit in set(bits))
)
maps = st.one_of(few_bits, st.integers(0, 2**64 - 1), st.sampled_from([0, 2**64 - 1]))


def examples(count: int, seed: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """So many examples from a seed; kept nowhere, and however slow the machine is."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        slow = [HealthCheck.too_slow]
        chosen = settings(
            max_examples=count, deadline=None, database=None, suppress_health_check=slow
        )
        return seeded(seed)(chosen(function))

    return decorate


def loaded(memory: bytes, length: int, room: int, platform: Platform) -> Store:
    """The twin of what lies there: each key's bits by themselves, each value cut off in turn."""
    twin = Store(room)
    if length < HEADER:
        return twin
    high = int.from_bytes(memory[:8], platform.order)
    low = int.from_bytes(memory[8:HEADER], platform.order)
    left = memory[HEADER:length]
    found = {}
    for key in range(KEYS):
        size = {(0, 0): 0, (0, 1): 2, (1, 0): 4, (1, 1): 8}[(high >> key & 1, low >> key & 1)]
        if size > len(left):
            return twin
        if size:
            found[key], left = left[:size], left[size:]
    if not left:
        for key, value in found.items():
            assert twin.set(key, value) == 0
    return twin
