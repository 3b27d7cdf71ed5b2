# SPDX-License-Identifier: GPL-2.0-only
"""`./lab` itself: its Python environment is made when it has to be, and nothing else gets in.

The script is a copy, the interpreter and pip are stand-ins.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tasks
from harness.commands.cli import program
from harness.core.environment import LAB, of, of_tests
from harness.core.workspace import ROOT

REAL = Path(sys.executable).resolve()
# Makes an environment whose python tells what it was called with; pip may fail.
PYTHON = """#!/bin/sh
here={here}
case "$*" in
"-I -m venv "*)
	mkdir -p "$4/bin" "$4/site"
	ln -s "$here/in-venv" "$4/bin/python"
	env >"$here/variables" ;;
"-I -c import ensurepip, venv") [ ! -e "$here/no-venv" ] ;;
*) exec {real} "$@" ;;
esac
"""
IN_VENV = """#!/bin/sh
here={here}
case "$*" in
*getsitepackages*) echo "$here/checkout/.venv/site" ;;
*" pip "*) echo "$*" >>"$here/pip"; env >>"$here/variables"; exit "$(cat "$here/status")" ;;
*" -m harness "*) echo "started $*" ;;
esac
"""


class Checkout:
    """A copy of the script, with stand-ins for the interpreter and what it installs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.place = directory / "checkout"
        (self.place / "harness/core").mkdir(parents=True)
        shutil.copy(ROOT / "harness/core/environment.py", self.place / "harness/core")
        (self.place / "requirements.lock").write_text("a==1\n")
        self.status(0)
        self.program("in-venv", IN_VENV)
        self.interpreter("python3.11")

    def program(self, name: str, script: str) -> Path:
        path = self.directory / name
        path.write_text(script.format(here=self.directory, real=REAL))
        path.chmod(0o755)
        return path

    def status(self, of_pip: int) -> None:
        (self.directory / "status").write_text(str(of_pip))

    def interpreter(self, name: str) -> None:
        """Have the system's python3 be one of that name, as an upgrade does."""
        link = self.directory / "python3"
        link.unlink(missing_ok=True)
        link.symlink_to(self.program(name, PYTHON))
        script = (ROOT / "lab").read_text()
        ours = f"python={link} #"
        assert "python=/usr/bin/python3 #" in script
        (self.place / "lab").write_text(script.replace("python=/usr/bin/python3 #", ours))
        (self.place / "lab").chmod(0o755)

    def call(self, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.place / "lab", *words],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=60,
        )

    @property
    def installed(self) -> int:
        """How often pip was called."""
        file = self.directory / "pip"
        return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_an_environment_is_made_once(checkout: Checkout) -> None:
    first = checkout.call("boot", "x y")
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.splitlines() == [
        "venv      installing what requirements.lock names",
        f"started -I -X pycache_prefix={checkout.place}/.venv/pycache -m harness boot x y",
    ]
    again = checkout.call("boot")
    assert len(again.stdout.splitlines()) == 1
    assert checkout.installed == 1
    assert (checkout.place / ".venv/site/lab.pth").read_text() == f"{checkout.place}\n"


