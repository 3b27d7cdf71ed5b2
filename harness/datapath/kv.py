# SPDX-License-Identifier: GPL-2.0-only
"""The store's twin: what include/net/bpf_kv.h promises, as a dict and a sum."""

import errno
from collections.abc import Mapping
from typing import Literal

KEYS = 64
SIZES = (2, 4, 8)
HEADER = 16
MAX_VALUES = 128
NOEXIST = 1
REPLACE = 2


class Store:
    """Keys and values beside one packet; each call gives what the kernel's gives, or -errno.

    room: bytes that header and values may take.
    """

    def __init__(self, room: int = HEADER + MAX_VALUES) -> None:
        self.room = room
        self._values: dict[int, bytes] = {}

    @property
    def values(self) -> Mapping[int, bytes]:
        """What is stored, by key."""
        return self._values

    @property
    def length(self) -> int:
        """Bytes in use, header included; 0: no store."""
        return _length(self._values)

    def image(self, order: Literal["little", "big"] = "little") -> bytes:
        """Its bytes on a machine of that byte order: both maps, and the values by key."""
        if not self._values:
            return b""
        high = sum(1 << key for key, value in self._values.items() if len(value) != 2)
        low = sum(1 << key for key, value in self._values.items() if len(value) != 4)
        values = [value for _, value in sorted(self._values.items())]
        return b"".join([high.to_bytes(8, order), low.to_bytes(8, order), *values])

    def set(self, key: int, value: bytes, flags: int = 0) -> int:
        """0, or -errno and nothing has changed."""
        if not 0 <= key < KEYS or len(value) not in SIZES or flags not in (0, NOEXIST, REPLACE):
            return -errno.EINVAL
        if key in self._values:
            if flags == NOEXIST:
                return -errno.EEXIST
            if len(self._values[key]) != len(value) and flags != REPLACE:
                return -errno.EBUSY
        after = {**self._values, key: value}
        if _length(after) > min(self.room, HEADER + MAX_VALUES):
            return -errno.ENOSPC
        self._values = after
        return 0

    def get(self, key: int, size: int) -> bytes | int:
        """The value, for a buffer of size bytes; or -errno."""
        if not 0 <= key < KEYS:
            return -errno.EINVAL
        if key not in self._values:
            return -errno.ENOENT
        value = self._values[key]
        return value if len(value) <= size else -errno.EFBIG

    def merge(self, other: "Store", keys: int) -> int:
        """Set what the other has of these keys, a mask. 0, or -errno and nothing has changed."""
        taken = {key: value for key, value in other.values.items() if keys >> key & 1}
        after = {**self._values, **taken}
        if _length(after) > HEADER + MAX_VALUES:
            return -errno.ENOSPC
        self._values = after
        return 0

    def equals(self, other: "Store", keys: int) -> bool:
        """Whether both have the same of these keys, a mask, with the same values."""
        mine, others = (
            {key: value for key, value in store.values.items() if keys >> key & 1}
            for store in (self, other)
        )
        return mine == others

    def delete(self, key: int) -> int:
        """0, or -errno."""
        if not 0 <= key < KEYS:
            return -errno.EINVAL
        return 0 if self._values.pop(key, None) is not None else -errno.ENOENT


def _length(values: Mapping[int, bytes]) -> int:
    return HEADER + sum(map(len, values.values())) if values else 0
