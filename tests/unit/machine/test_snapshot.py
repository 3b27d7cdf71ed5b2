# SPDX-License-Identifier: GPL-2.0-only
"""A saved state: what is read back is what was written, or it is not used."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.machine.options import Options
from harness.machine.qemu import Accelerator, Spec
from harness.machine.qmp import Monitor, MonitorError
from harness.machine.snapshot import BLOCK, DEVICES, MANIFEST, RAM, Saved, State, Unusable

SPEC = Spec(Path("k"), Path("i"), Accelerator("tcg", "c", "r"), Path("console"), -1, ())
SIZE = 8 * BLOCK
DATA = {0: b"first", 3 * BLOCK + 5000: b"in the middle", SIZE - 4: b"last"}
DEVICES_DATA = b"QEVM" + bytes(range(256)) * 20


class Machine(Monitor):
    """QEMU at the other end: writes the devices that it is asked for, and notes the order."""

    def __init__(self, refuses: str = "", status: str = "completed") -> None:
        self.orders: list[str] = []
        self._refuses = refuses
        self._status = status
        self._fd = -1

    def command(self, name: str, *, fds: Any = (), deadline: float = 0, **arguments: object) -> Any:
        self.orders.append(name)
        if name == self._refuses:
            raise MonitorError(f"QEMU refuses {name}")
        if name == "getfd":
            self._fd = os.dup(fds[0])
        if name == "migrate":
            os.write(self._fd, DEVICES_DATA)
        if name == "query-migrate":
            return {"error-desc": "a device that can't"}
        return None

    def await_event(self, name: str, *, deadline: float = 0) -> dict[str, Any]:
        return {"status": self._status}


@pytest.fixture
def ram(tmp_path: Path) -> Iterator[int]:
    descriptor = os.memfd_create("ram")
    os.ftruncate(descriptor, SIZE)
    for offset, data in DATA.items():
        os.pwrite(descriptor, data, offset)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def state(tmp_path: Path, ram: int) -> State:
    state = State(tmp_path / "state", "kernel and image")
    state.save(SPEC, Machine(), ram)
    return state


def opened(state: State) -> Saved:
    saved = state.open(SPEC)
    assert saved
    return saved


def test_a_machine_is_stopped_saved_and_runs_on(tmp_path: Path, ram: int) -> None:
    machine = Machine()
    State(tmp_path / "state", "").save(SPEC, machine, ram)
    order = ["stop", "migrate-set-capabilities", "getfd", "migrate", "cont"]
    assert machine.orders == order
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_what_is_read_back_is_what_was_saved(state: State, ram: int) -> None:
    with opened(state) as saved:
        saved.verify()
    assert (state.directory / RAM).read_bytes() == os.pread(ram, SIZE, 0)
    assert (state.directory / DEVICES).read_bytes() == DEVICES_DATA
    copy = (state.directory / RAM).stat()
    assert copy.st_blocks * 512 <= 3 * BLOCK  # holes stay holes


def test_a_restored_machine_gets_the_devices_from_their_beginning(state: State) -> None:
    machine = Machine()
    with opened(state) as saved:
        saved.verify()
        saved.load(machine)
        assert os.lseek(machine._fd, 0, os.SEEK_CUR) == 0
    assert machine.orders == ["migrate-set-capabilities", "getfd", "migrate-incoming", "cont"]


@pytest.mark.parametrize("name", [RAM, DEVICES])
@pytest.mark.parametrize("offset", [2, 3 * BLOCK // 2, -1], ids=["begin", "hole", "end"])
def test_a_flipped_byte_is_noticed(state: State, name: str, offset: int) -> None:
    path = state.directory / name
    data = bytearray(path.read_bytes())
    data[offset % len(data)] ^= 1
    path.write_bytes(data)
    with opened(state) as saved, pytest.raises(Unusable, match="not as it was saved"):
        saved.verify()


@pytest.mark.parametrize("name", [RAM, DEVICES])
@pytest.mark.parametrize("size", [-200, -1, 1, BLOCK])
def test_another_length_is_noticed(state: State, name: str, size: int) -> None:
    path = state.directory / name
    os.truncate(path, path.stat().st_size + size)
    with opened(state) as saved, pytest.raises(Unusable, match="not as it was saved"):
        saved.verify()


def test_zeros_in_place_of_a_hole_are_the_same(state: State) -> None:
    with (state.directory / RAM).open("r+b") as file:
        file.seek(2 * BLOCK)
        file.write(bytes(BLOCK))
    with opened(state) as saved:
        saved.verify()


@pytest.mark.parametrize("name", [RAM, DEVICES, MANIFEST])
def test_a_missing_file_is_noticed(state: State, name: str) -> None:
    (state.directory / name).unlink()
    with pytest.raises(Unusable, match="not whole"):
        state.open(SPEC)


@pytest.mark.parametrize(
    "manifest", ["", "{", "[]", "null", "{}", '{"key": 1, "ram": 2}', "\udcff"]
)
def test_a_manifest_that_is_none_is_noticed(state: State, manifest: str) -> None:
    (state.directory / MANIFEST).write_bytes(os.fsencode(manifest))
    with pytest.raises(Unusable, match="not whole"):
        state.open(SPEC)


def test_another_machines_state_is_not_taken(
    state: State, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    others = [
        (replace(state, made_from="another kernel"), SPEC),
        (state, replace(SPEC, options=Options(memory=256))),
        (state, replace(SPEC, tap_fds=(3,))),
        (state, replace(SPEC, accelerator=Accelerator("tcg", "another", "r"))),
        (state, replace(SPEC, accelerator=Accelerator("kvm", "c", "r"))),
    ]
    for other, spec in others:
        with pytest.raises(Unusable, match="another kernel's"):
            other.open(spec)
    qemu = tmp_path / "qemu-system-x86_64"
    qemu.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unusable, match="another kernel's"):
        state.open(SPEC)


def test_no_state_is_no_error(tmp_path: Path) -> None:
    assert State(tmp_path / "none", "").open(SPEC) is None


@pytest.mark.parametrize("refused", ["stop", "migrate-set-capabilities", "getfd", "migrate"])
def test_a_save_that_fails_leaves_the_old_state_and_a_machine_that_runs(
    state: State, ram: int, refused: str
) -> None:
    machine = Machine(refuses=refused)
    with pytest.raises(MonitorError):
        state.save(SPEC, machine, ram)
    assert refused == "stop" or machine.orders[-1] == "cont"
    with opened(state) as saved:
        saved.verify()
    assert [path.name for path in state.directory.parent.iterdir()] == ["state"]


def test_qemu_says_why_it_refuses(state: State, ram: int) -> None:
    with pytest.raises(Unusable, match="a device that can't"):
        state.save(SPEC, Machine(status="failed"), ram)


def test_a_kills_leftovers_go_with_the_next_save_but_not_anothers_work(
    state: State, ram: int
) -> None:
    ended = state.directory.with_name("state.new.999999999")
    running = state.directory.with_name(f"state.new.{os.getppid()}")
    ended.mkdir()
    running.mkdir()
    state.save(SPEC, Machine(), ram)
    assert not ended.exists()
    assert running.exists()


def test_a_state_that_is_replaced_stays_for_who_has_it_open(state: State, ram: int) -> None:
    with opened(state) as saved:
        os.pwrite(ram, b"second", 0)
        state.save(SPEC, Machine(), ram)
        saved.verify()
    with opened(state) as saved:
        saved.verify()
        assert os.pread(saved.ram.fileno(), 6, 0) == b"second"


@pytest.mark.parametrize("umask", [0o000, 0o077], ids=oct)
def test_a_guests_memory_is_its_owners_alone(state: State, ram: int, umask: int) -> None:
    before = os.umask(umask)
    try:
        state.save(SPEC, Machine(), ram)
        assert state.directory.stat().st_mode & 0o777 == 0o700
        state.directory.chmod(0o755)  # as older versions of the lab left it
        opened(state).__exit__()
        assert state.directory.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)
