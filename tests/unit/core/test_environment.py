# SPDX-License-Identifier: GPL-2.0-only
"""What programs inherit: the listed variables, through the one place that starts programs."""

import ast
import sys
from pathlib import Path

import pytest

import tasks
from harness.commands import suite_process, watch
from harness.commands.cli.program import main
from harness.core import environment, host
from harness.core.environment import APT, COMPILER, LAB, PIP, PROGRAM, TERMINAL, Kind
from harness.core.errors import BadCall, LabError
from harness.core.run import run
from harness.core.workspace import ROOT, Selection
from harness.machine import keeper_process, qemu, qemu_process
from harness.machine.plan import Plan
from harness.machine.snapshot import State
from harness.machine.vm import Access
from harness.series import trial

KINDS = {"apt": APT, "compiler": COMPILER, "lab": LAB, "pip": PIP, "program": PROGRAM,
         "terminal": TERMINAL}  # fmt: skip
# Variables that redirect, add to or change what programs do, by who obeys them.
_OBEYED = """
    GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_CONFIG GIT_CONFIG_GLOBAL
    GIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS GIT_EXTERNAL_DIFF GIT_SSH_COMMAND GIT_NAMESPACE
    MAKEFLAGS MFLAGS GNUMAKEFLAGS MAKEFILES MAKELEVEL KBUILD_OUTPUT KBUILD_CFLAGS KBUILD_EXTMOD
    KBUILD_BUILD_TIMESTAMP EXTRA_CFLAGS CFLAGS LDFLAGS HOSTCFLAGS KCONFIG_SEED INSTALL_MOD_PATH
    CPATH C_INCLUDE_PATH CPLUS_INCLUDE_PATH LIBRARY_PATH COMPILER_PATH GCC_EXEC_PREFIX
    DEPENDENCIES_OUTPUT SOURCE_DATE_EPOCH CCC_OVERRIDE_OPTIONS CCACHE_PREFIX CCACHE_COMPILER
    LD_LIBRARY_PATH LD_PRELOAD LD_AUDIT LD_RUN_PATH GLIBC_TUNABLES LDD_ARGV0 GCONV_PATH
    MALLOC_PERTURB_ BASH_ENV ENV CDPATH SHELLOPTS BASHOPTS POSIXLY_CORRECT TAR_OPTIONS
    GREP_OPTIONS XZ_DEFAULTS XZ_OPT GZIP LZ4_CLEVEL PERL5LIB PERL5OPT PERLLIB QEMU_AUDIO_DRV
    QEMU_MODULE_DIR PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONOPTIMIZE PYTHONWARNINGS
    PYTHONINSPECT PYTHONUSERBASE PYTHONDONTWRITEBYTECODE PYTEST_ADDOPTS PYTEST_PLUGINS MYPYPATH
    MYPY_CONFIG_FILE RUFF_CONFIG PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV
    PIP_REQUIREMENT PIP_ROOT PIP_DRY_RUN INVOKE_RUN_ECHO VIRTUAL_ENV FORCE_COLOR PY_COLORS CI
"""
HOSTILE = _OBEYED.split()


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in HOSTILE:
        monkeypatch.setenv(name, "hostile")


@pytest.mark.parametrize("kind", KINDS.values(), ids=[*KINDS])
def test_what_is_not_listed_is_left_out(hostile: None, kind: Kind) -> None:
    assert "hostile" not in environment.of(kind).values()


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("HOME", "apt compiler lab pip program terminal"),
        ("TMPDIR", "apt compiler lab pip program terminal"),
        ("https_proxy", "apt lab pip"),
        ("SSL_CERT_FILE", "apt lab pip"),
        ("APT_CONFIG", "apt lab"),
        ("PIP_FIND_LINKS", "pip"),
        ("PIP_CONFIG_FILE", "pip"),
        ("CCACHE_DIR", "compiler lab"),
        ("CCACHE_RECACHE", "compiler lab"),
        ("XDG_CACHE_HOME", "compiler lab pip terminal"),
        ("LAB_ACCEL", "lab"),
        ("LAB_SEED", "lab"),
        ("LAB_QEMU", ""),
        ("LLVM", "lab"),
        ("LC_MESSAGES", "terminal"),
    ],
)
def test_what_is_listed_goes_through_to_its_kinds(
    monkeypatch: pytest.MonkeyPatch, name: str, kinds: str
) -> None:
    monkeypatch.setenv(name, "mine")
    passing = [kind for kind in KINDS if environment.of(KINDS[kind]).get(name) == "mine"]
    assert passing == kinds.split()


def test_programs_are_not_looked_for_in_the_folder_that_one_is_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "find").write_text("#!/bin/sh\necho mine\n")
    (tmp_path / "find").chmod(0o755)
    monkeypatch.setenv("PATH", ".::/usr/bin:/bin")
    assert environment.path() == "/usr/bin:/bin"
    assert run(["find", "-name", "find"], cwd=tmp_path, deadline=10) == "./find\n"


