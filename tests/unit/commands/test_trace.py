# SPDX-License-Identifier: GPL-2.0-only
"""What trace wants to be told."""

import pytest

from harness.commands.trace import trace
from harness.core.errors import BadCall


@pytest.mark.parametrize("words", [[], ["veth_xdp_rcv"], ["--", "tests/guest"]])
def test_functions_then_tests(words: list[str]) -> None:
    with pytest.raises(BadCall, match="takes functions, then tests"):
        trace(words)
