# SPDX-License-Identifier: GPL-2.0-only
"""The store's encoding against its twin in Python, byte for byte."""

import errno
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.datapath.kv import HEADER, KEYS, MAX_VALUES, NOEXIST, REPLACE, SIZES, Store
from harness.native.compiled import Answer, Calls, Platform
from harness.native.examples import FULL, examples, loaded, maps

OFFSETS = range(8)
FILL = 0xA5  # bytes that no call may touch

keys = st.one_of(st.integers(0, 7), st.integers(0, KEYS - 1), st.sampled_from([63, 64, 1 << 40]))
values = st.sampled_from([2, 4, 8, 8, 4, 2, 0, 1, 3, 5, 16]).flatmap(
    lambda size: st.binary(min_size=size, max_size=size)
)
flags = st.sampled_from([0, 0, 0, NOEXIST, REPLACE, REPLACE, 3, 4, 1 << 32])
sizes = st.sampled_from([8, 8, 0, 1, 2, 3, 4, 7, 9, 64])
at = st.integers(0, 7)
rooms = st.one_of(st.just(FULL), st.integers(0, 200))
steps = st.one_of(
    st.tuples(st.just("set"), keys, values, flags),
    st.tuples(st.just("set"), keys, values, flags),
    st.tuples(st.just("get"), keys, sizes),
    st.tuples(st.just("del"), keys),
)


class Pair:
    """A store in C and its twin, which get the same calls and must give and hold the same."""

    def __init__(
        self, store: Calls, platform: Platform, room: int = FULL, store_at: int = 0
    ) -> None:
        self.twin = Store(room)
        self.memory = bytes([FILL]) * room
        self.length = 0
        self._store = store
        self._order = platform.order
        self._at = store_at

    def step(self, call: str, *words: Any, value_at: int = 0) -> None:
        """Make a call on both."""
        methods: dict[str, Callable[..., object]] = {
            "set": self.set,
            "get": self.get,
            "del": self.delete,
        }
        methods[call](*words, value_at=value_at)

    def set(self, key: int, value: bytes, flags: int = 0, value_at: int = 0) -> int:
        answer = self._ask("set", key, value=value, flags=flags, value_at=value_at)
        assert answer.value == value
        return self._changed(self.twin.set(key, value, flags), answer)

    def delete(self, key: int, value_at: int = 0) -> int:
        return self._changed(self.twin.delete(key), self._ask("del", key))

    def get(self, key: int, size: int, value_at: int = 0) -> int | bytes:
        buffer = bytes([FILL]) * size
        answer = self._ask("get", key, value=buffer, value_at=value_at)
        assert answer.memory == self.memory
        found = self.twin.get(key, size)
        if isinstance(found, int):
            assert (answer.result, answer.value) == (found, buffer)
        else:
            assert answer.result == len(found)
            assert answer.value == found + buffer[len(found) :]
        return found

    def _ask(self, call: str, key: int, **words: Any) -> Answer:
        # Only for a set there is a byte behind the store's length.
        end = len(self.memory) if call == "set" else self.length
        there, rest = self.memory[:end], self.memory[end:]
        answer = self._store.ask(call, key, there, self.length, store_at=self._at, **words)
        return replace(answer, memory=answer.memory + rest)

    def _changed(self, result: int, answer: Answer) -> int:
        """Hold what a set or a del left against the twin."""
        if result < 0:
            assert (answer.result, answer.memory) == (result, self.memory)
            return result
        assert answer.result == self.twin.length
        used = max(self.length, self.twin.length)
        assert answer.memory[: self.twin.length] == self.twin.image(self._order)
        assert answer.memory[used:] == self.memory[used:]
        self.memory, self.length = answer.memory, answer.result
        return result


def test_any_sequence_of_calls(store: Calls, platform: Platform, seed: int) -> None:
    @examples(300, seed)
    @given(rooms, at, at, st.lists(steps, max_size=40))
    def check(room: int, store_at: int, value_at: int, calls: list[tuple[Any, ...]]) -> None:
        pair = Pair(store, platform, room, store_at)
        for call in calls:
            pair.step(*call, value_at=value_at)

    check()


