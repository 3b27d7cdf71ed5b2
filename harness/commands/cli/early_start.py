# SPDX-License-Identifier: GPL-2.0-only
"""Whether `./lab`'s words will want a machine, told without the modules that understand them.

A saved machine needs as long to answer as those modules need to be imported.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def of(words: Sequence[str]) -> Iterator[None]:
    """Have the machine started that these words will want, for the length of the context.

    A guess: session.Early throws away what nobody takes.
    """
    if not want_one(words):
        yield
        return
    from harness.machine.session import begin

    with begin():
        yield


def want_one(words: Sequence[str]) -> bool:
    """A command in a guest, or tests of one module: more of them get machines side by side."""
    return words[:1] == ["shell"] or (words[:1] == ["test"] and any("::" in w for w in words))
