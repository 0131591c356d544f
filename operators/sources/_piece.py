"""A piece of a file: some of its rows, and what could not be made a row among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from ...runtime.contracts import Columns, Rejected, dataclass

__all__ = ["Piece"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a file, where they stand in it, and what could not be made a row."""

    columns: Columns
    positions: Sequence[int]
    rejected: list[Rejected] = field(default_factory=list[Rejected])

    @property
    def end(self) -> int:
        """The position behind it."""
        return 1 + max([*self.positions[-1:], *(one.position for one in self.rejected[-1:])])
