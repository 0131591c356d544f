"""The contract of an operator that works on columns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from ..columns import Columns
from .operator import Operator

__all__ = ["ColumnOperator"]


class ColumnOperator(Operator[Any, Any]):
    """Works on columns: on many rows at once, in order, and may remember.

    >>> class Tall(ColumnOperator):
    ...     def process_columns(self, columns):
    ...         import pyarrow.compute as compute
    ...         table = columns.table
    ...         yield Columns(table.filter(compute.greater(table["height"], 1.9)))

    It differs from `Operator` in two ways: it is given `Columns`, and whatever it returns, also
    from `on_trigger`, `on_watermark`, `on_wake` and `on_end`, is `Columns` too. Rows that come as
    records are made columns at its inbox; who reads it and wants records gets rows.

    `process_columns` may be called in a thread, and nothing else of the operator is called
    meanwhile. How many rows come at a time says nothing: no result may depend on it. Where it
    raises, it must leave what it remembers as it was: the rows are then halved until the bad ones
    stand alone and become dead letters; where a `DataError` names bad `rows`, the others are given
    again. So what it made before it raised counts for nothing.
    `MisconfiguredError`, such as for a column that there is not, fails the job.
    """

    def asks_for(self, below: frozenset[str] | None) -> frozenset[str] | None:
        """The columns that it looks at or hands on, where those `below` are asked for further down.

        None, the default, is all of them. A source may then leave the others unread.
        """
        return None

    has_late: bool = False
    """Whether rows may come too late for it, which it then hands over as `Late`."""

    watermark: float | None = None
    """Up to when, in seconds since 1970, rows come too late for it, as far as is known."""

    row_by_row: bool = False
    """Whether it makes just one row of each, in their order, and remembers nothing.

    Then where each row came from is still known behind it, and when it happened.
    """

    def beside(self, others: Sequence[ColumnOperator]) -> None:
        """These read the same stream, or the same ones. What is made of its columns for all of
        them, `Columns.once` makes once. Called once, before `open`, where there are others.
        """

    def digest(self) -> object | None:
        """The key by which `Columns.once` makes all that it asks of columns; None if there is more.

        Asked before `open`, behind `beside`. Where all who read a source have one and the same,
        the source may have made it, and hand over columns of which nobody has read the rows.
        """
        return None

    @abstractmethod
    def process_columns(self, columns: Columns) -> Iterable[Columns]:
        """Return what these rows make: nothing, or columns."""

    def process_columns_at(self, columns: Columns, times: Sequence[float]) -> Iterable[Columns]:
        """As `process_columns`, with the time of each row in seconds since 1970.

        Override this, and it is called in the place of `process_columns`. The graph must then say
        `event_time` above.
        """
        return self.process_columns(columns)

    def process(self, record: Any) -> Iterable[Any]:
        """Never called: the runtime hands over columns."""
        raise NotImplementedError(f"{type(self).__name__} works on columns")
