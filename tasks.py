# SPDX-License-Identifier: GPL-2.0-only
"""The lab's verbs. Wiring only: what they do is in harness/commands."""

import shlex
from pathlib import Path

from invoke.context import Context

from harness.commands.cli.verb import Group, verb
from harness.core.errors import BadCall


def _path(name: str | None) -> str | None:
    return str(Path(name).resolve()) if name else None


# Of the machines that a call starts. LAB_QEMU has more words for QEMU.
_MACHINE = {
    "cpus": "N: processors of the VM, instead of 2",
    "memory": "SIZE: its memory, as 768M or 2G, instead of 512M",
    "append": "WORDS: more words for its kernel's command line",
    "share": "DIR: a folder of this machine, read-only at /mnt/share; such a VM is never restored",
}


@verb(
    "commands.lab",
    Group.BUILD,
    help={
        "base": "NAME: the folder of kernel-patches/ to build",
        "tree": "DIR: your own kernel tree instead, as it is; never written to",
        "tarball": "FILE: the base's source from a file; needs --sha256",
        "sha256": "HEX: what the tarball's SHA-256 has to be",
        "config": "FILE: one more configuration fragment",
        "debug": "with KASAN, lockdep, UBSAN and the like, in a folder of its own",
        "drivers": "instead: NIC drivers that no emulator has, with W=1 and their KUnit tests",
    },
)
def build(
    _: Context,
    base: str = "6.12",
    tree: str | None = None,
    tarball: str | None = None,
    sha256: str | None = None,
    config: str | None = None,
    debug: bool = False,
    drivers: bool = False,
) -> None:
    """Build kernel, BPF programs and guest image: what is not current."""
    from harness.commands import lab
    from harness.core.errors import BadCall
    from harness.core.workspace import Lane, Selection

    if debug and drivers:
        raise BadCall("--debug and --drivers exclude each other")
    lane = Lane.DRIVERS if drivers else Lane.DEBUG if debug else Lane.PLAIN
    selection = Selection(base, _path(tree), _path(tarball), sha256, _path(config), lane=lane)
    lab.build_selected(selection)


@verb("commands.lab", Group.RUN, help=_MACHINE)
def boot(
    _: Context,
    cpus: str | None = None,
    memory: str | None = None,
    append: str | None = None,
    share: str | None = None,
) -> None:
    """Leave a VM running and print how to reach it."""
    from harness.commands import lab
    from harness.machine.options import asked

    lab.boot(asked(cpus, memory, append, share))


@verb("commands.lab", Group.RUN)
def down(_: Context) -> None:
    """Stop the VM."""
    from harness.commands import lab

    lab.down()


@verb("commands.lab", Group.RUN, takes={"command": "[COMMAND]"})
def shell(_: Context, command: str | None = None) -> int:
    """A prompt in the guest; with a COMMAND, run that there.

    One word is a shell's line, several are an argv, kept as they are.
    The command has this one's stdin: in a loop that reads a list, </dev/null.
    """
    from harness.commands import lab

    return lab.shell(command)


@verb("commands.lab", Group.RUN, takes={"path": "FILE... DIR"}, iterable=["path"])
def put(_: Context, path: list[str]) -> None:
    """Copy files into a folder of the guest."""
    from harness.commands import lab

    lab.put(path)


@verb("commands.lab", Group.RUN, takes={"path": "FILE... DIR"}, iterable=["path"])
def get(_: Context, path: list[str]) -> None:
    """Copy files out of the guest into a folder."""
    from harness.commands import lab

    lab.get(path)


@verb("commands.debug", Group.LOOK)
def console(_: Context) -> None:
    """Follow the console of the VM that boot left running."""
    from harness.commands import debug

    debug.console()


@verb("commands.debug", Group.LOOK, behind="GDB ARGUMENTS")
def gdb(c: Context) -> int:
    """Debug that VM's kernel: symbols, and the lx- commands."""
    from harness.commands import debug

    return debug.gdb(shlex.split(c.remainder))


@verb("commands.debug", Group.LOOK, takes={"file": "FILE"}, iterable=["file"])
def dump(_: Context, file: list[str]) -> None:
    """Write that VM's memory, also a dead kernel's, into a file."""
    from harness.commands import debug

    if len(file) != 1:
        raise BadCall("dump takes one file, to be written", hint="./lab dump FILE")
    debug.dump(file[0])


@verb("commands.debug", Group.LOOK, takes={"file": "[FILE]"}, iterable=["file"])
def drgn(_: Context, file: list[str]) -> int:
    """Look at a dump with drgn; at that VM's memory without a FILE."""
    from harness.commands import debug

    if len(file) > 1:
        raise BadCall("drgn takes one dump, or none", hint="./lab drgn [FILE]")
    return debug.drgn(file[0] if file else None)


@verb(
    "commands.trace",
    Group.LOOK,
    takes={"word": "FUNCTION... -- PYTEST ARGUMENTS"},
    iterable=["word"],
)
def trace(_: Context, word: list[str]) -> None:
    """Run tests with a function graph of the kernel's functions."""
    from harness.commands import trace as trace_

    trace_.trace(word)


