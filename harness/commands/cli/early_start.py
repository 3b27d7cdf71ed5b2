# SPDX-License-Identifier: GPL-2.0-only
"""Whether `./lab`'s words will want a machine, told without the modules that understand them.

Why that is asked: harness/machine/prestart.py.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def of(words: Sequence[str]) -> Iterator[None]:
    """Have the machine started that these words will want, for the length of the context."""
    if not want_one(words):
        yield
        return
    from harness.machine.prestart import begin

    with begin():
        yield


def want_one(words: Sequence[str]) -> bool:
    """A command in a guest, or tests of one module: more of them get machines side by side."""
    return words[:1] == ["shell"] or (words[:1] == ["test"] and any("::" in w for w in words))
