# SPDX-License-Identifier: GPL-2.0-only
"""The kernel: its toolchain and settings, its configuration, its build, with progress."""

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from harness.artefacts import inputs, kconfig, modules, stale, toolchain
from harness.artefacts.kernel import Kernel
from harness.artefacts.make import make
from harness.core import artefact
from harness.core.errors import BadCall, LabError
from harness.core.host import require_space
from harness.core.progress import Step, say, step
from harness.core.run import CommandFailed
from harness.core.workspace import Layout

BUILD_DEADLINE = 3600.0  # seconds; 6 to 9 minutes were seen on 2 cores
CONFIG_DEADLINE = 600.0  # seconds; 3 on idle processors, over 120 were seen on loaded ones
# Files that decide what tinyconfig and olddefconfig give.
OPTIONS = re.compile(r"/Kconfig|/configs/|^\./scripts/")
CONFIGURED = ".lab-configured"
# What gcc and sparse print of a line of C.
COMPLAINT = re.compile(
    r"^(?P<file>[^\s:]+\.[chS]):\d+(?::\d+)?: (?P<text>(?:warning|(?:fatal )?error): .*)$",
    re.MULTILINE,
)
COMPILED = re.compile(r"^\s+(?:CC|AS)\s")

# Where a variable is at each half of a statement: a fifth of all debug information, which each
# link copies. Arguments and variables are still where gdb finds them.
KCFLAGS = "-gno-variable-location-views -gno-statement-frontiers"
SETTINGS = {
    "ARCH": "x86",
    "KCFLAGS": KCFLAGS,
    # The same tree gives the same kernel, byte for byte, and ccache keeps hitting.
    "KBUILD_BUILD_TIMESTAMP": "2000-01-01 00:00:00 UTC",
    "KBUILD_BUILD_VERSION": "1",  # else one more at each link
    "KBUILD_BUILD_USER": "lab",
    "KBUILD_BUILD_HOST": "lab",
}
# For an edited file: what it depends on is in the compiler's own list of headers. Else ccache
# preprocesses it to find that out, 0.4 s of 1.8. Not for a build from nothing, which finds
# objects of other configurations by the preprocessed text.
EDITED = {"CCACHE_DEPEND": "1"}


def kernel(
    layout: Layout,
    tree: Path,
    fragments: tuple[Path, ...],
    objects: int,
    *,
    lenient: bool = False,
) -> Kernel:
    """Have the kernel of a tree built with fragments merged over tinyconfig.

    objects: compiler runs to expect of a build from nothing, for the bar.
    lenient: it may lack what the fragments say that a kernel may.
    Raises DoesNotBuild, also for an option that was asked for and dropped.
    """
    obj = layout.objects
    asked, known = _asked(layout, tree, fragments), inputs.known(obj)
    listing = stale.look(obj, tree)
    wanted = artefact.fingerprint("\n".join(listing), asked)
    built = Kernel(obj / "vmlinux", obj / "usr/gen_init_cpio", tree, wanted)
    if artefact.is_current(obj, wanted):
        return built
    _prepare(layout, tree, fragments, listing, lenient=lenient)
    fresh = not (obj / "vmlinux.o").exists()
    log = layout.log("kernel")
    with step("kernel", "building", total=objects if fresh else 0) as current:
        count = _counter(current)
        has_modules = kconfig.parse((obj / ".config").read_text()).get("MODULES") == "y"
        targets = ["vmlinux", "modules"] if has_modules else ["vmlinux"]
        try:
            _make(layout, tree, targets, log, BUILD_DEADLINE, count)
        except CommandFailed as error:
            raise _first_error(error) from None
        modules.remove(obj)
        if has_modules:
            _make(layout, tree, modules.INSTALL, log, BUILD_DEADLINE)
            modules.index(obj, log)
        current.note = f"{count.seen} objects"
    places = inputs.learn(obj, tree)
    found = {*listing, *(inputs.listing(tree, places - known) if known else ())}
    # What was changed since the build began may be in it or not: the next one will see.
    since = inputs.listing(tree, places, obj / stale.STARTED)
    made_of = [line if line in found else inputs.unsure(line) for line in since]
    wanted = artefact.fingerprint("\n".join(made_of), asked)
    if _options(made_of, asked) != _options(listing, asked):
        _configured(layout, _options(made_of, asked))
    stale.end(obj, [*made_of, *_toolchain(layout, tree)])
    files = [built.vmlinux, built.gen_init_cpio, *filter(None, [built.modules])]
    artefact.stamp(obj, wanted, files)
    return replace(built, fingerprint=wanted)