@verb(
    "testing.suite",
    Group.PROVE,
    behind="PYTEST ARGUMENTS",
    help={
        "here": "in the VM that boot left running; refused if that is stale",
        "junit": "FILE: write a JUnit report there",
        "html": "FILE: write a page there: verdicts, and what each failure rests on",
        "fresh": "a VM of its own for each test, not for each module",
        "keep": "end at the first failure; its VM stays as it is until Ctrl-C",
        "pcap": "the frames of each NIC while a test ran that failed, in build/pcap",
        "dump": "the memory of a guest that panicked or hangs, in build/dump, for drgn",
        "bare": "on the base without the series: all must fail but those marked unchanged",
        **_MACHINE,
    },
)
def test(
    c: Context,
    here: bool = False,
    junit: str | None = None,
    html: str | None = None,
    bare: bool = False,
    fresh: bool = False,
    keep: bool = False,
    pcap: bool = False,
    dump: bool = False,
    cpus: str | None = None,
    memory: str | None = None,
    append: str | None = None,
    share: str | None = None,
) -> None:
    """Run the quick guest tests, or those named, in a VM of their own."""
    from harness.machine.options import asked
    from harness.testing import suite

    words = shlex.split(c.remainder)
    reports = {"junit": _path(junit), "html": _path(html)}
    options = asked(cpus, memory, append, share)
    suite.guest(
        words,
        options,
        here=here,
        bare=bare,
        fresh=fresh,
        keep=keep,
        pcap=pcap,
        dump=dump,
        **reports,
    )


@verb(
    "commands.selftests",
    Group.PROVE,
    behind="NAME...",
    help={
        "junit": "FILE: write the verdicts there as a JUnit report",
        "html": "FILE: write them there as a page",
    },
)
def selftests(c: Context, junit: str | None = None, html: str | None = None) -> None:
    """Run the kernel's own tests with and without the series."""
    from harness.commands import selftests as selftests_

    selftests_.run(shlex.split(c.remainder), junit=_path(junit), html=_path(html))


@verb("commands.check", Group.PROVE)
def check(_: Context) -> None:
    """Run the project's own tests: lint, types, unit, guest."""
    from harness.commands import check as check_

    check_.check()


@verb(
    "native.host_tests",
    Group.PROVE,
    takes={"word": "[foreign | fuzz]"},
    iterable=["word"],
    name="host",
)
def host(_: Context, word: list[str]) -> None:
    """Test what of the series needs no guest: the store's encoding.

    foreign: compiled for other machines, big-endian and 32-bit ones, and emulated.
    fuzz: with libFuzzer, for a minute.
    """
    from harness.native import host_tests

    host_tests.host_tests(word)


@verb(
    "commands.patches",
    Group.SERIES,
    takes={
        "word": "export | check [NAME...] | upto NAME | cover NAME | drop N... | only N..."
        " | bisect [GOOD BAD --] TEST..."
    },
    iterable=["word"],
)
def patches(_: Context, word: list[str]) -> None:
    """Work on the series, whose tree has a commit a patch.

    export: write the tree's commits back as files.
    check [NAME...]: checkpatch, build up to each patch, of these sub-series, with W=1, sparse.
    upto NAME: build the series to the end of a sub-series, for boot and test.
    cover NAME: write the letter and the patches of a sub-series, to be posted.
    drop N...: build the series without these, for boot and test.
    only N...: build only these of the series, for boot and test.
    bisect TEST...: find the patch from which on tests fail, or pass.
    bisect GOOD BAD -- TEST...: the same between two revisions of your tree.
    """
    from harness.commands import patches

    patches.run(word)


@verb(
    "series.mutants",
    Group.PROVE,
    takes={"word": "[left] [patches [N...] | NAME...]"},
    iterable=["word"],
)
def mutants(_: Context, word: list[str]) -> None:
    """Plant faults in the series, one at a time: each must fail a test.

    patches: the series up to each patch, and without each, instead.
    left: only what was not judged yet.
    """
    from harness.series import mutants as mutants_

    mutants_.run(word)


@verb("commands.watch", Group.PROVE, behind="PYTEST ARGUMENTS")
def watch(c: Context) -> None:
    """Build and test after each saved change, until Ctrl-C."""
    from harness.commands import watch as watch_

    watch_.watch(shlex.split(c.remainder))


@verb(
    "commands.repeat",
    Group.PROVE,
    help={
        "runs": "N: how often",
        "at-once": "N: how many at a time, each in a VM of its own",
        "seed": "N: of the first run's order; each run has the next one",
    },
)
def repeat(_: Context, runs: int = 50, at_once: int = 2, seed: int = 1) -> None:
    """Run the quick suite again and again in random order: finds flakes."""
    from harness.commands import repeat as repeat_

    repeat_.repeat(runs, at_once, seed)


@verb("commands.bench_series", Group.PROVE, takes={"word": "[loop | encodings]"}, iterable=["word"])
def bench(_: Context, word: list[str]) -> None:
    """Count what the series costs, in guest instructions.

    Builds the bare kernel too. With loop: time what a developer waits for, from an
    edit to a verdict, beside virtme-ng where that is installed. With encodings:
    only the store's encoding beside its rivals, on this machine's CPU.
    """
    from harness.commands import bench_encodings, bench_loop
    from harness.commands import bench_series as bench_
    from harness.core.workspace import Selection

    if word not in ([], ["loop"], ["encodings"]):
        hint = "./lab bench, bench loop or bench encodings"
        raise BadCall(f"bench does not know {shlex.join(word)}", hint=hint)
    if word == ["loop"]:
        bench_loop.report()
        return
    selection = Selection.load()
    if not word:
        bench_.report(selection)
    bench_encodings.report(selection)


@verb("commands.doctor", Group.HOST)
def doctor(_: Context) -> None:
    """Show what here will slow or break a run, and the remedy."""
    from harness.commands import doctor as doctor_

    doctor_.report()


@verb("commands.lab", Group.HOST, name="clean", help={"all": "sources and keys as well"})
def clean(_: Context, all: bool = False) -> None:
    """Remove what was built and say how much that was."""
    from harness.commands import lab

    lab.clean(all)
