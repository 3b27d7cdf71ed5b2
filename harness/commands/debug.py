# SPDX-License-Identifier: GPL-2.0-only
"""A look inside the VM that `boot` left: its console, its kernel under gdb, its memory."""

import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.artefacts import kbuild
from harness.console.log import ConsoleFile, plain
from harness.core.environment import TERMINAL
from harness.core.errors import BadCall, LabError
from harness.core.host import Need, install_line, this_family
from harness.core.lock import locked
from harness.core.progress import step
from harness.core.run import start
from harness.core.workspace import Layout, Selection, build_root, machine_dir
from harness.machine import keeper
from harness.machine.build import build
from harness.machine.dump import dump as dump_to
from harness.machine.plan import last
from harness.machine.qmp import MonitorError

GDB = Need("gdb", "gdb")
DRGN_HINT = "pip install drgn, in an environment of your own that is in PATH"
POLL = 0.1  # seconds
UNIX_PATH_MAX = 107  # bytes, unix(7)


@contextmanager
def _running() -> Iterator[keeper.Running]:
    running = keeper.ask(machine_dir())
    if running is None:
        raise BadCall("no VM is running", hint="./lab boot")
    with contextlib.closing(running):
        yield running


def console() -> None:
    """Print the console from its beginning, and go on with it until the VM ends or Ctrl-C."""
    with _running() as running:
        process = Path(f"/proc/{running.qemu_pid}")
        file, rest = ConsoleFile(running.console), b""
        while True:
            ended = not process.exists()
            *lines, rest = (rest + file.read_new()).split(b"\n")
            for line in lines:
                print(plain(line))
            sys.stdout.flush()
            if ended:
                return
            time.sleep(POLL)


def gdb(arguments: list[str]) -> int:
    """gdb on the running kernel, which stands still meanwhile; returns gdb's exit status.

    With symbols, and the lx- commands of the tree's scripts. arguments: more of gdb's own.
    """
    if not shutil.which("gdb"):
        raise LabError("gdb is not installed", hint=install_line([GDB], this_family()))
    with _running() as running:
        selection = Selection.load()
        with locked(build_root()):
            artefacts = build(selection)
            if running.fingerprint != artefacts.fingerprint:
                raise BadCall(
                    "the VM runs another kernel than what is built", hint="./lab boot gdb"
                )
            layout, tree = Layout.of(selection), artefacts.kernel.tree
            kbuild.gdb_scripts(layout, tree)
            obj = layout.objects
        with _stub(running) as address:
            words = ["gdb", "-q", "-iex", f"add-auto-load-safe-path {obj}:{tree}"]
            words += ["-ex", f"target remote {address}", *arguments, str(artefacts.kernel.vmlinux)]
            return _foreground(words, obj)


@contextmanager
def _stub(running: keeper.Running) -> Iterator[str]:
    """QEMU's gdb stub, on a socket that only this user reaches, for the length of the context."""
    path = machine_dir().resolve() / "gdb.sock"
    if len(bytes(path)) > UNIX_PATH_MAX:
        raise BadCall(
            f"too long for a socket's path: {path}", hint="a checkout with a shorter path"
        )
    with running.own_monitor() as monitor:
        said = monitor.human(f"gdbserver unix:{path},server=on,wait=off")
        if "Waiting for gdb" not in said:
            raise LabError(f"QEMU opens no gdb stub: {said.strip()}")
        try:
            yield str(path)
        finally:
            with contextlib.suppress(MonitorError):
                monitor.human("gdbserver none")
                monitor.command("cont")
            path.unlink(missing_ok=True)


def dump(file: str) -> None:
    """Write the memory of the VM, whose kernel may be dead, into a file."""
    path = Path(file)
    if not path.name or (path.exists() and not path.is_file()):
        raise BadCall(f"{file!r} is no file that could be written", hint="./lab dump FILE")
    with (
        _running() as running,
        running.own_monitor() as monitor,
        step("dump", "writing the guest's memory") as current,
    ):
        dump_to(monitor, path)
        current.note = f"{file}, {path.stat().st_size / 1e6:.0f} MB"


def drgn(file: str | None) -> int:
    """drgn on a dump, or on one of the VM that is made now and does not stay; its exit status.

    Nothing is built: what fits the dump could be lost. drgn itself says if vmlinux does not fit.
    """
    if not shutil.which("drgn"):
        raise LabError("drgn is not installed", hint=DRGN_HINT)
    selection = Selection.load()
    vmlinux = Layout.of(selection).objects / "vmlinux"
    if file is not None:
        return _drgn(Path(file), vmlinux)
    built = last(selection)
    with _running() as running:
        if built is None or running.fingerprint != built.state.made_from:
            raise BadCall(
                "the VM runs another kernel than what is built: its vmlinux is gone",
                hint="./lab dump FILE keeps its memory",
            )
    with tempfile.TemporaryDirectory(dir=machine_dir(), prefix="dump-") as directory:
        dump(f"{directory}/memory")
        return _drgn(Path(directory, "memory"), vmlinux)


def _drgn(file: Path, vmlinux: Path) -> int:
    if not file.is_file():
        raise BadCall(f"there is no dump {file}", hint="./lab dump FILE")
    if not vmlinux.exists():
        raise LabError(f"there is no {vmlinux}", hint="./lab build")
    return _foreground(["drgn", "-c", str(file.resolve()), "-s", str(vmlinux)], Path.cwd())


def _foreground(words: list[str], directory: Path) -> int:
    """Run a program on this terminal; Ctrl-C is for it alone."""
    # Not SIG_IGN: the program would inherit that.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        return start(words, TERMINAL, cwd=directory).wait()
    finally:
        signal.signal(signal.SIGINT, before)
