"""A model that stands in a file."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar, cast

from ...operators.endpoints.endpoint import Answer
from ...operators.endpoints.tensors import Tensor
from ...runtime.errors import MisconfiguredError
from .served_model import ServedModel

__all__ = ["FileModel", "ServedFile"]

L = TypeVar("L")


class FileModel(Protocol[L]):
    """What the models of all kinds of files offer, once loaded; each has a layout of its own."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    version: str | None

    def arrange(self, fields: tuple[str, ...]) -> L:
        """How the model takes these fields."""
        ...

    def predict(self, layout: L, rows: Sequence[tuple[object, ...]]) -> Answer:
        """Score the rows."""
        ...


class ServedFile(ServedModel, Generic[L]):
    """A loaded model under a name; its version is the one that stands in its file, unless given.

    What the model holds outside of Python, such as a process, is let go of by `close`, or when
    the last request that uses it has been answered and nobody else knows it.
    """

    def __init__(
        self, model: FileModel[L], name: str, platform: str, version: str | None = None
    ) -> None:
        self.name = name
        self.platform = platform
        self.version = version if version is not None else model.version
        self.inputs = model.inputs
        self.outputs = model.outputs
        self._model = model
        close = getattr(model, "close", None)
        self._let_go = weakref.finalize(self, close) if close is not None else None

    def predict(self, fields: tuple[str, ...] | None, rows: Sequence[tuple[object, ...]]) -> Answer:
        if len(self.inputs) == 1 and any(isinstance(row[0], list) for row in rows):
            # A row may come as one list, as a tensor of several values a row does.
            rows = [
                tuple(cast("list[object]", row[0])) if isinstance(row[0], list) else row
                for row in rows
            ]
            fields = None
        if fields is None:
            fields = self._unnamed(len(rows[0]))
        if any(len(row) != len(fields) for row in rows):
            raise MisconfiguredError(f"each row holds {len(fields)} values for {self.name}")
        return self._model.predict(self._model.arrange(fields), rows)

    def _unnamed(self, width: int) -> tuple[str, ...]:
        """The names of values that come in the model's own order."""
        if len(self.inputs) == 1 and width != 1:
            return tuple(f"value {index}" for index in range(width))
        return tuple(tensor.name for tensor in self.inputs)

    def close(self) -> None:
        if self._let_go is not None:
            self._let_go()
