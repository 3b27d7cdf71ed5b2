# SPDX-License-Identifier: GPL-2.0-only
"""What is made of two stores: one set in the other, and whether they are equal."""

import errno

from hypothesis import given
from hypothesis import strategies as st

from harness.datapath.kv import HEADER, KEYS, SIZES, Store
from harness.native.compiled import Calls, Platform
from harness.native.examples import FULL, examples, loaded, maps

FILL = 0xA5  # bytes that no call may touch

few = st.integers(0, 9)
every = st.integers(0, KEYS - 1)
value = st.sampled_from(SIZES).flatmap(lambda size: st.binary(min_size=size, max_size=size))
# With few keys both have many of them, with all of them more than there is room for.
filled = st.one_of(
    st.dictionaries(few, st.sampled_from([b"22", b"44" * 2, b"88" * 4, b"2!"])),
    st.dictionaries(every, value, max_size=40),
)
masks = st.one_of(
    st.just(2**KEYS - 1), st.integers(0, 2**KEYS - 1), st.integers(0, 2**10 - 1), st.just(0)
)
at = st.integers(0, 7)


def store_of(values: dict[int, bytes]) -> Store:
    """A store that has as many of them as fit."""
    made = Store()
    for key, each in values.items():
        made.set(key, each)
    return made


def merged(
    store: Calls,
    platform: Platform,
    ours: Store,
    theirs: bytes,
    twin: Store,
    keys: int,
    offset: int,
) -> None:
    """Set the bytes of a store, whose twin is given, in another one."""
    memory = ours.image(platform.order).ljust(FULL, bytes([FILL]))
    answer = store.ask(
        "merge", keys, memory, ours.length, value=theirs, store_at=offset, value_at=7 - offset
    )
    assert answer.value == theirs
    result = ours.merge(twin, keys)
    if result < 0:
        assert (answer.result, result) == (-errno.ENOSPC, -errno.ENOSPC)
        return
    assert answer.result == ours.length
    assert answer.memory[: ours.length] == ours.image(platform.order)


def test_one_is_set_in_the_other(store: Calls, platform: Platform, seed: int) -> None:
    @examples(500, seed)
    @given(filled, filled, masks, at)
    def check(ours: dict[int, bytes], theirs: dict[int, bytes], keys: int, offset: int) -> None:
        twin = store_of(theirs)
        merged(store, platform, store_of(ours), twin.image(platform.order), twin, keys, offset)

    check()


def test_a_full_one_takes_smaller_values_first(store: Calls, platform: Platform) -> None:
    """What gets smaller makes room for what gets larger, wherever it lies."""
    ours = store_of(
        {**{key: bytes(8) for key in range(8)}, **{key: bytes(2) for key in range(8, 40)}}
    )
    theirs = store_of(
        {**{key: bytes(2) for key in range(8)}, **{key: bytes(4) for key in range(8, 32)}}
    )
    assert ours.length == FULL
    merged(store, platform, ours, theirs.image(platform.order), theirs, 2**KEYS - 1, 0)
    assert ours.length == FULL


def test_they_are_equal_or_not(store: Calls, platform: Platform, seed: int) -> None:
    """Nearly equal ones: one key apart, one byte apart, one size apart."""

    @examples(500, seed)
    @given(filled, st.dictionaries(few, value, max_size=1), st.sets(few, max_size=1), masks, at)
    def check(
        values: dict[int, bytes], other: dict[int, bytes], gone: set[int], keys: int, offset: int
    ) -> None:
        ours = store_of(values)
        theirs = store_of({k: v for k, v in {**values, **other}.items() if k not in gone})
        image = ours.image(platform.order)
        answer = store.ask(
            "equal",
            keys,
            image,
            len(image),
            value=theirs.image(platform.order),
            store_at=offset,
            value_at=7 - offset,
        )
        assert bool(answer.result) == ours.equals(theirs, keys)

    check()


def test_hostile_bytes_are_no_store(store: Calls, platform: Platform, seed: int) -> None:
    """Of another length than they say: nothing is set, and they equal an empty one."""

    @examples(300, seed)
    @given(filled, maps, maps, st.binary(max_size=FULL - HEADER), masks, at)
    def check(
        values: dict[int, bytes], high: int, low: int, tail: bytes, keys: int, offset: int
    ) -> None:
        ours = store_of(values)
        theirs = high.to_bytes(8, platform.order) + low.to_bytes(8, platform.order) + tail
        twin = loaded(theirs, len(theirs), FULL, platform)
        image = ours.image(platform.order)
        answer = store.ask(
            "equal", keys, image, len(image), value=theirs, store_at=offset, value_at=offset
        )
        assert bool(answer.result) == ours.equals(twin, keys)
        merged(store, platform, ours, theirs, twin, keys, offset)

    check()
