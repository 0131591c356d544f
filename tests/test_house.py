"""The house rules that a machine can check: the links, the arrows, the sizes, the imports."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import thalweg

ROOT = Path(__file__).parent.parent
FOLDERS = ("runtime", "operators", "graphs", "deploy")
LONGEST = 500

FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
HEAVY = (
    "aiohttp",
    "asyncpg",
    "asyncssh",
    "duckdb",
    "numpy",
    "onnxruntime",
    "pandas",
    "prometheus_client",
    "py4j",
    "pyarrow",
    "pypmml",
    "sklearn",
    "skops",
    "yaml",
)
OUTSIDE = {"prometheus_client": "runtime/metrics.py"}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _imports(path: Path) -> Iterator[tuple[str, bool]]:
    """The modules that a file imports, and whether it does so when it is imported itself.

    Names are as Python resolves them: a relative one begins with `thalweg.`.
    """
    package = ["thalweg", *path.relative_to(ROOT).parent.parts]
    tree = _tree(path)
    late = {
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            late.update(inner for inner in ast.walk(node) if inner is not node)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node not in late
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                base = ".".join(package[: len(package) - node.level + 1])
                module = f"{base}.{module}" if module else base
            for alias in node.names:
                yield f"{module}.{alias.name}", node not in late


def test_there_are_files_in_every_folder() -> None:
    for folder in FOLDERS:
        assert any(_name(path).startswith(f"{folder}/") for path in FILES)
    assert ("thalweg.runtime.contracts.Operator", True) in list(
        _imports(ROOT / "runtime" / "plan.py")
    )


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_link_leads_to_its_folder_and_python_imports_from_there(folder: str) -> None:
    link = ROOT / "src" / "thalweg" / folder
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    assert link.resolve() == ROOT / folder
    spec = importlib.util.find_spec(f"thalweg.{folder}")
    assert spec is not None
    places = [*(spec.submodule_search_locations or ())]
    assert [Path(place).resolve() for place in places] == [ROOT / folder]


def test_nothing_else_stands_beside_the_links() -> None:
    names = {path.name for path in (ROOT / "src" / "thalweg").iterdir()} - {"__pycache__"}
    assert names == {*FOLDERS, "__init__.py", "testing.py", "py.typed"}


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_no_file_is_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_arrows_run_one_way(path: Path) -> None:
    here = FOLDERS.index(path.relative_to(ROOT).parts[0])
    for module, _ in _imports(path):
        top, *rest = module.split(".")
        assert top not in FOLDERS, f"{module}: from the repository root this is a second copy"
        if top == "thalweg" and rest and rest[0] in FOLDERS:
            assert FOLDERS.index(rest[0]) <= here, f"{_name(path)} imports {module}"


@pytest.mark.parametrize(
    "path", [path for path in FILES if _name(path).startswith("operators/")], ids=_name
)
def test_an_operator_imports_only_the_contracts_of_the_runtime(path: Path) -> None:
    for module, _ in _imports(path):
        if module.startswith("thalweg.runtime"):
            assert module.startswith("thalweg.runtime.contracts."), f"{_name(path)}: {module}"


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_an_outside_package_is_imported_in_its_place_only(path: Path) -> None:
    for module, _ in _imports(path):
        place = OUTSIDE.get(module.split(".")[0])
        assert place is None or _name(path) == place or _is_for_types(path, module), module


def _is_for_types(path: Path, module: str) -> bool:
    """Whether the import is there for the type checker alone."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            names = {
                f"{inner.module}.{alias.name}"
                for inner in ast.walk(node)
                if isinstance(inner, ast.ImportFrom)
                for alias in inner.names
            }
            if module in names:
                return True
    return False


@pytest.mark.parametrize("module", ["thalweg", "thalweg.testing", "thalweg.operators"])
def test_importing_it_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_offered() -> None:
    for module in ("thalweg", "thalweg.testing"):
        found = importlib.import_module(module)
        own = {
            name
            for name, value in vars(found).items()
            if not name.startswith("_") and name != "annotations" and not inspect.ismodule(value)
        }
        assert own == set(found.__all__), module
        assert found.__all__ == sorted(found.__all__, key=_in_order), module


def _in_order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def test_every_module_says_what_it_offers_and_has_it() -> None:
    """A module that offers names names only such as it has, and hides what begins with `_`."""
    missing: list[str] = []
    for found in pkgutil.walk_packages(thalweg.__path__, "thalweg."):
        if found.name.startswith("thalweg.graphs"):
            continue
        module = importlib.import_module(found.name)
        offered = getattr(module, "__all__", None)
        if offered is None:
            if not found.ispkg:
                missing.append(found.name)
            continue
        assert all(hasattr(module, name) for name in offered), found.name
        assert not any(name.startswith("_") for name in offered), found.name
    assert missing == []


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_wait_for_is_not_used(path: Path) -> None:
    """On 3.11 it swallows a cancellation that races with a result."""
    tree = _tree(path)
    used = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "asyncio.wait_for"
    ]
    assert used == []
