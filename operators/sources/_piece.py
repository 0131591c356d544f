"""A piece of a file: some of its rows, and what could not be made a row among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from ...runtime.contracts import Columns, Rejected, arrow, dataclass

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Broken", "Piece", "batches"]


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


class Broken(Exception):
    """The reader came to something that it cannot take, some way into the file."""


def batches(link: DuckDBPyConnection, query: str, rows: int) -> Iterator[Any]:
    """What a query gives, so many rows at a time. Raises Broken, or what DuckDB raises."""
    pa = arrow()
    found: Iterator[Any] = iter(link.sql(query).to_arrow_reader(rows))
    while True:
        try:
            batch = next(found, None)
        except (pa.ArrowException, OSError) as error:
            raise Broken(str(error)) from None  # Arrow tells it in its own words.
        if batch is None:
            return
        yield batch
