# SPDX-License-Identifier: GPL-2.0-only
"""A result that is on its way. As concurrent.futures, which takes 4 ms of each start to import."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Coming(Generic[T]):
    """What a function returns or raises, found out in a thread of its own."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._made: list[T] = []
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._made.append(self._work())
        except BaseException as error:
            self._failure = error

    def result(self) -> T:
        """Wait for it. Raises what the function raised."""
        self.wait()
        if self._failure:
            raise self._failure
        return self._made[0]

    def wait(self) -> None:
        """Until the function has ended, however it did."""
        self._thread.join()
