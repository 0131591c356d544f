"""The groups of a file, found where it is read: all that those who read the stream make of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from ...runtime.contracts import Columns, Unread
from ..aggregates.measure import Kernel
from ..transforms._shared_groups import SharedGroups
from ._engine import Broken, Link
from ._file_schema import Schema, quoted

__all__ = ["FileDigest"]

LARGEST = 64 << 20
"""Bytes of a file that is read in one go: nobody can stop that, and nothing is told meanwhile."""

SMALLEST = 2 << 20
"""Bytes of a file of which to ask for the groups takes no longer than to read its rows."""

_REST = 64
"""Files that are read row by row after one of which it was of no use to find the groups."""

_WHOLE = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
)
_KEYS = _WHOLE | {"VARCHAR", "BOOLEAN"}
"""The types of which the reader and Arrow tell the same keys apart; of fractions they do not."""

_FUNCTIONS = {
    "sum": _WHOLE | {"DOUBLE"},
    "min": _WHOLE | {"DOUBLE", "VARCHAR"},
    "max": _WHOLE | {"DOUBLE", "VARCHAR"},
}
"""Of which types the reader and Arrow say the same; of the variance of infinity they do not."""


class FileDigest:
    """Asks for the groups of a file in the place of its rows, while that is of use.

    A file of which a row does not fit, or that has many groups, is left to who reads rows; so are
    the next ones then.
    """

    def __init__(self, shared: SharedGroups, schema: Schema) -> None:
        self._shared = shared
        self._places = {name: f"c{at}" for at, name in enumerate(schema)}
        self._asked = [_asked(kernel, self._places) for kernel in shared.kernels]
        self._empty = ", ".join(
            f"cast(null as {kind}) as {quoted(name)}" for name, kind in schema.items()
        )
        self._schema: Any = None
        self._rest = 0

    @staticmethod
    def of(digest: object, schema: Schema) -> FileDigest | None:
        """What finds the groups that all want, in files of these columns; None if it cannot."""
        if not isinstance(digest, SharedGroups):
            return None
        if any(schema.get(key) not in _KEYS for key in digest.keys):
            return None
        if not {*digest.keys, *(one.column for one in digest.kernels)}.issuperset(schema):
            return None  # What else a measure says that it looks at, nobody would look at.
        if any(not _can_be_asked(kernel, schema) for kernel in digest.kernels):
            return None
        return FileDigest(digest, schema)

    def columns(
        self, link: Link, rows: str, size: int, odd: bool, read: Callable[[int], Any]
    ) -> Columns | None:
        """The rows that the query `rows` tells, unread, with their groups.

        None for who has to read them, which `read`, told how many there are, does later if need be.
        With `odd` there is one more column, which says of a row whether it has to be looked at.
        """
        if not SMALLEST <= size <= LARGEST:
            return None
        if self._rest > 0:  # Of several threads, each may take one off the last one.
            self._rest -= 1
            return None
        try:
            found = link.table(self._query(rows, odd=odd))
            if self._schema is None:
                self._schema = link.table(f"select {self._empty or '1 as nothing'} limit 0").schema
        except Broken:
            self._rest = _REST  # As with a row that does not fit, which is looked for elsewhere.
            return None
        # First what tells whether it was of use: of a million groups the others are large.
        *others, counts, odds = found.columns
        many = sum(counts.to_pylist())
        if not SharedGroups.are_few(len(counts), many) or any(odds.to_pylist()):
            self._rest = _REST
            return None
        told = [column.to_pylist() for column in others]
        unread = Unread(many, self._schema, lambda: read(many))
        count = len(self._shared.keys)
        groups = list(zip(*told[:count], strict=True)) if count else [()]
        self._shared.put(unread, groups, list(map(_numbers, told[count:])))
        return unread

    def _query(self, rows: str, *, odd: bool) -> str:
        names = ", ".join([*self._places.values(), *(["odd"] if odd else [])])
        keys = ", ".join(self._places[key] for key in self._shared.keys)
        asked = [keys, *self._asked] if keys else self._asked
        # Only the least and the greatest, the reader would take from what Parquet says beside the
        # rows, where NaN is passed over; of anything more it looks at the rows.
        asked = [*asked, "count(*)", "bool_or(odd)" if odd else "bool_or(false)"]
        source = f"({rows}) as rows{f'({names})' if names else ''}"
        grouped = f" group by {keys} order by {keys}" if keys else ""
        return f"select {', '.join(asked)} from {source}{grouped}"


def _can_be_asked(kernel: Kernel, schema: Schema) -> bool:
    if kernel.column is None:
        return kernel.function == "count_all"
    kind = schema.get(kernel.column)
    if kernel.function == "count":
        return kind is not None
    return kind in _FUNCTIONS.get(kernel.function, ())


def _asked(kernel: Kernel, places: dict[str, str]) -> str:
    if kernel.column is None:
        return "count(*)"
    return f"{kernel.function}({places[kernel.column]})"


def _numbers(values: Sequence[Any]) -> Sequence[Any]:
    """The same, with whole numbers that come as decimals, as of a sum, as whole numbers."""
    if not any(isinstance(one, Decimal) for one in values):
        return values
    return [int(one) if isinstance(one, Decimal) else one for one in values]
