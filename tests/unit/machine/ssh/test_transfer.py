# SPDX-License-Identifier: GPL-2.0-only
"""Guest.put() and Guest.get(): files come whole or not at all."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from harness.core.errors import BadCall, LabError
from harness.machine.ssh import transfer
from harness.machine.ssh.archive import pack, unpack, unpack_files
from harness.machine.ssh.guest import Guest, GuestCommandFailed
from tests.unit.machine.ssh.sshd import BIG, TIMEOUT, Server


def test_put_and_get_return_the_same(guest: Guest, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "big").write_bytes(BIG)
    (tree / "sub" / "big").chmod(0o751)
    (tree / ("n" * 150)).write_text("a long name")
    (tree / ".hidden").write_text("")
    (tree / "away").symlink_to("/nonexistent")
    there, here = tmp_path / "it's there" / "deep", tmp_path / "here"
    (tmp_path / "-x").write_text("a name like an option")
    guest.put([tree, tmp_path / "-x"], str(there))
    guest.get([f"{there}/tree", f"{there}/-x", "/proc/self/status"], here)
    listing = ["find", ".", "-not", "-name", "status", "-printf", "%p %y %m %l\n"]
    for at in (there, here):
        assert {path.name for path in at.iterdir()} - {"status"} == {"tree", "-x"}
    expected = subprocess.run([*listing], cwd=tree, capture_output=True, check=True).stdout
    arrived = subprocess.run([*listing], cwd=here / "tree", capture_output=True, check=True)
    assert sorted(arrived.stdout.splitlines()) == sorted(expected.splitlines())
    assert (here / "tree/sub/big").read_bytes() == BIG
    assert "Name:" in (here / "status").read_text()  # its size is said to be 0


def test_put_adds_to_a_directory_and_replaces_files(guest: Guest, tmp_path: Path) -> None:
    old, new = tmp_path / "there" / "d", tmp_path / "d"
    for directory in (old, new):
        directory.mkdir(parents=True)
        (directory / "both").write_text(str(directory))
        (directory / directory.parent.name).write_text("")
    guest.put([new], str(old.parent))
    assert {path.name for path in old.iterdir()} == {"both", "there", tmp_path.name}
    assert (old / "both").read_text() == str(new)


def test_a_put_does_not_replace_a_directory_by_a_file(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "d").write_text("")
    (tmp_path / "there" / "d").mkdir(parents=True)
    with pytest.raises(GuestCommandFailed, match=f"{tmp_path}/there/d: is a directory"):
        guest.put([tmp_path / "d"], str(tmp_path / "there"))
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["d"]


def test_put_of_a_missing_file_sends_nothing(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(BadCall, match="missing"):
        guest.put([tmp_path / "a", tmp_path / "missing"], str(tmp_path / "there"))
    assert not (tmp_path / "there").exists()


def test_a_put_that_was_cut_off_leaves_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    """Cut at every block, of which some are headers, where tar has no complaint."""
    (tmp_path / "file").write_bytes(bytes(1500))
    archive = io.BytesIO()
    pack({"file": tmp_path / "file"}, lambda data: void(archive.write(data)))
    script = transfer.unpack_script(str(tmp_path / "there"))
    last = archive.getvalue().index(b"complete")
    for length in range(0, last + 1, 512):
        done = subprocess.run(
            ["/bin/sh", "-c", script],
            input=archive.getvalue()[:length],
            env=environment,
            capture_output=True,
            timeout=TIMEOUT,
        )
        assert done.returncode != 0
        assert list((tmp_path / "there").iterdir()) == []


def void(_: object) -> None:
    return None


def test_get_of_a_missing_file_names_it_and_leaves_nothing(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(BadCall, match="/no/such"):
        guest.get([str(tmp_path / "a"), "/no/such"], tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_a_get_that_fails_halfway_leaves_nothing(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    (tmp_path / "here").mkdir()
    with pytest.raises(GuestCommandFailed):
        guest.get([str(tmp_path / "a"), "/proc/self/mem"], tmp_path / "here")
    assert list((tmp_path / "here").iterdir()) == []


def test_two_files_of_one_name_are_refused(guest: Guest, tmp_path: Path) -> None:
    with pytest.raises(BadCall, match="become one"):
        guest.get(["/a/x", "/b/x"], tmp_path)
    with pytest.raises(BadCall, match="not a name"):
        guest.get(["/"], tmp_path)


MANY = 150  # more than one mv(1) of the merge takes


def test_many_files_cost_no_round_trip_each(guest: Guest, server: Server, tmp_path: Path) -> None:
    """Also beside files of another kind, and with names that are longer than a command."""
    source, there, here = tmp_path / "source", tmp_path / "there" / ("d" * 200), tmp_path / "here"
    source.mkdir()
    for number in range(MANY):
        (source / f"{number}-{'n' * 100}").write_text(str(number))
    (source / "empty").touch()
    (source / "-h").symlink_to("empty")
    names = sorted(source.iterdir())
    before = len(server.processes)
    guest.put(names, str(there))
    assert len(server.processes) - before == 1
    assert {path.name for path in there.iterdir()} == {path.name for path in names}
    (there / "tool").write_text("")
    (there / "tool").chmod(0o751)
    (there / "again").hardlink_to(there / "tool")
    (tmp_path / "elsewhere").write_text("followed")
    (there / "away").symlink_to(tmp_path / "elsewhere")
    (there / "folder").mkdir()
    wanted = [str(path) for path in there.iterdir()]
    guest.get([*wanted, "/proc/self/status"], here)
    assert len(server.processes) - before == 5  # stat, tar, tar of the folder, cat
    assert "Name:" in (here / "status").read_text()
    for path in there.iterdir():
        if path.name != "folder":
            assert (here / path.name).read_bytes() == path.read_bytes()
            assert (here / path.name).stat().st_mode == path.stat().st_mode
            assert not (here / path.name).is_symlink()
    assert (here / "folder").is_dir()


def test_files_that_came_otherwise_than_asked_for_are_none(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    with tarfile.open(archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("file"))
    with pytest.raises(LabError, match="1 files came, 2 were asked for"):
        unpack_files(archive, [tmp_path / "a", tmp_path / "b"])
    with tarfile.open(archive, mode="w") as tar:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    with pytest.raises(LabError, match="neither"):
        unpack_files(archive, [tmp_path / "a"])
    assert list(tmp_path.iterdir()) == [archive]


def test_an_archive_may_not_lead_outside(tmp_path: Path) -> None:
    for name in ("../evil", "/evil"):
        archive = tmp_path / "archive"
        with tarfile.open(archive, mode="w") as tar:
            tar.addfile(tarfile.TarInfo(name))
        with pytest.raises(LabError, match="outside"):
            unpack(archive, tmp_path / name.strip("./"))
        shutil.rmtree(tmp_path / "evil")
    with tarfile.open(archive, mode="w") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "outside")
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("link/evil"))
    (tmp_path / "outside").mkdir()
    with pytest.raises(OSError):
        unpack(archive, tmp_path / "inside")
    assert list((tmp_path / "outside").iterdir()) == []
