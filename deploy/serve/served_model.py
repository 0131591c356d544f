"""What the server serves: an ONNX file, or a Python callable."""

from __future__ import annotations

import importlib
import os
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from ...operators.endpoints.endpoint import Answer
from ...operators.endpoints.function import answer_of
from ...operators.endpoints.onnx_model import OnnxModel
from ...operators.endpoints.tensors import Tensor
from ...runtime.errors import MisconfiguredError

__all__ = ["ServedModel", "load"]

_CALLABLE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z")
_NAME = re.compile(r"[\w.~-]+\Z")


class ServedModel(ABC):
    """A model under a name. `predict` blocks, and is called from several threads at once."""

    name: str
    platform: str
    version: str | None = None
    inputs: Sequence[Tensor] = ()
    outputs: Sequence[Tensor] = ()

    @abstractmethod
    def predict(self, fields: tuple[str, ...] | None, rows: Sequence[tuple[object, ...]]) -> Answer:
        """Score the rows; without `fields`, they are those of the model, in its order.

        Raises DataError or MisconfiguredError for rows that the model does not take.
        """


class _ServedOnnx(ServedModel):
    platform = "onnxruntime_onnx"

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self._model = OnnxModel(path)
        self.version = self._model.version
        self.inputs = self._model.inputs
        self.outputs = self._model.outputs

    def predict(self, fields: tuple[str, ...] | None, rows: Sequence[tuple[object, ...]]) -> Answer:
        if len(self.inputs) == 1:
            # A row may come as one list, as a tensor of several values a row does.
            rows = [
                tuple(cast("list[object]", row[0])) if isinstance(row[0], list) else row
                for row in rows
            ]
            fields = tuple(f"value {index}" for index in range(len(rows[0])))
        elif fields is None:
            fields = tuple(tensor.name for tensor in self.inputs)
        if any(len(row) != len(fields) for row in rows):
            raise MisconfiguredError(f"each row holds {len(fields)} values for {self.name}")
        return self._model.predict(self._model.arrange(fields), rows)


class _ServedCallable(ServedModel):
    platform = "python"

    def __init__(self, call: Callable[[list[dict[str, object]]], Any], name: str) -> None:
        self.name = name
        self._call = call

    def predict(self, fields: tuple[str, ...] | None, rows: Sequence[tuple[object, ...]]) -> Answer:
        if fields is None:
            raise MisconfiguredError(f"{self.name} takes rows with fields")
        results = self._call([dict(zip(fields, row, strict=True)) for row in rows])
        return answer_of(results, len(rows), self.name)


def load(model: str, name: str | None = None) -> ServedModel:
    """The model that `model` names: the path of an .onnx file, or `module:function`.

    Its name is that of the file or function unless given. Raises MisconfiguredError where there is
    no such model, or where the name does not fit into a URL.
    """
    # A colon makes it a callable, unless there is such a file.
    is_callable = _CALLABLE.match(model) is not None and not Path(model).is_file()
    name = name or (model.rpartition(":")[2] if is_callable else Path(model).stem)
    if not _NAME.match(name):
        raise MisconfiguredError(
            f"the model's name {name!r} does not fit into a URL: use letters, digits, '_', '-', '.'"
        )
    if is_callable:
        return _ServedCallable(_imported(model), name)
    if not model.endswith(".onnx"):
        raise MisconfiguredError(
            f"{model!r} is no model: give the path of an .onnx file, or module:function"
        )
    return _ServedOnnx(Path(model), name)


def _imported(model: str) -> Callable[..., Any]:
    module_name, _, function_name = model.partition(":")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise MisconfiguredError(f"{model} cannot be loaded: {error}") from error
    if not callable(found):
        raise MisconfiguredError(f"{model} is a {type(found).__name__}, which cannot be called")
    return found  # type: ignore[no-any-return]
