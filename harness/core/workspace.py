# SPDX-License-Identifier: GPL-2.0-only
"""Where things are, and what the user chose to build.

`Layout` is every path of one variant of the kernel; `Selection` is what the
last `build` was asked for, so that `boot` and `test` mean the same kernel.
"""

import enum
import hashlib
import json
import os
import re
import shlex
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.core import files, private
from harness.core.errors import BadCall, LabError
from harness.core.host import Need, versioned

ROOT = Path(__file__).resolve().parents[2]
SERIES_ROOT = ROOT / "kernel-patches"
DEFAULT_BASE = "6.12"
FIT = "/_.+-=@~"  # besides letters and digits, of any alphabet: what a path to build in may have
FALLBACK_CACHE = Path(f"/var/tmp/cache-{os.getuid()}")


def build_root() -> Path:
    """The folder of everything that is built: ROOT/build.

    Not every path can be built in, so below another one `build` is a symbolic link
    to a folder of this checkout's own in the user's cache.
    """
    build = ROOT / "build"
    if not unfit(build):
        build.mkdir(exist_ok=True)
        return build
    if build.is_symlink():
        return _in_cache(build.readlink())  # made under another HOME, perhaps
    caches = (
        Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")),
        FALLBACK_CACHE,
    )
    cache = next(path for path in caches if path.is_absolute() and not unfit(path))
    name = hashlib.sha256(os.fsencode(ROOT)).hexdigest()[:16]
    target = cache / "kernel-patch-lab" / name
    if build.exists():  # the checkout was moved here
        move = shlex.join(["mv", os.fspath(build), os.fspath(target)])
        raise LabError(
            f"make can't take {unfit(build)!r} in the path of {build}",
            hint=f"mkdir -p {target.parent} && {move}, or move the checkout elsewhere",
        )
    target = _in_cache(target)
    build.symlink_to(target)
    return target


def _in_cache(target: Path) -> Path:
    if target.is_relative_to(FALLBACK_CACHE):
        private.claim(FALLBACK_CACHE)
    target.mkdir(parents=True, exist_ok=True)
    return target


def machine_dir() -> Path:
    """The folder of the VM that `boot` leaves running, of all VMs' consoles, and of sockets."""
    return private.folder(build_root() / "vm")


def unfit(path: Path) -> str:
    """The characters of a path for which it can't be built in, each once; "" if there are none.

    Of those that are something to a shell, to make or to Kbuild at least one of them, or
    one of the tree's scripts, fails at each (white space and ':' are refused by the top
    Makefile), or takes the path for others too ('*').
    """
    return "".join(sorted({char for char in str(path) if not (char.isalnum() or char in FIT)}))


@dataclass(frozen=True)
class Base:
    """A kernel that a series applies to, as its BASE file names it.

    package, version: Debian's source package.
    suite: of Debian's, that has it, where the machine's own apt does not.
    tools: that it is built with, by their names in PATH.
    clang: of the version that its own tests are compiled with.
    objects: compiler runs of a build from nothing.
    """

    package: str
    version: str
    suite: str
    tools: tuple[Need, ...]
    clang: Need
    objects: int
    series_dir: Path

    @classmethod
    def load(cls, name: str) -> "Base":
        """The base of kernel-patches/NAME; BadCall if there is none."""
        directory = SERIES_ROOT / name
        try:
            text = (directory / "BASE").read_text()
        except OSError:
            known = ", ".join(sorted(path.parent.name for path in SERIES_ROOT.glob("*/BASE")))
            raise BadCall(f"no base {name!r}", hint=f"bases: {known}") from None
        try:
            fields = tomllib.loads(text)
            tools = tuple(versioned(name) for name in fields.pop("tools"))
            clang = versioned(fields.pop("clang"))
            return cls(series_dir=directory, tools=tools, clang=clang, **fields)
        except (tomllib.TOMLDecodeError, TypeError, KeyError) as error:
            raise LabError(f"{directory / 'BASE'}: {error}") from None


