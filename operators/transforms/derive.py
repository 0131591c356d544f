"""`derive`: columns more, by expressions in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...runtime.contracts import ColumnOperator, Columns, Context
from ._expression import Evaluation, columns_of

__all__ = ["Derive", "derive"]


class Derive(ColumnOperator):
    """The operator that `derive` makes; see there."""

    def __init__(self, expressions: Mapping[str, str]) -> None:
        if not expressions:
            raise ValueError("derive makes no column: derive(speed='distance / seconds')")
        self._expressions = dict(expressions)
        self._asked = {name: columns_of(text, name) for name, text in expressions.items()}

    def __repr__(self) -> str:
        return "derive " + ", ".join(f"{name} = {text}" for name, text in self._expressions.items())

    def asks_for(self, below: frozenset[str] | None) -> frozenset[str] | None:
        """The columns of the expressions, and those that are handed on and not made here."""
        if below is None:
            return None
        return (below - self._expressions.keys()).union(*self._asked.values())

    async def open(self, context: Context) -> None:
        """Have a database to work in; which columns stay is seen when the first rows come."""
        self._names: tuple[str, ...] = ()
        self._evaluation: Evaluation | None = None

    def process_columns(self, columns: Columns) -> Iterable[Columns]:
        """The rows with the columns more."""
        if self._evaluation is None or self._names != columns.names:
            if self._evaluation is not None:
                self._evaluation.close()
            made = [f'({text}\n) as "{_doubled(n)}"' for n, text in self._expressions.items()]
            kept = [f'"{_doubled(n)}"' for n in columns.names if n not in self._expressions]
            self._evaluation = Evaluation(
                f"select {', '.join([*kept, *made])} from rows",
                self._expressions.values(),
                frozenset[str]().union(*self._asked.values()),
            )
            self._names = columns.names
        return [self._evaluation.of(columns)]

    async def close(self) -> None:
        """Let the database go."""
        evaluation = getattr(self, "_evaluation", None)
        if evaluation is not None:
            evaluation.close()


def _doubled(name: str) -> str:
    return name.replace('"', '""')


def derive(**expressions: str) -> Derive:
    """The rows with columns more, each by an expression.

    >>> from thalweg import Graph
    >>> from thalweg.operators import derive, sinks, sources
    >>> graph, out = Graph("areas"), []
    >>> rows = graph.read("rows", sources.records([{"a": 2, "b": 3}]))
    >>> rows.via("areas", derive(area="a * b")).to("out", sinks.collect(out)) and None
    >>> graph.run() and out
    [{'a': 2, 'b': 3, 'area': 6}]

    `expressions` are in SQL, as DuckDB reads it, by the name of the column; they see the columns
    that come in, not each other, and one of a name that there is takes its place. They reach no
    file, no network and no other row. For functions in Python there is `map`, for which columns
    become records.

    Raises ValueError or TypeError for what is no such expression, `MissingExtra` without DuckDB. A
    column that there is not fails the job.

    - Emits when: rows come. Waits when: the next channel is full. Ends when: its input does.
    - Order: kept.
    - State: none.
    - On error: a row that cannot be worked out, as by a cast, becomes a dead letter.
    """
    return Derive(expressions)
