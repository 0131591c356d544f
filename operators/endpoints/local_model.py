"""A model file in this process: what the kinds of model have in common."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from ...runtime.contracts import Context
from .endpoint import Answer, Endpoint
from .tensors import Tensor, described

__all__ = ["LocalModel", "Model"]

L = TypeVar("L")
"""How the model takes the fields: what `arrange` returns, and `predict` is given."""


class Model(Protocol[L]):
    """A loaded model: plain calls that block, for a thread."""

    @property
    def inputs(self) -> Sequence[Tensor]:
        """What the model takes."""
        ...

    def arrange(self, fields: tuple[str, ...], /) -> L:
        """How it takes these fields; MisconfiguredError where it does not."""
        ...

    def predict(self, layout: L, rows: Sequence[tuple[object, ...]], /) -> Answer:
        """Score the rows."""
        ...


class LocalModel(Endpoint, Generic[L]):
    """Loads a model from a file in a thread, and scores there. A kind of model says `load`.

    Parameters: `path`, the file; `takes`, how the function that makes the endpoint is called and
    what it takes, for messages. Raises ValueError for an empty path.
    """

    def __init__(self, path: str | os.PathLike[str], *, takes: tuple[str, str]) -> None:
        self._called, what = takes
        if not str(path).strip():
            raise ValueError(f"{self._called}() takes the path of {what}, and it is empty")
        self._path = Path(path)
        self._model: Model[L] | None = None

    def __repr__(self) -> str:
        return f"{self._called}({str(self._path)!r})"

    @abstractmethod
    def load(self) -> Model[L]:
        """Load the model; it blocks, in a thread."""

    async def open(self, context: Context) -> None:
        self._context = context
        self._layout: L | None = None
        self._model = await context.in_thread(self.load)

    async def predict(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        model = self._opened()
        if self._layout is None:
            self._layout = model.arrange(fields)
        return await self._context.in_thread(model.predict, self._layout, rows)

    async def fields(self) -> Mapping[str, str] | None:
        return described(self._opened().inputs)

    async def close(self) -> None:
        self._model = None

    def _opened(self) -> Model[L]:
        if self._model is None:
            raise RuntimeError("an endpoint is asked between open and close")
        return self._model
