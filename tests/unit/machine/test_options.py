# SPDX-License-Identifier: GPL-2.0-only
"""What a user may ask of a machine, in the words of flags, and what QEMU is told then."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.core.errors import BadCall
from harness.machine import options as module
from harness.machine.options import OWN, QEMU_WORDS, Options
from harness.machine.qemu import Accelerator, Spec, argv, shape

SPEC = Spec(Path("k"), Path("i"), Accelerator("tcg", "c", "r"), Path("console"), 7, ())


@pytest.fixture(autouse=True)
def no_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(QEMU_WORDS, raising=False)


def asked(**flags: str) -> Options:
    """What these flags ask for, which is something."""
    found = module.asked(**flags)
    assert found
    return found


def behind(option: str, options: Options) -> list[str]:
    """What QEMU's command line has behind each option of that name."""
    line = argv(replace(SPEC, options=options))
    return [line[at + 1] for at, word in enumerate(line) if word == option]


def test_who_asks_for_nothing_has_the_labs_own_machine() -> None:
    assert module.asked() is None
    assert asked(cpus="2") == OWN
    assert (str(OWN), OWN.name) == ("", "")


@pytest.mark.parametrize(("said", "mib"), [("768M", 768), ("2G", 2048), ("2g", 2048)])
def test_memory(said: str, mib: int) -> None:
    options = asked(memory=said)
    assert options == Options(memory=mib)
    assert behind("-m", options) == [f"{mib}M"]
    assert str(options) == f"--memory {mib}M"


@pytest.mark.parametrize("said", ["", "2", "2T", "-1G", "0M", "127M", "1.5G", "2 G", "99999999G"])
def test_what_is_no_memory(said: str) -> None:
    with pytest.raises(BadCall, match="as 768M or 2G"):
        asked(memory=said)


@pytest.mark.parametrize("said", ["", "0", "-1", "two", "1.5", "99999"])
def test_what_is_no_number_of_cpus(said: str) -> None:
    with pytest.raises(BadCall, match="--cpus takes a number"):
        asked(cpus=said)


def test_words_come_behind_the_labs_own() -> None:
    (line,) = behind("-append", asked(append=" quiet loglevel=3 "))
    assert line.endswith(" quiet loglevel=3 ignore_loglevel")
    assert line.startswith(behind("-append", OWN)[0])


@pytest.mark.parametrize("said", ["two\nlines", "\N{SNOWMAN}", "nul\0"])
def test_words_that_are_none(said: str) -> None:
    with pytest.raises(BadCall, match="no words"):
        asked(append=said)


def test_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a, folder"
    folder.mkdir()
    options = asked(share=str(folder))
    (told,) = behind("-fsdev", options)
    assert told.endswith(f"readonly=on,path={tmp_path}/a,, folder")
    assert not options.can_be_saved
    assert OWN.can_be_saved
    with pytest.raises(BadCall, match="takes a folder"):
        asked(share=str(folder / "none"))
    with pytest.raises(BadCall, match="takes a folder"):
        asked(share="")


def test_words_for_qemu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(QEMU_WORDS, "-device 'virtio-rng-pci,id=a b'")
    options = asked(cpus="4")
    assert argv(replace(SPEC, options=options))[-2:] == ["-device", "virtio-rng-pci,id=a b"]
    assert (
        str(options) == f"""{QEMU_WORDS}={"'-device '"}"'"'virtio-rng-pci,id=a b'"'"'' --cpus 4"""
    )
    monkeypatch.setenv(QEMU_WORDS, "-device 'open")
    with pytest.raises(BadCall, match=QEMU_WORDS):
        module.asked()


@pytest.mark.parametrize(
    "options",
    [
        Options(cpus=4),
        Options(memory=1024),
        Options(append="quiet"),
        Options(share="/srv"),
        Options(qemu=("-s",)),
    ],
    ids=str,
)
def test_each_makes_another_machine_with_a_state_of_its_own(options: Options) -> None:
    assert shape(replace(SPEC, options=options)) != shape(SPEC)
    assert options.name not in ("", Options(cpus=5).name)
    assert Options.from_json(json.loads(json.dumps(options.to_json()))) == options


def test_a_machine_that_stays_where_it_ends_is_the_same_one_to_its_guest() -> None:
    stays = replace(SPEC, options=Options(stays=True))
    assert argv(stays) == [*argv(SPEC), "-action", "shutdown=pause"]
    assert shape(stays) == shape(SPEC)
    assert (str(stays.options), stays.options.name) == ("", "")
