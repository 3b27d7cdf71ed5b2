# SPDX-License-Identifier: GPL-2.0-only
"""The lab's verbs. Wiring only: what they do is in harness/lab.py and harness/suite.py."""

import functools
import importlib
import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from harness.errors import EXIT_INTERRUPTED, EXIT_LAB_FAILED, LabError, end_at_once, unexpected


def verb(module: str, **options: Any) -> Callable[[Callable[..., int | None]], Any]:
    """A task whose errors become one message and the documented exit status.

    module: what the body imports from harness. It is imported before Ctrl-C becomes
        an exception, which the import system's own callbacks swallow now and then.
    """

    def decorate(body: Callable[..., int | None]) -> Any:
        @functools.wraps(body)
        def guarded(*arguments: Any, **flags: Any) -> None:
            try:
                importlib.import_module(f"harness.{module}")
                signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
                signal.signal(signal.SIGINT, signal.default_int_handler)
                status = body(*arguments, **flags)
            except LabError as error:
                raise Exit(error.render(), error.status) from None
            except KeyboardInterrupt:
                raise Exit("interrupted", EXIT_INTERRUPTED) from None
            except BrokenPipeError:
                # Whoever read our output has gone, as `head` does; say nothing into it.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise Exit(code=128 + signal.SIGPIPE) from None
            except Exception as error:
                raise Exit(unexpected(error).render(), EXIT_LAB_FAILED) from None
            finally:
                signal.signal(signal.SIGINT, end_at_once)
            if status:
                raise Exit(code=status)

        return task(**options)(guarded)

    return decorate


def _path(name: str | None) -> str | None:
    return str(Path(name).resolve()) if name else None


@verb(
    "lab",
    help={
        "base": "the folder of kernel-patches/ to build",
        "tree": "your own kernel tree instead, as it is; never written to",
        "tarball": "the base's source from a file; needs --sha256",
        "sha256": "what the tarball's SHA-256 has to be",
        "config": "one more configuration fragment",
        "debug": "with KASAN, lockdep, UBSAN and the like, in a folder of its own",
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
) -> None:
    """Build kernel, bpftool, BPF programs and guest image, each only if its inputs changed."""
    from harness import lab
    from harness.config import Selection

    lane = "debug" if debug else ""
    selection = Selection(base, _path(tree), _path(tarball), sha256, _path(config), lane=lane)
    lab.build_selected(selection)


@verb("lab")
def boot(_: Context) -> None:
    """Leave a VM running and print how to reach it."""
    from harness import lab

    lab.boot()


@verb("lab")
def down(_: Context) -> None:
    """Stop the VM."""
    from harness import lab

    lab.down()


@verb("lab", help={"command": "what to run there instead of a prompt"})
def shell(_: Context, command: str = "") -> int:
    """A prompt in the guest; with a COMMAND, run that there."""
    from harness import lab

    return lab.shell(command)


@verb("lab", iterable=["path"], help={"path": "FILE... DIR"})
def put(_: Context, path: list[str]) -> None:
    """FILE... DIR: copy files into a folder of the guest."""
    from harness import lab

    lab.put(path)


@verb("lab", iterable=["path"], help={"path": "FILE... DIR"})
def get(_: Context, path: list[str]) -> None:
    """FILE... DIR: copy files out of the guest."""
    from harness import lab

    lab.get(path)


@verb(
    "suite",
    help={
        "here": "in the VM that boot left running; refused if that is stale",
        "junit": "write a JUnit report to this file",
        "bare": "on the base without the series",
    },
)
def test(c: Context, here: bool = False, junit: str | None = None, bare: bool = False) -> None:
    """Run the guest tests, or those named, in a VM of their own: test -- PYTEST ARGUMENTS."""
    from harness import suite

    suite.guest(shlex.split(c.remainder), here=here, junit=_path(junit), bare=bare)


@verb("suite")
def check(_: Context) -> None:
    """The project's own tests: lint, types, unit, guest."""
    from harness import suite

    suite.check()


@verb("series", iterable=["word"], help={"word": "export"})
def patches(_: Context, word: list[str]) -> None:
    """export: write the commits of the series' tree back as its files."""
    from harness import series

    series.run(word)


@verb("bench")
def bench(_: Context) -> None:
    """Count what the series costs, in guest instructions; builds the bare kernel too."""
    from harness import bench as bench_
    from harness.config import Selection

    bench_.report(Selection.load())


@verb("doctor")
def doctor(_: Context) -> None:
    """Show what this host has, lacks and will use."""
    from harness import doctor as doctor_

    doctor_.report()


@verb("lab", name="clean", help={"all": "sources and keys as well"})
def clean(_: Context, all: bool = False) -> None:
    """Remove what was built and say how much that was."""
    from harness import lab

    lab.clean(all)