def test_it_can_be_called_by_a_link(checkout: Checkout) -> None:
    link = checkout.directory / "elsewhere" / "kernel-lab"
    link.parent.mkdir()
    link.symlink_to(checkout.place / "lab")
    done = subprocess.run([link, "boot"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"{checkout.place}/.venv/pycache -m harness boot\n")


def test_it_is_made_anew_for_another_lock_place_or_interpreter(checkout: Checkout) -> None:
    checkout.call()
    (checkout.place / "requirements.lock").write_text("a==2\n")
    checkout.call()
    assert checkout.installed == 2
    checkout.interpreter("python3.13")
    assert checkout.call().returncode == 0
    assert checkout.installed == 3
    (checkout.place / ".venv/bin/python").unlink()  # or what it leads to vanished
    assert checkout.call().returncode == 0
    assert checkout.installed == 4
    checkout.call()
    assert checkout.installed == 4


@pytest.mark.parametrize("of_pip", [1, 2, 130])
def test_an_installation_that_fails_is_69_and_tried_again(checkout: Checkout, of_pip: int) -> None:
    checkout.status(of_pip)
    failed = checkout.call("build")
    assert failed.returncode == 69
    assert "error: the Python environment could not be made\nhint: see " in failed.stderr
    checkout.status(0)
    assert checkout.call("build").returncode == 0
    assert checkout.installed == 2


@pytest.mark.parametrize("variables", [{}, {"LAB_INSTALL": "no"}, {"LAB_INSTALL": "0"}], ids=str)
def test_packages_are_installed_unless_the_user_says_no(
    checkout: Checkout, variables: dict[str, str]
) -> None:
    """apt-get is a stand-in that installs nothing and fails, as without a network.

    With another word than no nothing is installed either; require() refuses it.
    """
    (checkout.directory / "no-venv").touch()
    (checkout.directory / "bin").mkdir()
    for name in ("apt-get", "sudo"):
        checkout.program(f"bin/{name}", "#!/bin/sh\ntouch {here}/asked\nexit 1\n")
    path = f"{checkout.directory}/bin:{os.environ['PATH']}"
    failed = checkout.call("build", PATH=path, **variables)
    assert failed.returncode == 69
    assert "hint: as root: apt-get install python3-venv" in failed.stderr
    assert (checkout.directory / "asked").exists() == (not variables)


def test_an_interpreter_that_vanished_is_69(checkout: Checkout) -> None:
    checkout.call()
    (checkout.directory / "python3").unlink()
    failed = checkout.call()
    assert failed.returncode == 69
    assert failed.stderr.startswith("error: there is no ")


@pytest.mark.parametrize("trouble", ["lock", "log", "stdout", "flock"])
def test_no_trouble_is_a_failed_tests_status(checkout: Checkout, trouble: str) -> None:
    variables = {}
    if trouble == "lock":
        (checkout.place / "requirements.lock").unlink()
    elif trouble == "log":
        (checkout.place / ".venv.log").mkdir()
    elif trouble == "flock":
        (checkout.directory / "bin").mkdir()
        checkout.program("bin/flock", "#!/bin/sh\nexit 1\n")
        variables["PATH"] = f"{checkout.directory}/bin:{os.environ['PATH']}"
    argv = [str(checkout.place / "lab"), "build"]
    with Path("/dev/full" if trouble == "stdout" else "/dev/null").open("w") as sink:
        done = subprocess.run(
            argv, env={**os.environ, **variables}, stdout=sink, stderr=subprocess.PIPE, timeout=60
        )
    assert done.returncode == 69, done.stderr


def test_pip_gets_the_mirrors_settings_and_no_others(checkout: Checkout) -> None:
    breaking = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "PIP_ROOT",
                "PIP_REQUIREMENT", "PIP_CONSTRAINT", "PIP_NO_DEPS", "PIP_DRY_RUN", "PYTHONHOME",
                "PYTHONPATH", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONOPTIMIZE")  # fmt: skip
    mirrors = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CERT", "PIP_PROXY",
               "PIP_TRUSTED_HOST", "PIP_CONFIG_FILE", "PIP_NO_INDEX", "https_proxy",
               "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")  # fmt: skip
    done = checkout.call(**dict.fromkeys((*breaking, *mirrors), "set"))
    assert done.returncode == 0, done.stderr
    (called,) = (checkout.directory / "pip").read_text().splitlines()
    assert " --no-user " in called
    seen = (checkout.directory / "variables").read_text().splitlines()
    assert not {f"{name}=set" for name in breaking} & {*seen}
    assert {f"{name}=set" for name in mirrors} <= {*seen}


def test_tab_waits_for_no_installation(checkout: Checkout) -> None:
    done = checkout.call("--complete", "--", "b")
    assert (done.returncode, done.stdout, checkout.installed) == (0, "", 0)


