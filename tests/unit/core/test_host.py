# SPDX-License-Identifier: GPL-2.0-only
"""What this machine lacks: installed, or named, as the user has it. apt-get is a stand-in."""

import os
from pathlib import Path

import pytest

from harness.core import host
from harness.core.errors import BadCall, LabError
from harness.core.host import VERSIONED, Family, Need, require, versioned

LACKING = "a-program-of-this-test"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Debian without LACKING, whose apt-get makes it and notes how it was called."""
    programs = tmp_path / "bin"
    programs.mkdir()
    script = f'echo "$*" >>{tmp_path}/apt; case $* in *install*) touch {programs}/{LACKING};; esac'
    for name, text in (("apt-get", script), ("sudo", 'shift; exec "$@"')):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setattr(host, "NEEDS", (Need("sh", "dash"), Need(LACKING, "its-package")))
    monkeypatch.setattr(host, "this_family", lambda: Family.DEBIAN)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.delenv("LAB_INSTALL", raising=False)
    return tmp_path


def test_what_is_missing_is_installed(place: Path) -> None:
    require(())
    update, install = (place / "apt").read_text().splitlines()
    assert update.split()[-1] == "update"
    assert install.split()[-1] == "its-package"
    require(())
    assert len((place / "apt").read_text().splitlines()) == 2


def test_so_is_what_a_base_wants(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "NEEDS", (Need("sh", "dash"),))
    require([Need("sh", "dash"), Need(LACKING, "its-other-package")])
    assert (place / "apt").read_text().splitlines()[-1].split()[-1] == "its-other-package"


def test_a_base_names_programs_and_versions() -> None:
    assert [versioned(need.probe) for need in VERSIONED] == list(VERSIONED)
    assert versioned("ld.lld-19") == Need("ld.lld-19", "lld-19", fedora="lld19", arch="lld19")
    assert versioned("pahole-1.27") == Need(
        "pahole-1.27", "dwarves-1.27", fedora="dwarves1.27", arch="pahole1.27"
    )
    with pytest.raises(KeyError):
        versioned("make")


@pytest.mark.parametrize("why", ["the user says no", "there is no apt-get"])
def test_or_it_is_named(place: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    if why == "the user says no":
        monkeypatch.setenv("LAB_INSTALL", "no")
    else:
        monkeypatch.setattr("shutil.which", lambda name, **_: None)
        monkeypatch.setattr(host, "find", lambda name: None)
    with pytest.raises(LabError, match=f"missing on this machine: .*{LACKING}") as caught:
        require(())
    assert caught.value.hint.startswith("as root: apt-get install ")
    assert "its-package" in caught.value.hint
    assert not (place / "apt").exists()


def test_another_word_is_a_bad_call(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nothing is missing: who writes 0 is not to learn it from apt."""
    monkeypatch.setenv("LAB_INSTALL", "0")
    monkeypatch.setattr(host, "NEEDS", ())
    with pytest.raises(BadCall, match="LAB_INSTALL=0") as caught:
        require(())
    assert "LAB_INSTALL=no" in caught.value.hint
    assert not (place / "apt").exists()
