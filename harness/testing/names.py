# SPDX-License-Identifier: GPL-2.0-only
"""What files of a test's own are called."""

import re

LENGTH = 120  # characters, most of a byte; a file system takes 255 bytes


def as_file_name(nodeid: str) -> str:
    """What a test is called, as a file's name to which something is added; its end, if long."""
    return re.sub(r"[^\w.-]+", "_", nodeid)[-LENGTH:]
