# SPDX-License-Identifier: GPL-2.0-only
"""What all unit tests have: they run in any environment."""

import pytest

from harness.core import environment


@pytest.fixture(autouse=True)
def nothing_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable that the lab refuses where it builds."""
    for name in environment.asked():
        monkeypatch.delenv(name)
