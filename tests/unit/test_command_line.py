# SPDX-License-Identifier: GPL-2.0-only
"""The words after ./lab, as invoke gets them; and the statuses of bad calls."""

import shlex

import pytest

from harness.__main__ import main, rewrite


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["build", "boot"], ["build", "boot"]),
        (["shell"], ["shell"]),
        (["shell", "uname", "-a"], ["shell", "--command=uname -a"]),
        (["shell", "--", "ls", "--all"], ["shell", "--command=ls --all"]),
        (["shell", "echo -- test"], ["shell", "--command=echo -- test"]),
        (["boot", "shell", "true"], ["boot", "shell", "--command=true"]),
        (["put", "a", "b=c", "/tmp"], ["put", "--path=a", "--path=b=c", "--path=/tmp"]),
        (["get", "-h"], ["--help", "get"]),
        (["patches", "a", "--", "-k"], ["patches", "--word=a", "--word=--", "--word=-k"]),
        (["test", "--here"], ["test", "--here"]),
    ],
)
def test_words_become_flags(words: list[str], expected: list[str]) -> None:
    assert rewrite(words) == expected


def test_what_follows_two_dashes_keeps_its_quoting() -> None:
    *before, joined = rewrite(["test", "--", "-k", "udp and not ipv6", "x.py"])
    assert before == ["test", "--"]
    assert shlex.split(joined) == ["-k", "udp and not ipv6", "x.py"]


def lab(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, str, str]:
    """The status, stdout and stderr of ./lab WORDS, run in this process."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["biuld"], "biuld"),
        (["boot", "--frobnicate"], "--frobnicate"),
        (["put", "alone"], "put takes files and a folder of the guest"),
        (["put"], "put takes files and a folder of the guest"),
        (["patches", "exprot"], "patches can't 'exprot'"),
        (["test", "--here", "--bare"], "--here and --bare exclude each other"),
    ],
)
def test_a_bad_call_is_told_and_is_status_2(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    status, _, stderr = lab(capsys, *words)
    assert status == 2
    assert stderr.startswith("error: ")
    assert message in stderr


def test_help_of_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    _, listed, _ = lab(capsys, "--list")
    verbs = [
        "build",
        "boot",
        "down",
        "shell",
        "put",
        "get",
        "test",
        "check",
        "patches",
        "bench",
        "doctor",
        "clean",
    ]
    for name in verbs:
        assert name in listed
        status, stdout, stderr = lab(capsys, name, "--help")
        assert (status, stderr) == (0, "")
        assert f"./lab [--core-opts] {name}" in stdout
