"""A local ONNX model, run by onnxruntime in a thread."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from ...runtime.contracts import Context
from .endpoint import Answer, Endpoint
from .onnx_model import OnnxModel
from .tensors import Layout, described

__all__ = ["Onnx", "onnx"]


class Onnx(Endpoint):
    """See `onnx`."""

    def __init__(self, path: str | os.PathLike[str], *, threads: int) -> None:
        self._path = Path(path)
        if not str(path).strip():
            raise ValueError("onnx() takes the path of a model file, and it is empty")
        if not isinstance(cast(object, threads), int) or threads < 1:
            raise ValueError(f"threads must be 1 or more, not {threads!r}")
        self._threads = threads

    def __repr__(self) -> str:
        return f"onnx({str(self._path)!r})"

    async def open(self, context: Context) -> None:
        self._context = context
        self._layout: Layout | None = None
        self._model: OnnxModel | None = await context.in_thread(
            OnnxModel, self._path, threads=self._threads
        )

    async def predict(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        if self._model is None:
            raise RuntimeError("an endpoint is called between open and close")
        if self._layout is None:
            self._layout = self._model.arrange(fields)
        return await self._context.in_thread(self._model.predict, self._layout, rows)

    async def fields(self) -> Mapping[str, str] | None:
        if self._model is None:
            raise RuntimeError("an endpoint is asked between open and close")
        return described(self._model.inputs)

    async def close(self) -> None:
        self._model = None


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
