from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from thalweg.operators.endpoints.reference import refer


def test_a_callable_is_named_and_found_again() -> None:
    reference = refer(json.dumps, "dumps")
    assert reference.resolve() is json.dumps
    assert len(reference.pickled) < 100
    assert reference.folders == (str(Path(json.__file__).parents[1]),)


def test_what_is_bound_to_arguments_travels_with_them() -> None:
    assert refer(partial(json.dumps, indent=1), "partial").resolve()([1]) == "[\n 1\n]"


def test_the_folder_of_a_module_is_added_where_it_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "apart_from_all.py").write_text("def model(rows): return rows\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    reference = refer(import_module("apart_from_all").model, "model")
    monkeypatch.delitem(sys.modules, "apart_from_all")
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(tmp_path)])
    assert reference.resolve()([1]) == [1]
    assert sys.path[-1] == str(tmp_path)


def test_a_function_without_a_name_to_import_is_refused() -> None:
    def local(rows: object) -> object:
        return rows

    with pytest.raises(TypeError, match="could import it by: define it with def, at the top"):
        refer(local, local.__qualname__)
    nameless: Callable[[object], object] = lambda rows: rows  # noqa: E731
    with pytest.raises(TypeError, match="<lambda> has no name"):
        refer(nameless, "<lambda>")
    with pytest.raises(TypeError, match=r"cannot be handed to another process \(.*lambda"):
        refer(partial(nameless), "partial")


def test_a_function_of_a_graph_file_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = ModuleType("scoring__7")
    module.__file__ = "/graphs/scoring.py"
    monkeypatch.setitem(sys.modules, "scoring__7", module)
    exec("def model(rows): return rows", vars(module))
    with pytest.raises(TypeError, match=r"in /graphs/scoring\.py, .* beside that file, and import"):
        refer(module.model, "model")


def test_a_function_of_a_notebook_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    exec("def model(rows): return rows", vars(module))
    with pytest.raises(TypeError, match="in a notebook, or at a prompt"):
        refer(module.model, "model")
