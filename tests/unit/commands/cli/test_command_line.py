# SPDX-License-Identifier: GPL-2.0-only
"""The words after ./lab, as invoke gets them; help; completion; the statuses of bad calls."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from invoke.collection import Collection
from invoke.parser.context import ParserContext

import tasks
from harness.commands.cli import completion
from harness.commands.cli.program import Lab, main, rewrite
from harness.commands.cli.verb import Group, Verb
from harness.core.workspace import ROOT

VERBS: dict[str, Verb] = Collection.from_module(tasks).tasks
COLUMNS = 80


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["build", "boot"], ["build", "boot"]),
        (["shell"], ["shell"]),
        (["shell", "uname -a"], ["shell", "--command=uname -a"]),
        (["shell", ""], ["shell", "--command="]),
        (["shell", "ls", "--all"], ["shell", "--command='ls' '--all'"]),
        (["shell", "--", "ls", "--all"], ["shell", "--command='ls' '--all'"]),
        (["shell", "--", "--", "-v"], ["shell", "--command='--' '-v'"]),
        (["shell", "--", "-v"], ["shell", "--command=-v"]),
        (["shell", "-v", "ls"], ["shell", "-v", "--command=ls"]),
        (["shell", "echo -- test"], ["shell", "--command=echo -- test"]),
        (["boot", "shell", "true"], ["boot", "shell", "--command=true"]),
        (["-v", "shell", "ls", "-v"], ["-v", "shell", "--command='ls' '-v'"]),
        (["put", "a", "b=c", "/tmp"], ["put", "--path=a", "--path=b=c", "--path=/tmp"]),
        (["put", "--", "-x", "/tmp"], ["put", "--path=-x", "--path=/tmp"]),
        (["patches", "a", "--", "-k"], ["patches", "--word=a", "--word=--", "--word=-k"]),
        (["test", "--here"], ["test", "--here"]),
        (["test", "--", "shell"], ["test", "--", "shell"]),
    ],
)
def test_words_become_flags(words: list[str], expected: list[str]) -> None:
    assert rewrite(words, VERBS) == expected


@pytest.mark.parametrize(
    "words",
    [
        ["sh", "-c", "echo a b"],
        ["tool", "", "-n", "--", "a\nb\n", "it's", '"', "$(exit)", "~", "*", "\\", "\udcff"],
        ["if", "true"],
        ["A=b", "env"],
        ["-v", "a b"],
        ["\udcff'", "é"],
    ],
)
def test_several_words_are_an_argv_whatever_they_are(words: list[str], tmp_path: Path) -> None:
    """A shell finds a program of the first one's name, and gives it the others."""
    program = tmp_path / words[0]
    program.write_text('#!/bin/sh\nprintf \'%s\\0\' "${0##*/}" "$@"\n')
    program.chmod(0o755)
    line = rewrite(["shell", "--", *words], VERBS)[1].removeprefix("--command=")
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, env={"PATH": str(tmp_path)})
    assert [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]] == words, done


def test_what_follows_two_dashes_keeps_its_quoting() -> None:
    *before, joined = rewrite(["test", "--", "-k", "udp and not ipv6", "x.py"], VERBS)
    assert before == ["test", "--"]
    assert shlex.split(joined) == ["-k", "udp and not ipv6", "x.py"]


