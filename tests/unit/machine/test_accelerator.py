# SPDX-License-Identifier: GPL-2.0-only
"""KVM only where a guest came up under it; QEMU is a stand-in that prints what a guest would."""

import json
import os
from pathlib import Path

import pytest

from harness.core import workspace
from harness.core.errors import BadCall
from harness.machine import accelerator, vm
from harness.machine.accelerator import find_out, remembered

UP = f"echo {vm.UP.decode().strip()}"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of this test's own, on a machine whose /dev/kvm can be opened."""
    device = tmp_path / "kvm"
    device.touch()
    monkeypatch.setattr(accelerator, "KVM", device)
    monkeypatch.setattr(accelerator, "qemu_identity", lambda: "QEMU 1")
    monkeypatch.setattr(accelerator, "FIRST_BYTE", 0.5)
    monkeypatch.setattr(accelerator, "PROBE_DEADLINE", 0.7)
    monkeypatch.setattr(workspace, "ROOT", tmp_path)
    monkeypatch.delenv(accelerator.OVERRIDE, raising=False)
    return tmp_path


def found(place: Path, monkeypatch: pytest.MonkeyPatch, guest: str) -> tuple[str, str]:
    """Name and reason of what is found where a guest under KVM is these lines of sh."""
    programs = place / "bin"
    programs.mkdir(exist_ok=True)
    stub = programs / "qemu-system-x86_64"
    # The console is a file that QEMU's -chardev names.
    stub.write_text(
        "#!/bin/sh\nconsole=$(echo \"$*\" | tr ' ,' '\\n\\n' | sed -n 's/^path=//p' | head -n 1)\n"
        f'{{ {guest}; }} >>"$console"\n'
    )
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    chosen = find_out(place, Path("kernel"), Path("initramfs"))
    return chosen.name, chosen.reason


@pytest.mark.parametrize(
    ("guest", "name", "reason"),
    [
        (f"{UP}; sleep 60", "kvm", "a guest came up under KVM"),
        (f"echo booting; sleep 0.6; {UP}; sleep 60", "kvm", "a guest came up under KVM"),
        ("exit 1", "tcg", "KVM is here but QEMU aborted with it"),
        ("echo booting; exit 1", "tcg", "KVM is here but QEMU aborted with it"),
        ("sleep 60", "tcg", "KVM is here but its guest printed nothing"),
        ("echo booting; sleep 60", "tcg", "KVM is here but its guest did not come up"),
    ],
)
def test_a_guest_decides(
    place: Path, monkeypatch: pytest.MonkeyPatch, guest: str, name: str, reason: str
) -> None:
    chosen = found(place, monkeypatch, guest)
    assert chosen[0] == name
    assert chosen[1].startswith(reason)


def test_it_is_asked_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = found(place, monkeypatch, f"{UP}; sleep 60")
    assert found(place, monkeypatch, "exit 1") == first


@pytest.mark.parametrize("changed", ["QEMU", "what is kept"])
def test_it_is_asked_again_where_the_answer_may_be_another(
    place: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    assert found(place, monkeypatch, f"{UP}; sleep 60")[0] == "kvm"
    if changed == "QEMU":
        monkeypatch.setattr(accelerator, "qemu_identity", lambda: "QEMU 2")
    else:
        (place / "accelerator.json").write_text(json.dumps({"host": "mine"})[:-3])
    assert remembered(place) is None
    assert found(place, monkeypatch, "exit 1")[0] == "tcg"


@pytest.mark.parametrize("mode", [None, 0o000])
def test_without_a_device_that_opens_no_guest_is_asked(
    place: Path, monkeypatch: pytest.MonkeyPatch, mode: int | None
) -> None:
    if mode is None:
        accelerator.KVM.unlink()
    else:
        accelerator.KVM.unlink()
        accelerator.KVM.mkdir()  # root opens any file for writing, but no folder
    name, reason = found(place, monkeypatch, f"{UP}; sleep 60")
    assert name == "tcg"
    assert str(accelerator.KVM) in reason
    assert not (place / "accelerator.json").exists()


@pytest.mark.parametrize(("forced", "cpu"), [("kvm", "host"), ("tcg", "Nehalem,+rdrand")])
def test_what_the_user_says_stands(
    place: Path, monkeypatch: pytest.MonkeyPatch, forced: str, cpu: str
) -> None:
    found(place, monkeypatch, f"{UP}; sleep 60" if forced == "tcg" else "exit 1")
    monkeypatch.setenv(accelerator.OVERRIDE, forced)
    chosen = find_out(place, Path("kernel"), Path("initramfs"))
    assert (chosen.name, chosen.cpu, chosen.reason) == (forced, cpu, "LAB_ACCEL says so")


def test_another_word_is_a_bad_call(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(accelerator.OVERRIDE, "xen")
    with pytest.raises(BadCall, match="LAB_ACCEL=xen"):
        remembered(place)