TRAP = "import pathlib; pathlib.Path({mark!r}).touch(); raise SystemExit('imported')\n"
NAMES = ("tasks", "select", "random", "tomllib", "json", "invoke", "sitecustomize",
         "usercustomize", "conftest")  # fmt: skip


@pytest.fixture
def trapped(tmp_path: Path) -> tuple[Path, Path]:
    """A folder in which modules lie that must not be imported; the file that they would make."""
    folder, mark = tmp_path / "folder", tmp_path / "imported"
    (folder / "harness").mkdir(parents=True)
    for name in (*NAMES, "harness/__init__", "harness/core", "harness/__main__"):
        (folder / f"{name}.py").write_text(TRAP.format(mark=str(mark)))
    return folder, mark


def as_the_script_does(*words: str) -> list[str]:
    """The interpreter and the words that the script ends with."""
    last = (ROOT / "lab").read_text().splitlines()[-1]
    before, python, after = last.partition('"$venv/bin/python" ')
    assert (before, python) == ("exec ", '"$venv/bin/python" ')
    prefix = f"pycache_prefix={sys.pycache_prefix or '/dev/null'}"
    own = after.replace('pycache_prefix="$venv/pycache"', prefix).removesuffix(' "$@"')
    return [sys.executable, *own.split(), *words]


def test_nothing_is_imported_from_the_folder_where_it_is_called(
    trapped: tuple[Path, Path],
) -> None:
    folder, mark = trapped
    startup = {"PYTHONPATH": str(folder), "PYTHONSTARTUP": str(folder / "tasks.py"),
               "PYTHONHOME": str(folder), "PYTHONINSPECT": "1", "PYTHONOPTIMIZE": "2",
               "PYTHONWARNINGS": "error"}  # fmt: skip
    done = subprocess.run(
        as_the_script_does("--help"),
        cwd=folder,
        env={**os.environ, **startup},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert not mark.exists(), done.stderr
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("./lab VERB")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["-m", "harness.machine.keeper_process"], 1),  # it was given no order
        (["-m", "harness", "--help"], 0),
        (["-m", "pytest", "--version"], 0),
        (["-m", "mypy", "--version"], 0),
    ],
)
def test_nor_by_the_programs_that_the_lab_starts(
    trapped: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, words: list[str], status: int
) -> None:
    folder, mark = trapped
    monkeypatch.setenv("PYTHONPATH", str(folder))
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=of(LAB),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    assert not mark.exists(), done.stderr
    assert done.returncode == status, done.stderr


def test_nor_by_the_tests_workers(
    trapped: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """execnet starts them, and they inherit from this process."""
    folder, mark = trapped
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("PYTEST_ADDOPTS", "--collect-only")
    with of_tests():
        assert "PYTEST_ADDOPTS" not in os.environ
        done = subprocess.run(
            [sys.executable, "-u", "-c", "import select, random, json, harness.machine.qemu"],
            cwd=folder,
            capture_output=True,
            timeout=60,
        )
    assert not mark.exists(), done.stderr
    assert done.returncode == 0, done.stderr
    assert os.environ["PYTEST_ADDOPTS"] == "--collect-only"


def test_invoke_reads_no_configuration_of_a_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".invoke.py").write_text(TRAP.format(mark=str(tmp_path / "imported")))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("INVOKE_TASKS_EXECUTOR_CLASS", "nothing.Such")
    monkeypatch.setenv("INVOKE_RUN_ECHO", "1")
    with pytest.raises(SystemExit) as ended:
        program.main(["patches", "exprot"], tasks)
    assert not (tmp_path / "imported").exists()
    assert ended.value.code == 2
    assert "can't 'exprot'" in capsys.readouterr().err


def test_what_is_missing_of_the_installation_is_69() -> None:
    """As where somebody took a package out of .venv."""
    hidden = (
        "import runpy, sys; sys.modules['invoke'] = None; sys.argv = ['lab', '--help'];"
        "runpy.run_module('harness', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", hidden], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 69
    assert f"hint: rm -r {sys.prefix}, and ./lab installs it again" in done.stderr