def lab(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, str, str]:
    """The status, stdout and stderr of ./lab WORDS, run in this process."""
    with pytest.raises(SystemExit) as ended:
        main(list(words), tasks)
    printed = capsys.readouterr()
    return ended.value.code or 0, printed.out, printed.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["biuld"], "biuld"),
        (["boot", "--frobnicate"], "--frobnicate"),
        (["boot", "--help=biuld"], "biuld"),
        (["put", "alone"], "put takes files and a folder of the guest"),
        (["put"], "put takes files and a folder of the guest"),
        (["patches", "exprot"], "patches can't 'exprot'"),
        (["shell", "--frobnicate", "true"], "--frobnicate"),
        (["put", "-x", "/tmp"], "-x"),
        (["test", "--here", "--bare"], "--here and --bare exclude each other"),
        (["test", "--here", "--fresh"], "--here and --fresh exclude each other"),
        (["--print-completion-script", "tcsh"], "only for bash, zsh, fish"),
    ],
)
def test_a_bad_call_is_told_and_is_status_2(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    status, _, stderr = lab(capsys, *words)
    assert status == 2
    assert stderr.startswith("error: ")
    assert message in stderr


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["--list"]])
def test_every_verb_has_one_line_in_its_group(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    status, stdout, stderr = lab(capsys, *words)
    assert (status, stderr) == (0, "")
    assert max(map(len, stdout.splitlines())) <= COLUMNS
    groups = {block.splitlines()[0]: block for block in stdout.split("\n\n")[1:]}
    assert [*groups] == [group.value for group in Group if group.value in groups] + ["options"]
    for name, verb in VERBS.items():
        (line,) = (
            row for row in groups[verb.group.value].splitlines() if row.startswith(f"  {name} ")
        )
        assert line.endswith("."), line
        assert len(line) <= COLUMNS, line


@pytest.mark.parametrize("asking", ["--help", "-h"])
def test_help_of_every_verb(capsys: pytest.CaptureFixture[str], asking: str) -> None:
    for name, verb in VERBS.items():
        status, stdout, stderr = lab(capsys, name, asking)
        assert (status, stderr) == (0, "")
        call, _, rest = stdout.partition("\n\n")
        assert call.startswith(f"./lab {name}")
        assert rest.startswith(str(verb.__doc__).splitlines()[0])
        if verb.takes:
            assert call == f"./lab {name} {verb.words}"
        else:
            assert rest.count("\n  --") == len(verb.get_arguments())


def test_the_value_of_a_flag_has_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    _, stdout, _ = lab(capsys, "test", "--help")
    assert stdout.startswith("./lab test [OPTIONS] [-- PYTEST ARGUMENTS]\n")
    assert re.search(r"^  --junit FILE +write a JUnit report there$", stdout, re.MULTILINE)


def offered(*words: str) -> list[str]:
    core = ParserContext(args=Lab().core_args())
    return completion.candidates(words, VERBS, core)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["bui"], ["build"]),
        (["--verb"], ["--verbose"]),
        (["-v", "bui"], ["build"]),
        (["build", "--t"], ["--tarball", "--tree"]),
        (["build", "--verb"], ["--verbose"]),
        (["build", "dow"], ["down"]),
        (["build", "--base", ""], []),  # a value: the shell offers files
        (["build", "--tree", "sh"], []),
        (["build", "--tree", "=", "sh"], []),  # as bash splits it
        (["build", "--tree", "="], []),
        (["build", "--tree", "shell", "dow"], ["down"]),  # a folder called shell
        (["build", "--debug", "dow"], ["down"]),
        (["test", "--", "--j"], []),
        (["shell", ""], []),
        (["shell", "--ba"], []),
        (["boot", "put", "b"], []),
        (["patches", "exp"], ["export"]),
        (["patches", "export", ""], []),
        (["frobnicate", "dow"], ["down"]),
    ],
)
def test_tab_offers(words: list[str], expected: list[str]) -> None:
    assert offered(*words) == expected


def test_tab_offers_all_verbs() -> None:
    assert offered() == offered("") == [*VERBS]


def test_bash_completes_by_what_is_sourced(tmp_path: Path) -> None:
    """In a checkout whose path has a space; the shells without one here are tried by hand."""
    there = tmp_path / "a checkout"
    there.mkdir()
    lab = f"PYTHONPATH={shlex.quote(str(ROOT))} {shlex.quote(sys.executable)} -m harness"
    (there / "lab").write_text(f'#!/bin/sh\n{lab} "$@"\n')
    (there / "lab").chmod(0o755)
    (there / "script").write_text(completion.script("bash"))
    line = (
        "source ./script; COMP_WORDS=(./lab build --t); COMP_CWORD=2; _lab ./lab;"
        'printf "%s," "${COMPREPLY[@]}"; complete -p lab'
    )
    argv = ["bash", "--norc", "-c", line]
    done = subprocess.run(argv, cwd=there, capture_output=True, text=True, timeout=60)
    assert done.stdout == "--tarball,--tree,complete -o default -F _lab lab\n", done.stderr


@pytest.mark.parametrize(
    ("stdout", "status", "said"),
    [("/dev/full", 69, "error: stdout: No space left on device\n"), ("", 141, "")],
)
def test_a_stdout_that_takes_nothing_is_no_crash(stdout: str, status: int, said: str) -> None:
    """Where none is named: a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    with Path(stdout).open("wb") if stdout else os.fdopen(writing, "wb") as sink:
        # env(1): where Python buffers nothing, what is printed fails at once.
        argv = ["env", "-u", "PYTHONUNBUFFERED", sys.executable, "-m", "harness", "--list"]
        done = subprocess.run(
            argv, cwd=ROOT, stdout=sink, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert (done.returncode, done.stderr) == (status, said)


@pytest.mark.parametrize(
    ("words", "stdout", "status"),
    [(["biuld"], "/dev/null", 2), (["--list"], "/dev/full", 69), (["--list"], "/dev/null", 0)],
)
def test_a_stderr_that_takes_nothing_changes_no_status(
    words: list[str], stdout: str, status: int
) -> None:
    argv = ["env", "-u", "PYTHONUNBUFFERED", sys.executable, "-m", "harness", *words]
    with Path(stdout).open("wb") as out, Path("/dev/full").open("wb") as err:
        done = subprocess.run(argv, cwd=ROOT, stdout=out, stderr=err, timeout=60)
    assert done.returncode == status


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_stream_that_is_closed_is_an_empty_one(closed: int, tmp_path: Path) -> None:
    """Of ./lab the part before it looks for its environment."""
    head, found, _ = (ROOT / "lab").read_text().partition("\ncurrent()")
    assert found
    seen = tmp_path / "seen"
    look = "streams=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2)"
    (tmp_path / "lab").write_text(f'{head}\n{look}\necho "$streams" >{seen}\n')
    argv = ["sh", "-c", f'exec sh "$0" {closed}>&-', str(tmp_path / "lab")]
    subprocess.run(argv, stdin=subprocess.PIPE, capture_output=True, timeout=60)
    streams = seen.read_text().splitlines()
    assert [stream == "/dev/null" for stream in streams] == [n == closed for n in range(3)]
