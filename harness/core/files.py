# SPDX-License-Identifier: GPL-2.0-only
"""Files that are complete, or as they were, for whoever reads them meanwhile."""

import os
from pathlib import Path

BESIDE = ".lab-new"  # how the name of a file ends that a kill left half written


def replace(path: Path, content: str | bytes, mode: int = 0o666) -> None:
    """Have this in the file. mode: as open(2) takes it, umask and all. Raises OSError.

    Two processes may do it at once: the content of the last one stays.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}{BESIDE}")
    data = content.encode() if isinstance(content, str) else content
    try:
        beside.touch(mode)
        beside.write_bytes(data)
        beside.rename(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
