"""Finds a graph by file, module or name, and executes its file afresh."""

from __future__ import annotations

import importlib.util
import inspect
import itertools
import os
import stat
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from ..runtime.dataclass import dataclass
from ..runtime.errors import GraphError, SettingError
from ..runtime.graph import Graph
from ..runtime.nodes import nearest
from ..runtime.settings import Setting, settings_from
from .explaining import LoadError, explain

__all__ = ["LoadError", "Loaded", "importable", "load", "shipped"]

_LARGEST = 1024 * 1024
_SHIPPED = Path(__file__).resolve().parent.parent / "graphs"
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A graph with the settings its file declares, and the folder that it may import from."""

    graph: Graph
    settings: tuple[Setting, ...]
    file: Path
    folder: Path


@dataclass(frozen=True, slots=True)
class _Found:
    """A file to execute: `shown` is its name in messages, `package` what relative imports need."""

    file: Path
    shown: str
    attribute: str | None
    folder: Path
    package: str | None = None


def load(
    target: str, given: Mapping[str, str] | None = None, *, number: int | None = None
) -> Loaded:
    """Load a graph from a file, a module (`package.module`) or the name of one that ships.

    `target` may end in `:attribute`; without one the attribute is `graph`. It is a Graph, or a
    function without parameters that returns one. `given` maps names of settings to their texts.
    Nothing is cached: each call executes the file anew, with its folder importable as in
    `python FILE`. A load with a `number` takes the place of the one before with the same number:
    what was pickled of it is that of the new one. Raises GraphError, with file and line, for every
    mistake of the file's author.
    """
    found = _find(target)
    with importable(found.folder):
        graph, settings = _execute(found, given, next(_numbers) if number is None else number)
    return Loaded(graph, settings, found.file, found.folder)


@contextmanager
def importable(folder: Path) -> Generator[None]:
    """Within this block, modules in `folder` can be imported, before all others."""
    entry = str(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        if entry in sys.path:
            sys.path.remove(entry)


def shipped() -> dict[str, Path]:
    """The graphs that come with the package, by name."""
    return {file.stem: file for file in sorted(_SHIPPED.glob("[a-z]*.py"))}


def _find(target: str) -> _Found:
    name, colon, attribute = target.rpartition(":")
    if not colon or Path(target).exists():
        name, attribute = target, ""
    elif not attribute.isidentifier():
        raise LoadError(f"{target!r}: {attribute!r} is no name of a graph or of a function")
    path = Path(name)
    if path.is_file() or name.endswith(".py") or os.sep in name or not name:
        return _Found(_checked(path, name), name, attribute or None, path.resolve().parent)
    ours = shipped()
    if name in ours:
        file = ours[name]
        return _Found(file, _short(file), attribute or None, file.parent)
    if all(part.isidentifier() for part in name.split(".")):
        return _find_module(name, attribute or None)
    raise LoadError(_nothing(name))


def _find_module(name: str, attribute: str | None) -> _Found:
    here = Path.cwd()
    try:
        with importable(here):
            spec = importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if not (error.name and (name + ".").startswith(error.name + ".")):
            raise LoadError(f"the package of {name!r} does not import: {error}") from error
        raise LoadError(_nothing(name)) from error
    except Exception as error:
        raise LoadError(
            f"the package of {name!r} does not import: {type(error).__name__}: {error}"
        ) from error
    if spec is None:
        raise LoadError(_nothing(name))
    if spec.origin is None or not spec.origin.endswith(".py"):
        raise LoadError(f"the module {name!r} has no Python file to execute")
    file = Path(spec.origin)
    return _Found(_checked(file, _short(file)), _short(file), attribute, here, spec.parent)


def _nothing(name: str) -> str:
    names = [*shipped(), *(file.name for file in Path().glob("*.py"))]
    return (
        f"there is no graph {name!r}: neither a file, nor a module, nor one that ships."
        f"{nearest(name, names)} Those that ship are: {', '.join(shipped())}"
    )


def _checked(path: Path, shown: str) -> Path:
    """The path made absolute, if it is a file that may be executed."""
    try:
        status = path.stat()
    except FileNotFoundError:
        folder = path.parent
        if not folder.is_dir():
            raise LoadError(f"{shown}: there is no folder {str(folder)!r}") from None
        beside = {file.name for file in folder.glob("*.py")}
        near = nearest(path.name, beside)
        raise LoadError(f"{shown}: there is no such file.{near}") from None
    except OSError as error:
        raise LoadError(f"{shown}: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise LoadError(f"{shown} is {what}: name a Python file")
    if status.st_size > _LARGEST:
        raise LoadError(
            f"{shown} has {status.st_size:,} bytes: a graph file has {_LARGEST:,} at most"
        )
    return path.absolute()


def _execute(
    found: _Found, given: Mapping[str, str] | None, number: int
) -> tuple[Graph, tuple[Setting, ...]]:
    name = f"{found.file.stem}__{number}"
    module = ModuleType(name)
    module.__file__ = str(found.file)
    if found.package is not None:
        module.__package__ = found.package
    # Data classes and pickle look their module up; under a name of its own nothing can clash.
    sys.modules[name] = module
    try:
        code = compile(found.file.read_bytes(), found.shown, "exec", dont_inherit=True)
    except OSError as error:
        raise LoadError(f"{found.shown}: {error.strerror}") from None
    except SyntaxError as error:
        raise explain(error, found.shown, {}) from error
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise LoadError(f"{error or type(error).__name__}", where=found.shown) from error
    try:
        with settings_from(given) as settings:
            exec(code, module.__dict__)
            graph = _pick(module, found)
    except SettingError as error:
        if error.where is not None:
            raise
        raise SettingError(str(error), where=found.shown) from None
    except GraphError:
        raise
    except (Exception, SystemExit) as error:
        raise explain(error, found.shown, vars(module)) from error
    return graph, settings.declared


def _pick(module: ModuleType, found: _Found) -> Graph:
    """The graph that the file holds, or that its function returns."""
    attribute = found.attribute or "graph"
    value: object = vars(module).get(attribute)
    where = found.shown
    if isinstance(value, Graph):
        return value
    if inspect.isfunction(value):
        where = f"{where}:{value.__code__.co_firstlineno}"
        if inspect.iscoroutinefunction(value):
            raise LoadError(f"{attribute}() is async: a plain function is asked for", where=where)
        for parameter in inspect.signature(value).parameters.values():
            variable = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            if parameter.default is parameter.empty and not variable:
                raise LoadError(
                    f"{attribute}() is called without arguments, but {parameter.name!r} has no "
                    "default: use thalweg.setting for what a user may choose",
                    where=where,
                )
        returned: object = value()
        if isinstance(returned, Graph):
            return returned
        raise LoadError(
            f"{attribute}() returned {_kind(returned)}, and a Graph is asked for", where=where
        )
    if value is not None:
        raise LoadError(
            f"{attribute!r} is {_kind(value)}: a Graph is asked for, or a function that "
            f"returns one.{_candidates(module, found)}",
            where=where,
        )
    raise LoadError(f"there is no {attribute!r} in it.{_candidates(module, found)}", where=where)


def _candidates(module: ModuleType, found: _Found) -> str:
    """What could have been meant, in words."""
    graphs = [name for name, value in vars(module).items() if isinstance(value, Graph)]
    functions = [
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    ]
    text = ""
    if graphs:
        text += f" It has the graphs {', '.join(graphs)}."
    if functions:
        text += f" It has the functions {', '.join(functions)}."
    if not text:
        return " It has neither a Graph nor a function"
    return f"{text} Name one 'graph', or load {found.shown}:{(graphs or functions)[0]}"


def _kind(value: object) -> str:
    return "nothing" if value is None else f"of type {type(value).__name__}"


def _short(file: Path) -> str:
    """The path from here when the file lies below, else the whole path."""
    here = Path.cwd()
    real = file.resolve()
    return str(real.relative_to(here)) if real.is_relative_to(here) else str(file)