def test_a_program_that_is_run_has_this_environment(
    hostile: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/mine")
    lines = run(["env"], env={"MORE": "too"}, deadline=10).splitlines()
    assert not [line for line in lines if line.endswith("=hostile")]
    assert {"HOME=/mine", "MORE=too", "LC_ALL=C.UTF-8"} < {*lines}


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that writes its environment into the file that is returned."""
    seen = tmp_path / "seen"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nenv >{seen}.new\nmv {seen}.new {seen}\n")
    program.chmod(0o755)
    monkeypatch.setattr(qemu, "BINARY", str(program))
    monkeypatch.setattr(sys, "executable", str(program))
    return seen


def _inherited(seen: Path) -> set[str]:
    return {line.partition("=")[0] for line in seen.read_text().splitlines()}


def _spec(directory: Path) -> qemu.Spec:
    accelerator = qemu.Accelerator("tcg", "Nehalem", "")
    return qemu.Spec(directory, directory, accelerator, directory / "console", 0, ())


def test_so_has_qemu(hostile: None, stand_in: Path, tmp_path: Path) -> None:
    with qemu_process.process(_spec(tmp_path)) as process:
        process.wait()
    assert _inherited(stand_in).isdisjoint(HOSTILE)
    assert "LAB_ACCEL" not in _inherited(stand_in)


def test_so_have_a_keeper_and_a_run_of_the_suite(
    hostile: None, stand_in: Path, tmp_path: Path
) -> None:
    access, state = Access(tmp_path / "key", "host"), State(tmp_path, "x")
    with pytest.raises(LabError):
        keeper_process.start(tmp_path, Plan(Selection(), _spec(tmp_path), access, state))
    assert _inherited(stand_in).isdisjoint(HOSTILE)
    assert "PYTHONSAFEPATH=1" in stand_in.read_text()
    stand_in.unlink()
    suite_process.SuiteRun([], tmp_path / "log")._process.wait(10)
    assert _inherited(stand_in).isdisjoint(HOSTILE)
    assert "PYTHONSAFEPATH=1" in stand_in.read_text()


# Each starts a program or replaces this one; what asyncio, pty and the like have ends there too.
STARTS = {"Popen", "run", "call", "check_call", "check_output", "getoutput", "getstatusoutput"}


def _starts(source: Path) -> list[str]:
    """Where a source starts a program otherwise than by harness.run."""
    found = []
    tree = ast.parse(source.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("subprocess", "os", "pty"):
            found += [
                f"{source.name}:{node.lineno}: imports {alias.name}"
                for alias in node.names
                if alias.name in STARTS or alias.name.startswith(("exec", "spawn", "posix_spawn"))
            ]
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner, name = node.func.value, node.func.attr
        module = owner.id if isinstance(owner, ast.Name) else ""
        if (
            (module == "subprocess" and name in STARTS)
            or (module == "os" and name.startswith(("exec", "spawn", "posix_spawn", "popen")))
            or (module == "os" and name == "system")
            or (module in ("pty", "asyncio", "multiprocessing", "c", "context"))
        ):
            found.append(f"{source.name}:{node.lineno}: {module}.{name}")
    return found


def test_no_program_is_started_anywhere_else() -> None:
    sources = [*(ROOT / "harness").rglob("*.py"), ROOT / "tasks.py"]
    found = [each for source in sorted(sources) for each in _starts(source)]
    assert [each.partition(":")[0] for each in found] == ["environment.py", "run.py"], found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ARCH", "arm64"),
        ("CC", "clang"),
        ("CROSS_COMPILE", "aarch64-linux-gnu-"),
        ("KCFLAGS", "-O0"),
        ("KCONFIG_CONFIG", "my.config"),
        ("LD", "ld.bfd"),
        ("LLVM", "1"),
        ("LOCALVERSION", "-mine"),
    ],
)
def test_what_asks_for_another_build_is_a_bad_call(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setattr(host, "NEEDS", ())
    host.require(())
    monkeypatch.setenv(name, value)
    with pytest.raises(BadCall, match=f"^{name}={value} is set") as caught:
        host.require(())
    assert f"env -u {name} ./lab" in caught.value.hint


def test_verbs_that_build_in_processes_of_their_own_say_so_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ARCH", "arm64")
    with pytest.raises(BadCall, match="ARCH=arm64 is set"):
        watch.watch([])
    with pytest.raises(BadCall, match="ARCH=arm64 is set"), trial.trial(Selection()):
        pass


@pytest.mark.parametrize(
    ("name", "value"),
    [("ARCH", "x86_64"), ("CC", "gcc"), ("CC", "ccache gcc"), ("LLVM", ""), ("MAKEFLAGS", "-s")],
)
def test_what_asks_for_the_labs_own_build_is_none(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setattr(host, "NEEDS", ())
    monkeypatch.setenv(name, value)
    host.require(())


def test_help_needs_no_build(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ARCH", "arm64")
    with pytest.raises(SystemExit) as ended:
        main(["--help"], tasks)
    assert not ended.value.code
    assert capsys.readouterr().err == ""
