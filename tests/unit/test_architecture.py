# SPDX-License-Identifier: GPL-2.0-only
"""The packages of harness/ stand in one direction, and no modules import each other in a circle."""

import ast
import graphlib
import inspect
from pathlib import Path

import pytest

from harness import api
from harness.core.workspace import ROOT

# Lowest first: a package imports from itself and from those before it.
PACKAGES = (
    "core",
    "artefacts",
    "console",
    "machine.ssh",
    "machine",
    "datapath",
    "native",
    "testing",
    "series",
    "commands",
    "commands.cli",
)
LINES = 310  # of a module that a reader takes in


def modules(root: Path) -> dict[str, Path]:
    """The files of harness/ below a folder, by what Python calls them."""
    files = (root / "harness").rglob("*.py")
    return {_name(file.relative_to(root)): file for file in files}


def _name(file: Path) -> str:
    parts = file.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(file: Path, known: dict[str, Path]) -> set[str]:
    """Which of these modules a file imports, also late, and also for types only."""
    found = set[str]()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            module = node.module or ""
            found |= {f"{module}.{alias.name}" for alias in node.names} | {module}
    return {name for name in found if name in known}


def package(module: str) -> str:
    """The package of a module, without harness; "" for harness/__main__.py."""
    return module.removeprefix("harness.").rpartition(".")[0]


def upwards(root: Path) -> list[str]:
    """The imports that go against the packages' order, as IMPORTER -> IMPORTED."""
    known = modules(root)
    return [
        f"{importer} -> {other}"
        for importer, file in known.items()
        if (own := package(importer)) and file.name != "__init__.py"
        for other in sorted(imported(file, known))
        if known[other].name != "__init__.py"
        if PACKAGES.index(package(other)) > PACKAGES.index(own)
    ]


def test_packages_import_from_those_before_them() -> None:
    assert upwards(ROOT) == []


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    known = modules(ROOT)
    order = graphlib.TopologicalSorter({name: imported(known[name], known) for name in known})
    assert set(order.static_order()) == set(known)  # else a CycleError, which names the circle


def test_nothing_below_the_command_line_imports_the_verbs() -> None:
    importers = [
        name
        for name, file in modules(ROOT).items()
        if imported(file, {"tasks": ROOT}) and name != "harness.__main__"
    ]
    assert importers == []


def test_the_face_for_tests_is_for_tests_alone() -> None:
    """And what it has is documented where it is defined; a mark can't be."""
    known = modules(ROOT)
    assert [name for name in known if "harness.api" in imported(known[name], known)] == []
    for name in api.__all__:
        thing = getattr(api, name)
        assert isinstance(thing, pytest.MarkDecorator) or inspect.getdoc(thing), name


def test_each_package_says_what_it_is() -> None:
    for name in PACKAGES:
        assert ast.get_docstring(ast.parse(modules(ROOT)[f"harness.{name}"].read_text()))


def test_modules_are_short() -> None:
    lengths = {name: len(file.read_text().splitlines()) for name, file in modules(ROOT).items()}
    assert [name for name, length in lengths.items() if length > LINES] == []


@pytest.mark.parametrize(
    "line",
    [
        "from harness.commands import lab",
        "from harness.commands.lab import boot",
        "import harness.commands.lab",
        "def late():\n    from harness.commands import lab",
        "if TYPE_CHECKING:\n    from harness.commands.lab import boot",
    ],
)
def test_an_import_upwards_is_seen(tmp_path: Path, line: str) -> None:
    for name, text in (("core/run", line), ("commands/lab", "")):
        file = tmp_path / f"harness/{name}.py"
        file.parent.mkdir(parents=True)
        file.write_text(f"{text}\n")
    assert upwards(tmp_path) == ["harness.core.run -> harness.commands.lab"]
