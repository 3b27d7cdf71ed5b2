# SPDX-License-Identifier: GPL-2.0-only
"""`clean`: what goes, what stays, what is said; `boot`: which VM it keeps."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.commands import lab
from harness.core import workspace
from harness.core.errors import BadCall
from harness.machine import keeper, tap
from harness.machine.options import OWN, Options
from harness.series import unsaved


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build folder with one of each thing that is ever in it."""
    monkeypatch.setattr(workspace, "ROOT", tmp_path)
    root = workspace.build_root()
    for name in ("6.12/obj/file", "6.12-bare/obj/file", "downloads/file", "keys/id", "vm/log"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(bytes(4096))
    (root / "selection.json").write_text("{}")
    (root / "accelerator.json").write_text("{}")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/file").touch()
    (root / "link").symlink_to(tmp_path / "elsewhere")
    return root


def left(root: Path) -> set[str]:
    """What is in a build folder, but for what its locks are."""
    return {path.name for path in root.iterdir()} - {"lock", "used"}


def test_sources_keys_and_the_selection_stay(
    built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.clean(everything=False)
    assert left(built) == {"downloads", "keys", "selection.json"}
    assert (built / "downloads/file").exists()
    assert (built / "keys/id").exists()
    assert f"GiB freed in {built}" in capsys.readouterr().out


def test_all_is_all(built: Path) -> None:
    lab.clean(everything=True)
    assert left(built) == set()


def test_a_link_goes_and_what_it_names_stays(built: Path, tmp_path: Path) -> None:
    lab.clean(everything=True)
    assert not (built / "link").exists()
    assert (tmp_path / "elsewhere/file").exists()


@pytest.mark.parametrize("everything", [False, True])
def test_nothing_goes_where_work_would_be_lost(
    built: Path, monkeypatch: pytest.MonkeyPatch, everything: bool
) -> None:
    def refuse(root: Path) -> None:
        assert root == built
        raise BadCall("commits that nothing else has")

    def stop(_: Path) -> None:
        raise AssertionError("the VM was stopped")

    before = left(built)
    monkeypatch.setattr(unsaved, "refuse", refuse)
    monkeypatch.setattr(keeper, "stop", stop)
    with pytest.raises(BadCall, match="nothing else has"):
        lab.clean(everything)
    assert left(built) == before
    assert (built / "6.12/obj/file").exists()


class Vm:
    """A VM as its keeper tells of it."""

    def __init__(self, options: Options, *, no_tap: str = "", ended: bool = False) -> None:
        self.fingerprint, self.options, self.no_tap, self.ended = "current", options, no_tap, ended

    def own_monitor(self) -> AbstractContextManager[bool]:
        return nullcontext(self.ended)


@pytest.mark.parametrize(
    ("vm", "made", "options", "why"),
    [
        (Vm(OWN), "current", OWN, ""),
        (Vm(Options(stays=True)), "current", OWN, ""),
        (Vm(Options(cpus=4)), "current", Options(cpus=4, stays=True), ""),
        (Vm(Options(cpus=4)), "current", OWN, "was started with --cpus 4"),
        (Vm(OWN), "current", Options(cpus=4), "has none of that"),
        (Vm(OWN), "another", OWN, "runs an older kernel or image"),
        (Vm(OWN, no_tap="none"), "current", OWN, "has no tap, which can be had now"),
        (Vm(OWN, ended=True), "current", OWN, "has ended"),
    ],
)
def test_a_vm_is_kept_while_it_is_what_is_wanted(
    monkeypatch: pytest.MonkeyPatch, vm: Any, made: str, options: Options, why: str
) -> None:
    artefacts: Any = SimpleNamespace(fingerprint=made, options=options)
    monkeypatch.setattr(tap, "why_none", lambda: None)
    monkeypatch.setattr(lab, "has_ended", lambda ended: ended)
    assert lab._outdated(vm, artefacts) == why
