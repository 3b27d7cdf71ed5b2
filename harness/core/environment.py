# SPDX-License-Identifier: GPL-2.0-only
"""The environment of each program that the lab starts: only variables that are named here.

A variable that nobody thought of can redirect git to another repository, add a library to
the guest, or have another kernel built. So each kind of program has a list of what goes
through to it; all the rest is left out without a word, but for what `asked()` tells.

This module imports nothing of the lab, as `./lab` runs it, too, for what it starts before
there is a Python environment:  environment.py KIND PROGRAM ARGUMENT...
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

_EVERY = {
    "PATH",  # where programs are
    "HOME",  # where they keep what is the user's: what ccache has, QEMU's and apt's settings
    "USER",
    "LOGNAME",
    "TMPDIR",  # where there is room
    "TERM",
    "LANG",
}
# Where a network is reached only in a certain way, and by whom it is vouched for.
_NETWORK = {
    *("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"),
}
_USER_FOLDERS = {"XDG_CACHE_HOME", "XDG_CONFIG_HOME"}
_APT = {
    "APT_CONFIG",  # its mirrors may be named there
    "DEBIAN_FRONTEND",
    # They ask on the terminal otherwise, or print pages.
    *("APT_LISTCHANGES_FRONTEND", "APT_LISTBUGS_FRONTEND", "NEEDRESTART_MODE"),
}
_PIP = {
    # Where packages come from. Not where they go, nor which: that is the lab's.
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_FIND_LINKS"),
    *("PIP_CONFIG_FILE", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_TRUSTED_HOST", "PIP_PROXY"),
    *("PIP_DEFAULT_TIMEOUT", "PIP_TIMEOUT", "PIP_RETRIES", "PIP_KEYRING_PROVIDER"),
    *("PIP_CACHE_DIR", "PIP_NO_CACHE_DIR"),
}
_CCACHE = {"CCACHE_*"}  # where it keeps objects, how many, whether at all
# These have it run something else than the compiler that it is given.
_CCACHE_NOT = {"CCACHE_COMPILER", "CCACHE_COMPILERTYPE", "CCACHE_PATH", "CCACHE_PREFIX*"}
_LAB = {
    "LAB_*",  # README's
    "GITHUB_STEP_SUMMARY",  # where a run leaves its short form
    "container",  # how systemd's and podman's say that this is one
    "TZ",  # `watch` tells the time
}
_TERMINAL = {
    *("COLUMNS", "LINES", "COLORTERM", "NO_COLOR", "LC_*", "LANGUAGE"),
    *("SHELL", "EDITOR", "VISUAL", "PAGER", "LESS", "INPUTRC"),
    *("GDBHISTFILE", "GDBHISTSIZE", "DEBUGINFOD_URLS", "XDG_DATA_HOME"),
}

# By what else than the lab's own way a kernel is asked to be built, and what asks for that way.
_ASKS = {
    "ARCH": ("x86", "x86_64"),
    "CC": ("gcc", "ccache gcc"),
    "CROSS_COMPILE": (),
    "KAFLAGS": (),
    "KCFLAGS": (),
    "KCONFIG_ALLCONFIG": (),
    "KCONFIG_CONFIG": (".config",),
    "KCPPFLAGS": (),
    "LD": ("ld.lld",),
    "LLVM": (),
    "LOCALVERSION": (),
}


@dataclass(frozen=True)
class Kind:
    """What goes through to a kind of program: names, of which `*` ends one that begins so.

    but: what does not all the same.
    fixed: what is set whatever it was.
    """

    through: frozenset[str]
    but: frozenset[str] = frozenset()
    fixed: Mapping[str, str] = field(default_factory=lambda: {"LC_ALL": "C.UTF-8"})

    def passes(self, name: str) -> bool:
        """Whether a variable goes through."""
        return _among(name, self.through) and not _among(name, self.but)


def _among(name: str, names: frozenset[str]) -> bool:
    return name in names or any(each[-1] == "*" and name.startswith(each[:-1]) for each in names)


_GIT = {
    # Where a user's configuration is, and how a remote is reached.
    *("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_COUNT"),
    *("GIT_CONFIG_KEY_*", "GIT_CONFIG_VALUE_*", "GIT_CONFIG_PARAMETERS"),
    *("GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSL_*", "GIT_PROXY_COMMAND", "SSH_AUTH_SOCK"),
}

PROGRAM = Kind(frozenset(_EVERY))  # QEMU, git, and whatever has no kind of its own
APT = Kind(frozenset(_EVERY | _NETWORK | _APT))
PIP = Kind(frozenset(_EVERY | _NETWORK | _USER_FOLDERS | _PIP))
COMPILER = Kind(frozenset(_EVERY | _USER_FOLDERS | _CCACHE), frozenset(_CCACHE_NOT))
# A git that talks to a user's remote, as the user's own does; it asks for no password.
USERS_GIT = Kind(
    frozenset(_EVERY | _NETWORK | _USER_FOLDERS | _GIT),
    fixed={"LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0"},
)
# On the user's terminal: in their language, with their settings.
TERMINAL = Kind(frozenset(_EVERY | _USER_FOLDERS | _TERMINAL), fixed={})
# The lab once more, its keeper, its linters and tests. It decides itself for its children, and
# says itself what it refuses. No module comes from the folder where it was called.
LAB = Kind(
    APT.through | COMPILER.through | frozenset(_LAB | _ASKS.keys()),
    # More words for QEMU are for the machines of a call: not of repeat's, bench's and check's.
    COMPILER.but | {"LAB_QEMU"},
    {"LC_ALL": "C.UTF-8", "PYTHONSAFEPATH": "1", "PYTHONNOUSERSITE": "1"}
    | ({"PYTHONPYCACHEPREFIX": sys.pycache_prefix} if sys.pycache_prefix else {}),
)


def path() -> str:
    """Where programs are looked for: not in the folder that somebody happens to be in."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(filter(os.path.isabs, folders))


def of(kind: Kind) -> dict[str, str]:
    """The environment of a program of this kind."""
    inherited = {name: value for name, value in os.environ.items() if kind.passes(name)}
    return {**inherited, "PATH": path(), **kind.fixed}


def asked() -> dict[str, str]:
    """What is set here to have a kernel built otherwise than the lab does: it would not be."""
    found = {name: os.environ.get(name, "") for name in _ASKS}
    return {name: value for name, value in found.items() if value and value not in _ASKS[name]}


@contextmanager
def of_tests() -> Iterator[None]:
    """Have this process be one in which pytest may run: it, and the workers that it starts, obey
    no options and import no modules but those that it is given.
    """
    before = dict(os.environ)
    for name in before:
        if name.startswith(("PYTEST_", "PYTHON")):
            del os.environ[name]
    os.environ.update({name: value for name, value in LAB.fixed.items() if name[:2] == "PY"})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


if __name__ == "__main__":
    kind, program, *arguments = sys.argv[1:]
    os.execvpe(program, [program, *arguments], of({"apt": APT, "pip": PIP}[kind]))
