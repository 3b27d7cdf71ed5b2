# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel is compiled and linked with: of what is installed, the fastest that a tree takes.

A tree names the oldest tools that it takes in scripts/min-tool-version.sh.
"""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from harness.core import environment, files
from harness.core.artefact import fingerprint
from harness.core.errors import LabError
from harness.core.host import find, install_line, this_family, versioned
from harness.core.progress import say
from harness.core.run import run

LLD = "ld.lld"  # half of the work of GNU ld, and on all processors
GNU_LD = "ld.bfd"
PROGRAMS = ("gcc", "as", "pahole")  # besides the linker
OLDEST = Path("scripts/min-tool-version.sh")
# pahole's age is in Kconfig alone: 116 is 1.16.
BTF = Path("lib/Kconfig.debug")
BTF_NEEDS = re.compile(
    r"^config DEBUG_INFO_BTF$(?:\n\t.*)*?\n\tdepends on PAHOLE_VERSION >= (\d)(\d+)$", re.MULTILINE
)
KEPT = "toolchains.json"  # what was chosen, by what that rests on: asking takes 0.1 s
VERSION = re.compile(r"(?:LLD|GNU ld\b.*?|^v?)\s*(\d+(?:\.\d+)+)", re.MULTILINE)

Version = tuple[int, ...]


def linker(tree: Path, memory: Path) -> str:
    """The name of the linker for a tree: ld.lld, a newer one beside it, or GNU ld.

    memory: a folder in which the choice is kept. Says what was chosen in the place of ld.lld.
    Raises LabError if the tree takes none of them, or wants a newer gcc or pahole.
    """
    script = tree / OLDEST
    if not script.exists():  # older than Linux 5.13
        return LLD
    candidates = [LLD, *_numbered(), GNU_LD]
    key = fingerprint(script, tree / BTF, *identities([*PROGRAMS, *candidates]))
    kept = memory / KEPT
    known: dict[str, str] = json.loads(kept.read_text()) if kept.exists() else {}
    if key not in known:
        files.replace(kept, json.dumps({**known, key: _chosen(tree, candidates)}))
        known = json.loads(kept.read_text())
    return known[key]


def identities(names: Sequence[str]) -> list[str]:
    """Programs as files: an upgrade of one of them makes another kernel."""
    places = [place.resolve() for name in names if (place := find(name))]
    return [f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}" for path in places]


def _numbered() -> list[str]:
    """The linkers of LLVM's that a distribution has beside its own, the newest one first."""
    folders = [Path(folder) for folder in environment.path().split(os.pathsep)]
    found = {file for folder in folders for file in folder.glob(f"{LLD}-[0-9]*")}
    own = find(LLD)
    names = {file.name for file in found if file.exists() and not (own and file.samefile(own))}
    return sorted(names, key=lambda name: _version(name.removeprefix(f"{LLD}-")), reverse=True)


def _chosen(tree: Path, candidates: Sequence[str]) -> str:
    _refuse_older("gcc", _of("gcc", "-dumpfullversion"), _oldest(tree, "gcc"))
    pahole = BTF_NEEDS.search((tree / BTF).read_text())
    if pahole:
        oldest = (int(pahole[1]), int(pahole[2]))
        _refuse_older("pahole", _of("pahole", "--version"), oldest)
    refused: list[str] = []
    for name in candidates:
        least = _oldest(tree, "binutils" if name == GNU_LD else "llvm")
        version = _of(name, "--version") if find(name) else ()
        if version and version >= least:
            if refused:
                say(f"linker    {name} {_told(version)}: {'; '.join(refused)}")
            return name
        refused.append(f"{name} is {_told(version) or 'missing'}, {_told(least)} is the oldest")
    raise LabError(f"this kernel takes no linker of this machine: {'; '.join(refused)}")


def _refuse_older(program: str, version: Version, least: Version) -> None:
    if version < least:
        hint = install_line([versioned(program)], this_family())
        message = (
            f"this kernel takes {program} {_told(least)} or newer, and {_told(version)} is here"
        )
        raise LabError(message, hint=f"have a newer one come first in PATH, or {hint}")


def _oldest(tree: Path, tool: str) -> Version:
    variables = {"ARCH": "x86", "SRCARCH": "x86"}
    return _version(run(["sh", tree / OLDEST, tool], env=variables, deadline=10))


def _of(program: str, question: str) -> Version:
    found = VERSION.search(run([str(find(program)), question], deadline=10))
    return _version(found[1]) if found else ()


def _version(text: str) -> Version:
    return tuple(int(part) for part in text.strip().split(".") if part.isdigit())


def _told(version: Version) -> str:
    return ".".join(map(str, version))
