"""What the server serves, whatever kind of model it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from ...operators.endpoints.endpoint import Answer
from ...operators.endpoints.tensors import Tensor

__all__ = ["ServedModel"]


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

    def close(self) -> None:
        """Let go of what the model holds outside of Python. It is not called after this."""
