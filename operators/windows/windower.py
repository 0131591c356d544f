"""What a windower is: it says into which windows a record goes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from ...runtime.contracts import Operator
    from ..aggregates.aggregate import Aggregate
    from .emission import Emit
    from .result import Window

__all__ = ["Clock", "Windower"]

K = TypeVar("K")
R = TypeVar("R")
A = TypeVar("A")
V = TypeVar("V")

Clock = Literal["event", "processing"]
"""Whose time: that of the records, or that of the runtime's clock when they come."""


class Windower(ABC):
    """Says into which windows a record goes. See `tumbling`, `hopping`, `session` and `count`."""

    @abstractmethod
    def operator(
        self, aggregate: Aggregate[R, A, V], emit: Emit, clock: Clock | None
    ) -> Operator[tuple[K, R], Window[K, V]]:
        """The operator that keeps such windows; `clock` is None where it was not said."""
