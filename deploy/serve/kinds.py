"""The kinds of models that can be served, and how each is loaded."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from ...runtime.errors import MisconfiguredError
from .model_name import checked_name
from .served_file import ServedFile
from .served_function import ServedFunction
from .served_model import ServedModel

__all__ = ["kind_of", "load", "load_file"]

_CALLABLE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z")
_NAMED = re.compile(r"([\w.~-]+)=(.+)\Z")


def _onnx(path: Path, name: str, version: str | None) -> ServedModel:
    from ...operators.endpoints.onnx_model import OnnxModel

    return ServedFile(OnnxModel(path), name, "onnxruntime_onnx", version)


def _skops(path: Path, name: str, version: str | None) -> ServedModel:
    from ...operators.endpoints.sklearn_model import SklearnModel

    try:
        model = SklearnModel(path)
    except MisconfiguredError as error:
        # What it goes on to say is for who writes a graph: here no type is loaded on trust.
        raise MisconfiguredError(str(error).partition(". If you trust them")[0]) from None
    return ServedFile(model, name, "sklearn", version)


def _pmml(path: Path, name: str, version: str | None) -> ServedModel:
    from ...operators.endpoints.pmml_model import PmmlModel

    return ServedFile(PmmlModel(path), name, "pmml", version)


# By the end of the file's name.
_KINDS: dict[str, Callable[[Path, str, str | None], ServedModel]] = {
    "onnx": _onnx,
    "skops": _skops,
    "pmml": _pmml,
}


def kind_of(path: Path) -> str | None:
    """The kind of model that a file holds by its name, or None.

    >>> kind_of(Path("graphs/models/iris.onnx"))
    'onnx'
    """
    kind = path.suffix.removeprefix(".").lower()
    return kind if kind in _KINDS else None


def load_file(path: Path, name: str, version: str | None = None) -> ServedModel:
    """The model in a file; `version` stands for the one that the file tells.

    Raises MisconfiguredError where the file is missing, broken, or of no kind that is known, and
    MissingExtra where the kind needs a package that is not there.
    """
    kind = kind_of(path)
    if kind is None:
        raise MisconfiguredError(f"{str(path)!r} is no model: give the path of {_listed()} file")
    return _KINDS[kind](path, name, version)


def load(model: str, name: str | None = None) -> ServedModel:
    """The model that `model` names: the path of a model file, or `module:function`.

    `NAME=` before it gives it a name, as `name` does; else it has that of the file or function.
    Raises MisconfiguredError where there is no such model, or where the name does not fit into a
    URL.
    """
    named = _NAMED.match(model)
    # The path of a file may hold what else would be a name, or a callable.
    if named is not None and not Path(model).is_file():
        if name is not None:
            raise MisconfiguredError(
                f"{model} names the model, and so does {name!r}: leave one of the two out"
            )
        name, model = named[1], named[2]
    is_callable = _CALLABLE.match(model) is not None and not Path(model).is_file()
    if name is None:
        name = model.rpartition(":")[2] if is_callable else Path(model).stem
    checked_name(name)
    if is_callable:
        return ServedFunction(model, name)
    if kind_of(Path(model)) is None:
        raise MisconfiguredError(
            f"{model!r} is no model: give the path of {_listed()} file, or module:function"
        )
    return load_file(Path(model), name)


def _listed() -> str:
    *others, last = (f".{kind}" for kind in _KINDS)
    return f"an {', '.join(others)} or {last}"
