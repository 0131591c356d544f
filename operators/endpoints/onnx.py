"""A local ONNX model, run by onnxruntime in a thread."""

from __future__ import annotations

import os
from typing import cast

from .endpoint import Endpoint
from .local_model import LocalModel
from .onnx_model import OnnxModel
from .tensors import Layout

__all__ = ["Onnx", "onnx"]


class Onnx(LocalModel[Layout]):
    """See `onnx`."""

    def __init__(self, path: str | os.PathLike[str], *, threads: int) -> None:
        super().__init__(path, takes=("onnx", "a model file"))
        if not isinstance(cast(object, threads), int) or threads < 1:
            raise ValueError(f"threads must be 1 or more, not {threads!r}")
        self._threads = threads

    def load(self) -> OnnxModel:
        return OnnxModel(self._path, threads=self._threads)


def onnx(path: str | os.PathLike[str], *, threads: int = 1) -> Endpoint:
    """A local ONNX model.

    >>> onnx("graphs/models/iris.onnx")
    onnx('graphs/models/iris.onnx')

    Inputs named like the model fields take one field each; a single input of another name takes
    all fields, in the order of the mapping. An output of one value a row becomes a value, one of
    several a list. The version that stands in the model file is the model's version.

    Parameters: `path`, the model file, looked for when the job starts; `threads`, how many threads
    one call may use (1: calls run side by side instead). Raises ValueError for an empty path. At
    the start, MissingExtra without onnxruntime, MisconfiguredError for a file that is missing or
    is no model.
    """
    return Onnx(path, threads=threads)