def gdb_scripts(layout: Layout, tree: Path) -> None:
    """Have the tree's commands for gdb beside a built kernel, which stays as it is."""
    _make(layout, tree, ["scripts_gdb"], layout.log("gdb"))


def bzimage(layout: Layout, tree: Path) -> Path:
    """A built kernel's bzImage, for a program other than the lab that boots it."""
    _make(layout, tree, ["bzImage"], layout.log("bzimage"))
    return layout.objects / "arch/x86/boot/bzImage"


def compile_strictly(
    layout: Layout, tree: Path, fragments: tuple[Path, ...], objects: Sequence[str], sparse: bool
) -> str:
    """Compile objects that are not up to date with W=1, and sparse if asked for; what make prints.

    Errors are among it; an object that the configuration does not have is left out.
    """
    listing = stale.look(layout.objects, tree)
    _prepare(layout, tree, fragments, listing)
    words: list[str] = []
    variables = ["W=1", "C=1"] if sparse else ["W=1"]
    try:
        targets = ["--keep-going", *variables, *objects]
        _make(layout, tree, targets, layout.log("kernel"), BUILD_DEADLINE, words.append)
    except CommandFailed as error:
        if not isinstance(_first_error(error), DoesNotBuild):
            raise
    stale.end(layout.objects, [*listing, *_toolchain(layout, tree)])
    return "".join(words)


def _asked(layout: Layout, tree: Path, fragments: tuple[Path, ...]) -> str:
    """A fingerprint of what a kernel depends on besides its tree's files."""
    texts = (path.read_bytes() for path in fragments)
    linker = toolchain.linker(tree, layout.root)
    tools = toolchain.identities([*toolchain.PROGRAMS, linker])
    return artefact.fingerprint(str(tree), *tools, *_settings(linker), *texts)


def _options(listing: Sequence[str], asked: str) -> str:
    """A fingerprint of all that .config depends on."""
    return artefact.fingerprint("\n".join(filter(OPTIONS.search, listing)), asked)


def _prepare(
    layout: Layout,
    tree: Path,
    fragments: tuple[Path, ...],
    listing: Sequence[str],
    *,
    lenient: bool = False,
) -> None:
    """Have everything ready for make: what it may not keep is removed, .config is made."""
    require_space(layout.root, 2.0, "building a kernel")
    (layout.objects / artefact.STAMP).unlink(missing_ok=True)
    stale.begin(layout.objects, tree, [*listing, *_toolchain(layout, tree)])
    options = _options(listing, _asked(layout, tree, fragments))
    _configure(layout, tree, fragments, options, lenient=lenient)


def _ccache(layout: Layout) -> dict[str, str]:
    """Its variables. What stands apart shares its objects' cache with others of its kind.

    Their debug information may name another's folder then: not for a kernel that
    somebody debugs.
    """
    shared = {"CCACHE_BASEDIR": str(layout.root), "CCACHE_NOHASHDIR": "1"}
    edited = (layout.objects / "vmlinux.o").exists()
    return (EDITED if edited else {}) | (shared if layout.apart else {})