@pytest.mark.parametrize("size", SIZES)
def test_it_is_filled_to_the_last_byte(store: Calls, platform: Platform, size: int) -> None:
    """Each value behind the others, and each before them."""
    count = min(KEYS, MAX_VALUES // size)
    for store_at in OFFSETS:
        for keys in (range(count), reversed(range(count))):
            pair = Pair(store, platform, FULL + 8, store_at)
            for key in keys:
                assert pair.set(key, bytes([key]) * size, value_at=store_at) == 0
            assert pair.length == HEADER + count * size
            if count < KEYS:
                assert [pair.set(KEYS - 1, bytes(other)) for other in SIZES] == [-errno.ENOSPC] * 3
                assert [pair.set(count, bytes(other)) for other in SIZES] == [-errno.ENOSPC] * 3
            if size < 8:
                assert pair.set(0, bytes(8), REPLACE) == -errno.ENOSPC
            assert pair.set(0, bytes(size)) == 0  # in place


def test_a_buffer_is_large_enough_or_left_alone(store: Calls, platform: Platform) -> None:
    pair = Pair(store, platform)
    for key, size in enumerate(SIZES):
        pair.set(key, bytes(range(size)))
    for key, size in enumerate(SIZES):
        for buffer in range(12):
            expected = bytes(range(size)) if buffer >= size else -errno.EFBIG
            assert pair.get(key, buffer) == expected


def test_room_that_is_short_ends_where_it_ends(store: Calls, platform: Platform) -> None:
    for room in range(HEADER + 20):
        for size in SIZES:
            pair = Pair(store, platform, room)
            fits = max(0, room - HEADER) // size
            results = [pair.set(key, bytes(size)) for key in (9, 30, 2, 63, 1, 40, 3, 50, 4, 60)]
            assert results == [0] * min(fits, 10) + [-errno.ENOSPC] * max(0, 10 - fits)


def test_a_larger_value_takes_the_last_byte_of_room(store: Calls, platform: Platform) -> None:
    for before, after in ((2, 4), (2, 8), (4, 8)):
        for room, expected in ((after, 0), (after - 1, -errno.ENOSPC)):
            pair = Pair(store, platform, HEADER + room)
            assert pair.set(7, bytes(before)) == 0
            assert pair.set(7, bytes(after), REPLACE) == expected


def test_errors_come_in_their_order(store: Calls, platform: Platform) -> None:
    pair = Pair(store, platform, HEADER + 8)
    assert pair.set(5, b"4444") == 0
    assert pair.set(9, b"4444") == 0  # full
    assert pair.set(64, b"4444", NOEXIST) == -errno.EINVAL
    assert pair.set(5, b"333", NOEXIST) == -errno.EINVAL
    assert pair.set(5, b"4444", NOEXIST | REPLACE) == -errno.EINVAL
    assert pair.set(5, b"88888888", NOEXIST) == -errno.EEXIST
    assert pair.set(5, b"88888888") == -errno.EBUSY
    assert pair.set(5, b"88888888", REPLACE) == -errno.ENOSPC
    assert pair.set(10, b"22") == -errno.ENOSPC
    assert pair.set(9, b"88888888", REPLACE) == -errno.ENOSPC
    assert pair.set(9, b"22", REPLACE) == 0
    assert pair.set(10, b"22") == 0
    assert pair.get(11, 0) == -errno.ENOENT
    assert pair.get(10, 1) == -errno.EFBIG
    assert pair.get(64, 0) == -errno.EINVAL
    assert pair.delete(64) == -errno.EINVAL
    assert pair.delete(11) == -errno.ENOENT


def test_the_last_key_takes_the_header_with_it(store: Calls, platform: Platform) -> None:
    for size in SIZES:
        pair = Pair(store, platform)
        assert pair.set(40, bytes(size)) == 0
        assert pair.delete(40) == 0
        assert pair.length == 0
        assert pair.set(3, b"22") == 0
        assert pair.length == HEADER + 2


def test_hostile_bytes(store: Calls, platform: Platform, seed: int) -> None:
    """A header that does not sum up to the length is no store, one that does is one."""

    @examples(500, seed)
    @given(maps, maps, st.integers(0, 2), st.integers(0, FULL), st.binary(), at, steps)
    def check(
        high: int,
        low: int,
        lie: int,
        length: int,
        tail: bytes,
        store_at: int,
        call: tuple[Any, ...],
    ) -> None:
        header = high.to_bytes(8, platform.order) + low.to_bytes(8, platform.order)
        sums_up = HEADER + 4 * high.bit_count() + 2 * low.bit_count() + 2 * (high & low).bit_count()
        if lie == 0 and sums_up <= FULL:
            length = sums_up
        pair = Pair(store, platform, FULL, store_at)
        pair.memory = (header + tail).ljust(FULL, b"\x5a")[:FULL]
        pair.length = length
        pair.twin = loaded(pair.memory, length, FULL, platform)
        whole = bool(pair.twin.values) or (length == HEADER and not high | low)
        valid = store.ask("valid", 0, pair.memory[:length], length, store_at=store_at)
        assert valid.result == whole
        pair.step(*call)

    check()


def test_two_maps_that_are_empty_are_an_empty_store(store: Calls, platform: Platform) -> None:
    pair = Pair(store, platform)
    pair.memory = bytes(FULL)
    pair.length = HEADER
    assert pair.get(0, 8) == -errno.ENOENT
    assert pair.delete(0) == -errno.ENOENT
    assert pair.set(0, b"22") == 0