class Lane(enum.StrEnum):
    """Another configuration of the same tree: with the base's config.LANE, if there is one."""

    PLAIN = ""
    DEBUG = "debug"
    DRIVERS = "drivers"
    STRICT = "w1"  # objects that `patches check` compiles with W=1 and sparse
    VIRTME = "virtme"  # what `bench loop` compares with
    SELFTESTS = "selftests"  # for the kernel's own tests


@dataclass(frozen=True)
class Selection:
    """What `build` was asked for.

    tree: a kernel tree of the user's own, used as it is and never written to.
    tarball, sha256: the base's source from a file instead of from apt.
    fragment: one more configuration fragment.
    bare: the base without the series.
    commit, place: a commit instead of the tree as it is, in a clone of that name; "" if none.
    """

    base: str = DEFAULT_BASE
    tree: str | None = None
    tarball: str | None = None
    sha256: str | None = None
    fragment: str | None = None
    bare: bool = False
    lane: Lane = Lane.PLAIN
    commit: str = ""
    place: str = ""

    @property
    def source(self) -> str:
        """The name of the folder below build/ with the kernel's tree, which all lanes share."""
        if self.tree:
            name = f"tree-{hashlib.sha256(os.fsencode(self.tree)).hexdigest()[:8]}"
        else:
            name = f"{self.base}-{self.sha256[:8]}" if self.sha256 else self.base
        suffix = "bare" if self.bare else self.place
        return f"{name}-{suffix}" if suffix else name

    @property
    def variant(self) -> str:
        """The name of this selection's folder below build/: a kernel, and what is made from it."""
        return f"{self.source}-{self.lane}" if self.lane else self.source

    def __post_init__(self) -> None:
        """Refuse what makes no sense together. Raises BadCall, ValueError for no lane's name."""
        object.__setattr__(self, "lane", Lane(self.lane))  # as json has it
        if self.tree and (self.tarball or self.bare):
            raise BadCall("--tree is used as it is: without --tarball, without --bare")
        if bool(self.tarball) != bool(self.sha256):
            raise BadCall(
                "--tarball and --sha256 go together",
                hint="sha256sum FILE, and compare it with what its publisher says",
            )
        if self.sha256 and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise BadCall(f"not a SHA-256: {self.sha256}", hint="64 hexadecimal digits")

    @classmethod
    def load(cls) -> "Selection":
        """The selection of the last build, or the default one."""
        try:
            told = cls(**json.loads((build_root() / "selection.json").read_text()))
        except (OSError, ValueError, TypeError, BadCall):
            return cls()
        return told if isinstance(told.base, str) else cls()

    def save(self) -> None:
        """Make this the selection that later commands use."""
        files.replace(build_root() / "selection.json", json.dumps(asdict(self)))


@dataclass(frozen=True)
class Layout:
    """The paths of one variant. What is shared by all variants is directly below build/.

    apart: nobody edits or debugs this one, it is for many kernels in turn.
    """

    root: Path
    source: Path
    variant: Path
    apart: bool = False

    @classmethod
    def of(cls, selection: Selection) -> "Layout":
        """The layout of a selection; its folders are made by the steps that fill them."""
        root = build_root()
        return cls(root, root / selection.source, root / selection.variant, bool(selection.place))

    @property
    def downloads(self) -> Path:
        return self.root / "downloads"

    @property
    def logs(self) -> Path:
        return self.variant / "logs"

    def log(self, step: str) -> Path:
        """The log file of a step, emptied."""
        self.logs.mkdir(parents=True, exist_ok=True)
        path = self.logs / f"{step}.log"
        path.write_bytes(b"")
        return path

    @property
    def linux(self) -> Path:
        return self.source / "linux"

    @property
    def objects(self) -> Path:
        return self.variant / "obj"