def _make(
    layout: Layout,
    tree: Path,
    words: Sequence[str],
    log: Path,
    deadline: float = CONFIG_DEADLINE,
    on_line: Callable[[str], None] | None = None,
) -> None:
    settings = [f"O={layout.objects}", *_settings(toolchain.linker(tree, layout.root))]
    settings += ["CC=ccache gcc"] if shutil.which("ccache") else []
    env = _ccache(layout)
    try:
        make(tree, settings, *words, env=env, log=log, deadline=deadline, on_line=on_line)
    except CommandFailed as error:
        if "is not clean" in error.output:
            raise BadCall(
                f"{tree} was built in place, and so can't be built elsewhere",
                hint=f"git -C {tree} worktree add ../clean, and --tree ../clean; or make mrproper",
                log=log,
            ) from None
        raise


def _settings(linker: str) -> list[str]:
    settings = {**SETTINGS, "LD": linker}
    return [f"{name}={value}" for name, value in settings.items()]


def _toolchain(layout: Layout, tree: Path) -> list[str]:
    """What makes the kernel, as files: an upgrade of one of them makes another kernel."""
    linker = toolchain.linker(tree, layout.root)
    return toolchain.identities([*toolchain.PROGRAMS, linker])


def _configure(
    layout: Layout, tree: Path, fragments: tuple[Path, ...], options: str, *, lenient: bool = False
) -> None:
    """Have .config made of tinyconfig and the fragments, unless it is what these options gave.

    options: a fingerprint of all that .config depends on. It takes 3 s, a tenth of which is
    needed to find that nothing changed; and a .config that is written anew costs make a second.
    """
    log = layout.log("config")
    config = layout.objects / ".config"
    stamp = layout.objects / CONFIGURED
    there = config.exists() and stamp.exists()
    if there and stamp.read_text() == artefact.fingerprint(options, config):
        return
    kconfig.refuse_modules_alone(fragments)
    asked: dict[str, str] = {}
    for path in fragments:
        asked |= kconfig.read_fragment(path)
    _make(layout, tree, ["tinyconfig"], log)
    merged = [config.read_text(), *(path.read_text() for path in fragments)]
    config.write_text("\n".join(merged))
    _make(layout, tree, ["olddefconfig"], log)
    missed = kconfig.dropped(asked, kconfig.parse(config.read_text()), tree)
    # A whole .config, of a distribution say, has some of them.
    if derived := [f"CONFIG_{option.name}" for option in missed if option.derived]:
        say(f"config    nobody can ask for {', '.join(derived)}: of the tools, or of others")
    lost = [option for option in missed if not option.derived]
    if lenient:
        own, *others = fragments
        spare = kconfig.may_lack(own) - {
            name for path in others for name in kconfig.read_fragment(path)
        }
        for option in (option for option in lost if option.name in spare):
            say(f"config    {option}")
        lost = [option for option in lost if option.name not in spare]
    if lost:
        raise DoesNotBuild(
            "options that were asked for were dropped:\n  " + "\n  ".join(map(str, lost)),
            hint="set what they depend on in the same fragment, or drop them there",
            log=log,
        )
    _configured(layout, options)


def _configured(layout: Layout, options: str) -> None:
    """Say what .config was made of."""
    made_from = artefact.fingerprint(options, layout.objects / ".config")
    (layout.objects / CONFIGURED).write_text(made_from)


class _counter:
    """Counts compiler runs as make prints them."""

    def __init__(self, current: Step) -> None:
        self.seen = 0
        self._step = current

    def __call__(self, line: str) -> None:
        if COMPILED.match(line):
            self.seen += 1
            self._step.advance()


class DoesNotBuild(LabError):
    """Configuration, compiler or linker refused the tree; the message has their words."""


def _first_error(error: CommandFailed) -> LabError:
    """The compiler's own message instead of make's last lines, which only say that it failed."""
    lines = error.output.splitlines()
    for number, line in enumerate(lines):
        if re.search(r": (?:fatal )?error: |undefined reference|\*\*\* .*Error \d", line):
            shown = "\n".join(f"    {text}" for text in lines[number : number + 8])
            kind = LabError if error.hint else DoesNotBuild  # a full disk is not the tree's fault
            message = f"the kernel does not build\n{shown}"
            return kind(message, hint=error.hint, log=error.log)
    return error
