# SPDX-License-Identifier: GPL-2.0-only
"""The store's twin itself: its bytes and its errors, as they are fixed."""

import errno

from harness.datapath.kv import NOEXIST, REPLACE, Store


def test_its_bytes_are_two_maps_and_the_values_in_key_order() -> None:
    store = Store()
    assert store.image() == b""
    for key, value in ((63, b"88888888"), (0, b"22"), (9, b"4444")):
        assert store.set(key, value) == 0
    values = b"22444488888888"
    assert store.image("little").hex() == "00020000000000800100000000000080" + values.hex()
    assert store.image("big").hex() == "80000000000002008000000000000001" + values.hex()
    assert store.length == 30


def test_del_of_the_last_key_takes_the_header_with_it() -> None:
    store = Store()
    store.set(1, b"22")
    store.set(2, b"4444")
    assert (store.delete(1), store.length) == (0, 20)
    assert (store.delete(2), store.length) == (0, 0)
    assert store.delete(2) == -errno.ENOENT


def test_errors_come_in_their_order() -> None:
    store = Store(room=24)
    assert store.set(1, b"4444") == 0
    assert store.set(64, b"4444", NOEXIST) == -errno.EINVAL
    assert store.set(-1, b"4444") == -errno.EINVAL
    assert store.set(1, b"333", NOEXIST) == -errno.EINVAL
    assert store.set(2, b"22", NOEXIST | REPLACE) == -errno.EINVAL
    assert store.set(1, b"88888888", NOEXIST) == -errno.EEXIST
    assert store.set(1, b"88888888") == -errno.EBUSY
    assert store.set(2, b"88888888") == -errno.ENOSPC
    assert store.set(1, b"88888888", REPLACE) == 0
    assert store.get(1, 7) == -errno.EFBIG
    assert store.get(2, 0) == -errno.ENOENT
    assert store.get(64, 8) == store.delete(64) == -errno.EINVAL
    assert store.get(1, 100) == b"88888888"


def test_it_holds_128_bytes_of_values_whatever_room_there_is() -> None:
    store = Store(room=1000)
    assert [store.set(key, bytes(8)) for key in range(17)] == [0] * 16 + [-errno.ENOSPC]
