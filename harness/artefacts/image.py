# SPDX-License-Identifier: GPL-2.0-only
"""The guest's initramfs and the keys that open it. No root is needed to make either."""

import gzip
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.artefacts.bpftool import Tools
from harness.artefacts.kernel import Kernel
from harness.core import artefact, private
from harness.core.errors import LabError
from harness.core.host import find, libraries
from harness.core.progress import step
from harness.core.run import run
from harness.core.workspace import ROOT, Lane, Layout

SOURCES = ROOT / "images"


@dataclass(frozen=True)
class Network:
    """The management network, as QEMU's -netdev user lays it out by default."""

    guest: str = "10.0.2.15"
    host: str = "10.0.2.2"


@dataclass(frozen=True)
class Keys:
    """The key pair of this lab: the client's private key (OpenSSH), the guest's public line."""

    client: Path
    host_public: str


@dataclass(frozen=True)
class Image:
    """An initramfs (newc, gzip), and the fingerprint of what is in it."""

    initramfs: Path
    fingerprint: str


def keys(layout: Layout) -> Keys:
    """The keys that this checkout's guests are reached with, made once."""
    directory = layout.root / "keys"

    def fill(path: Path) -> None:
        # Here, as jinja2 below: slow to import, and nearly never needed.
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
            PublicFormat,
        )

        private = Ed25519PrivateKey.generate()
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        client = path / "id_ed25519"
        client.touch(mode=0o600)
        client.write_bytes(pem)
        _dropbear_key(path / "host_key")
        public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        (path / "id_ed25519.pub").write_bytes(public + b" lab\n")

    artefact.make(directory, "ed25519", fill)
    private.tighten(directory)
    return Keys(directory / "id_ed25519", (directory / "host_key.pub").read_text().strip())


def _dropbear_key(path: Path) -> None:
    output = run(["dropbearkey", "-t", "ed25519", "-f", path], deadline=30)
    (public,) = (line for line in output.splitlines() if line.startswith("ssh-ed25519 "))
    path.with_suffix(".pub").write_text(f"{' '.join(public.split()[:2])}\n")


def image(layout: Layout, kernel: Kernel, tools: Tools, lane: Lane = Lane.PLAIN) -> Image:
    """Have the initramfs made: busybox, dropbear, iproute2, ethtool, bpftool, what they load.

    lane: has more programs if there is a programs.LANE.
    """
    directory = layout.variant / "image"
    client = keys(layout)
    files = {place: path for line in _listed(lane) for place, path in _located(line, tools)}
    loaded = sorted({path for path in files.values() if path != tools.bpftool})
    places = [f"{place} {path}" for place, path in sorted(files.items())]
    read = (Path(__file__), SOURCES, client.client, tools.bpftool, kernel.gen_init_cpio)
    of_modules = kernel.fingerprint if kernel.modules else ""
    wanted = artefact.fingerprint(*read, client.host_public, of_modules, *places)

    def fill(path: Path) -> list[Path]:
        log = layout.log("image")
        with step("image", "making the initramfs") as current:
            staged = path / "staged"
            staged.mkdir()
            found = sorted({lib for each in files.values() for lib in libraries(each)})
            _render(staged, files, found, client.client.parent, kernel.modules)
            archive = path / "initramfs.cpio"
            run(
                [kernel.gen_init_cpio, "-t", "0", staged / "initramfs"],
                stdout=archive,
                deadline=60,
                log=log,
            )
            (path / "content").write_text(artefact.fingerprint(archive))
            packed = gzip.compress(archive.read_bytes(), compresslevel=6, mtime=0)
            (path / "initramfs.cpio.gz").write_bytes(packed)
            archive.unlink()
            shutil.rmtree(staged)
            current.note = f"{len(packed) / 1e6:.1f} MB"
        return [*loaded, *found]

    artefact.make(directory, wanted, fill)
    private.tighten(directory)  # in it is the guest's private key
    return Image(directory / "initramfs.cpio.gz", (directory / "content").read_text())


def _listed(lane: Lane) -> list[str]:
    files = [SOURCES / "programs", *([SOURCES / f"programs.{lane}"] if lane else [])]
    lines = [line for file in files if file.exists() for line in file.read_text().splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _located(line: str, tools: Tools) -> list[tuple[str, Path]]:
    """Where it is in the guest, and here: of a line with patterns each file."""
    if line == "bpftool":
        return [("/bin/bpftool", tools.bpftool)]
    if line.startswith("/"):
        patterns = [pattern.removeprefix("/") for pattern in line.split()]
        found = {path for pattern in patterns for path in Path("/").glob(pattern)}
        places = [(str(path), path.resolve()) for path in sorted(found)]
    else:
        program = find(line)
        places = [(f"/bin/{line}", program.resolve())] if program else []
    if not places:
        raise LabError(
            f"{line}, which goes into the guest, is not on this machine", hint="./lab doctor"
        )
    return places


def _render(
    staged: Path,
    programs: dict[str, Path],
    libraries: Sequence[Path],
    keys_dir: Path,
    modules: Path | None,
) -> None:
    """Write the initramfs' list and what it names into `staged`.

    gen_init_cpio splits at white space, so nothing it names may lie in the
    checkout itself, whose path can have a space.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SOURCES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    for name in ("inittab", "passwd", "profile", "shells"):
        shutil.copyfile(SOURCES / name, staged / name)
    (staged / "rcS").write_text(environment.get_template("rcS.j2").render(network=Network()))
    files = [(place, str(path)) for place, path in sorted(programs.items())]
    files += [(str(lib), str(lib.resolve())) for lib in libraries]
    if modules:
        found = (path for path in modules.rglob("*") if path.is_file())
        files += [(f"/{path.relative_to(modules)}", str(path)) for path in sorted(found)]
    applets = run([programs["/bin/busybox"], "--list"], deadline=10).split()
    own = {PurePosixPath(place).name for place in programs} | {"sh", "init", "linuxrc"}
    mounts = ("/dev", "/proc", "/sys", "/tmp", "/run", "/root", "/etc", "/etc/dropbear", "/var/log")
    wanted = {PurePosixPath(path) for path in mounts}
    wanted |= {PurePosixPath(path).parent for path, _ in files}
    parents = {parent for path in wanted for parent in (path, *path.parents)}
    listing = environment.get_template("initramfs.j2").render(
        directories=sorted(str(path) for path in parents - {PurePosixPath("/")}),
        files=files,
        applets=sorted(set(applets) - own),
        staged=staged,
        keys=keys_dir,
    )
    (staged / "initramfs").write_text(listing)
