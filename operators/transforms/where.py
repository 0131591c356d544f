"""`where`: the rows for which a condition in SQL holds."""

from __future__ import annotations

from collections.abc import Iterable

from ...runtime.contracts import ColumnOperator, Columns, Context
from ._expression import Evaluation, columns_of

__all__ = ["Where", "where"]


class Where(ColumnOperator):
    """The operator that `where` makes; see there."""

    def __init__(self, condition: str) -> None:
        self._condition = condition
        self._asked = columns_of(condition, "the condition")

    def __repr__(self) -> str:
        return f"where {self._condition}"

    def asks_for(self, below: frozenset[str] | None) -> frozenset[str] | None:
        """The columns of the condition, and those that are handed on."""
        return None if below is None else below | self._asked

    async def open(self, context: Context) -> None:
        """Have a database to work in."""
        query = f"select * from rows where ({self._condition}\n)"
        self._evaluation = Evaluation(query, [self._condition], self._asked)

    def process_columns(self, columns: Columns) -> Iterable[Columns]:
        """The rows for which it holds."""
        return [self._evaluation.of(columns)]

    async def close(self) -> None:
        """Let the database go."""
        if hasattr(self, "_evaluation"):
            self._evaluation.close()


def where(condition: str) -> Where:
    """The rows for which a condition holds, as columns.

    >>> from thalweg import Graph
    >>> from thalweg.operators import sinks, sources, where
    >>> graph, out = Graph("stairs"), []
    >>> rows = graph.read("rows", sources.records([{"gt": "stairsup"}, {"gt": "sit"}]))
    >>> rows.via("stairs", where("gt like 'stairs%'")).to("out", sinks.collect(out)) and None
    >>> graph.run() and out
    [{'gt': 'stairsup'}]

    `condition` is an expression in SQL, as DuckDB reads it, over the columns of one row; a NULL is
    not true. It reaches no file, no network and no other row. For a condition in Python there is
    `filter`, for which columns become records.

    Raises ValueError or TypeError for what is no such expression, `MissingExtra` without DuckDB. A
    column that there is not fails the job.

    - Emits when: rows come. Waits when: the next channel is full. Ends when: its input does.
    - Order: kept.
    - State: none.
    - On error: a row that cannot be worked out, as by a cast, becomes a dead letter.
    """
    return Where(condition)
