# SPDX-License-Identifier: GPL-2.0-only
"""What `./lab host` gives the tests: a kernel tree, and the machines to compile its store for."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from harness.core.errors import EXIT_BAD_CALL
from harness.native.compiled import (
    NATIVE,
    SOURCES,
    Calls,
    Platform,
    calls,
    compile_c,
    store_sources,
)
from harness.native.other_machines import PLATFORMS as FOREIGN

PLATFORMS = {platform.name: platform for platform in (NATIVE, *FOREIGN)}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tree", type=Path, help="a kernel tree with the series")
    parser.addoption("--objects", type=Path, help="a folder for objects, which are kept")
    parser.addoption("--verdict-only", action="store_true", help="a failure as it was found")
    parser.addoption("--platform", action="append", choices=PLATFORMS, help="to compile for")


def pytest_configure(config: pytest.Config) -> None:
    """Without a search for a smaller example, which takes minutes, where nobody reads it."""
    if config.getoption("--verdict-only"):
        settings.register_profile("verdict", phases=[Phase.explicit, Phase.generate])
        settings.load_profile("verdict")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what takes a platform on each that was asked for."""
    if "platform" in metafunc.fixturenames:
        names = metafunc.config.getoption("--platform") or [NATIVE.name]
        given = [PLATFORMS[name] for name in names]
        metafunc.parametrize("platform", given, ids=names, scope="session", indirect=True)


def _path(request: pytest.FixtureRequest, option: str) -> Path:
    given: Path | None = request.config.getoption(option, None)
    if given is None:
        pytest.exit(f"tests/host needs {option}: ./lab host", EXIT_BAD_CALL)
    return given


@pytest.fixture(scope="session")
def tree(request: pytest.FixtureRequest) -> Path:
    """The kernel tree whose store is tested."""
    return _path(request, "--tree")


@pytest.fixture(scope="session")
def objects(request: pytest.FixtureRequest) -> Path:
    """Where objects for other machines are kept."""
    return _path(request, "--objects")


@pytest.fixture(scope="session")
def platform(request: pytest.FixtureRequest) -> Platform:
    """The machine that the store is compiled for."""
    param: Platform = request.param
    return param


@pytest.fixture(scope="session")
def store(
    platform: Platform, tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Calls]:
    """The store's calls on that machine."""
    program = tmp_path_factory.mktemp(platform.name) / "store"
    sources = [SOURCES / "store.c", *store_sources(tree)]
    compile_c(tree, program, sources, platform.flags, platform.compiler)
    with calls(program, platform) as process:
        yield process


@pytest.fixture
def seed() -> int:
    """A seed for what is random in a test, printed if it fails; LAB_SEED repeats one."""
    seed = int(os.environ.get("LAB_SEED") or random.SystemRandom().getrandbits(32))
    print(f"seed {seed}; to repeat: LAB_SEED={seed}")
    return seed
