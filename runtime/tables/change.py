"""What becomes of a table in one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ..columns import Columns
from ..dataclass import dataclass

__all__ = ["Change", "TableMode"]

TableMode = Literal["append", "update", "complete"]


@dataclass(frozen=True, slots=True)
class Change:
    """Rows for a table: added, in the place of those with the same `key`, or of everything.

    >>> import pyarrow
    >>> Change("append", [Columns(pyarrow.table({"n": [1, 2]}))]).count
    2

    All of `rows` have the same columns, and each later change of a table has at least those of the
    ones before, unless it is "complete".
    """

    mode: TableMode
    rows: Sequence[Columns]
    key: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many rows it has."""
        return sum(map(len, self.rows))
