# SPDX-License-Identifier: GPL-2.0-only
"""The verbs build, boot, down, shell, put, get and clean."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from harness.core import progress
from harness.core.errors import EXIT_INTERRUPTED, BadCall, LabError
from harness.core.lock import Busy, locked, unused
from harness.core.progress import say, step
from harness.core.workspace import Lane, Selection, build_root, machine_dir
from harness.machine import keeper, keeper_process, tap, vm
from harness.machine.attach import attached
from harness.machine.build import Artefacts, build
from harness.machine.dump import has_ended
from harness.machine.held import built
from harness.machine.options import OWN, Options
from harness.machine.prestart import early
from harness.machine.session import starter
from harness.machine.ssh.terminal import Left
from harness.testing import drivers


def build_selected(selection: Selection) -> Artefacts:
    """Build, and make this what boot and test use from now on; the drivers' lane is a verdict."""
    if selection.lane == Lane.DRIVERS:
        return drivers.verify(selection)
    with locked(build_root()):
        artefacts = build(selection)
        selection.save()
    return artefacts


def boot(asked: Options | None) -> keeper.Running:
    """Have the current kernel and image running; replaces a VM that runs older ones.

    asked: what the VM has otherwise than the lab's own; None: as the VM that runs already.
    """
    directory = machine_dir()
    with locked(build_root()):
        artefacts = build(Selection.load())
        running = _kept(directory)
        options = asked or (running.options if running else OWN)
        artefacts = artefacts.with_options(replace(options, stays=True))
        why = _outdated(running, artefacts) if running else ""
        if running and not why:
            say(f"boot      kept the VM that runs already (QEMU is process {running.qemu_pid})")
            _say_options(options)
            return running
        if running:
            say(f"boot      replacing a VM that {why}")
            _replace(directory)
        accelerator = artefacts.accelerator
        with step("boot", f"under {accelerator.name}: {accelerator.reason}") as current:
            running = keeper_process.start(directory, artefacts.plan)
            up = "restored" if running.restored else "up"
            current.note = f"{up} under {accelerator.name}: {accelerator.reason}"
    _say_options(options)
    if running.remark:
        say(f"boot      {running.remark}")
    if running.no_tap:
        say(f"boot      eth1 is missing: {running.no_tap}")
    say(f"          ./lab shell, or: {running.address.how_to_reach()}")
    say(f"          console: {running.console}")
    return running


def _outdated(running: keeper.Running, artefacts: Artefacts) -> str:
    """What is wrong with a VM; "" if it is what these artefacts and options make."""
    if running.fingerprint != artefacts.fingerprint:
        return "runs an older kernel or image"
    if replace(running.options, stays=False) != replace(artefacts.options, stays=False):
        return f"was started with {running.options}" if str(running.options) else "has none of that"
    if running.no_tap and tap.why_none() is None:
        return "has no tap, which can be had now"
    with running.own_monitor() as monitor:
        return "has ended" if has_ended(monitor) else ""


def _say_options(options: Options) -> None:
    """Say them, and what they cost, if there is something to be said."""
    if str(options):
        say(f"machine   {options}; until ./lab down")
    if not options.can_be_saved:
        say("          a machine with a folder of the host is booted, never restored")


def _kept(directory: Path) -> keeper.Running | None:
    """The VM that runs, if this version of the lab can use it; another version's is stopped."""
    try:
        return keeper.ask(directory)
    except keeper.OtherVersion:
        say("boot      replacing a VM of another version of the lab")
        _replace(directory)
        return None


def _replace(directory: Path) -> None:
    """Stop a VM for another one's sake: not under somebody's tests."""
    try:
        with locked(directory, keeper.TESTED, wait=False):
            keeper.stop(directory)
    except Busy as error:
        raise LabError(error.message, hint="wait for it, or ./lab down boot") from None


def down() -> None:
    """Stop the VM, and say so when there was none."""
    say(f"down      {keeper.stop(machine_dir()).value}")


@contextmanager
def _in_guest() -> Iterator[vm.Machine]:
    running = keeper.ask(machine_dir())
    if running is None:
        raise BadCall("no VM is running", hint="./lab boot")
    with attached(running, machine_dir()) as machine:
        yield machine


def shell(command: str | None) -> int:
    """A prompt in the guest, or a shell's line there; returns its exit status.

    Without a VM that runs: in one of its own, for as long as this takes.
    """
    progress.use_stderr()
    running = keeper.ask(machine_dir())
    try:
        with attached(running, machine_dir()) if running else _own_machine() as machine:
            if command is None:
                return machine.guest.interact()
            streams = sys.stdin.buffer, sys.stdout.buffer, sys.stderr.buffer
            return machine.guest.stream(command, *streams)
    except Left:  # a guest that hangs, perhaps: no last words to it
        return EXIT_INTERRUPTED


@contextmanager
def _own_machine() -> Iterator[vm.Machine]:
    selection = Selection.load()
    with (
        early(selection) as started,
        built(selection) as artefacts,
        starter(artefacts.plan, early=started)() as machine,
    ):
        yield machine


def put(paths: Sequence[str]) -> None:
    """Copy files and folders, all but the last, into the guest's folder that is the last."""
    if len(paths) < 2:
        raise BadCall("put takes files and a folder of the guest", hint="./lab put FILE... DIR")
    *files, directory = paths
    with _in_guest() as machine:
        machine.guest.put([Path(file) for file in files], directory)


def get(paths: Sequence[str]) -> None:
    """Copy files and folders of the guest, all but the last, into the folder that is the last."""
    if len(paths) < 2:
        raise BadCall("get takes files of the guest and a folder", hint="./lab get FILE... DIR")
    *files, directory = paths
    with _in_guest() as machine:
        machine.guest.get(files, Path(directory))


def clean(everything: bool) -> None:
    """Remove what was built; with `everything` also sources and keys. Says how much.

    Raises BadCall, before anything is removed, if work would be lost.
    """
    from harness.series import unsaved

    root = build_root()
    with locked(root), unused(root):
        unsaved.refuse(root)
        keeper.stop(machine_dir())
        before = shutil.disk_usage(root).free
        for path in sorted(root.iterdir()):
            keep = path.name == "lock" or (
                not everything and path.name in ("downloads", "keys", "selection.json")
            )
            if not keep and path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif not keep:
                path.unlink()
        freed = shutil.disk_usage(root).free - before
    say(f"clean     {freed / 2**30:.1f} GiB freed in {os.fspath(root)}")
