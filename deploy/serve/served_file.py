"""A model that stands in a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

from ...operators.endpoints.endpoint import Answer
from ...operators.endpoints.tensors import Layout, Tensor
from ...runtime.errors import MisconfiguredError
from .served_model import ServedModel

__all__ = ["FileModel", "ServedFile"]


class FileModel(Protocol):
    """What the models of all kinds of files offer, once loaded."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    version: str | None

    def arrange(self, fields: tuple[str, ...]) -> Layout:
        """How the model takes these fields."""
        ...

    def predict(self, layout: Layout, rows: Sequence[tuple[object, ...]]) -> Answer:
        """Score the rows."""
        ...


class ServedFile(ServedModel):
    """A loaded model under a name; its version is the one that stands in its file, unless given."""

    def __init__(
        self, model: FileModel, name: str, platform: str, version: str | None = None
    ) -> None:
        self.name = name
        self.platform = platform
        self.version = version if version is not None else model.version
        self.inputs = model.inputs
        self.outputs = model.outputs
        self._model = model

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
