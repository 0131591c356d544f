"""What a query has found."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import math
from collections.abc import Mapping
from typing import Any, cast

from ..columns import Columns, values_in

__all__ = ["Answer"]

_WIDEST = 2**63


class Answer(Columns):
    """The rows that a query has found, and the version of the tables that it has seen.

    >>> import pyarrow
    >>> answer = Answer(pyarrow.table({"word": ["a", "b"], "n": [1, 2]}), version=7)
    >>> answer.rows(), answer.version
    ([{'word': 'a', 'n': 1}, {'word': 'b', 'n': 2}], 7)

    `version` grows by one with each change that readers can see; all tables that change together
    have the same. `table` holds the rows as a `pyarrow.Table`.
    """

    __slots__ = ("version",)

    def __init__(self, table: Any, *, version: int) -> None:
        super().__init__(table)
        self.version = version

    def as_dict(self) -> dict[str, object]:
        """The answer in values that JSON has: columns with their types, and rows as lists.

        What JSON has no form for is text: times as ISO 8601, bytes as base64, NaN and infinities by
        their names, and numbers beyond 64 bits.
        """
        fields = [(str(field.name), str(field.type)) for field in self.table.schema]
        values = [values_in(self.table.column(at)) for at in range(len(fields))]
        rows = [list(map(_plain, row)) for row in zip(*values, strict=True)]
        return {
            "version": self.version,
            "columns": [{"name": name, "type": kind} for name, kind in fields],
            "rows": rows,
        }


def _plain(value: object) -> object:
    """A value as JSON has it."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, decimal.Decimal):
        # What SUM makes of whole numbers: of 128 bits, and mostly small.
        exponent = value.as_tuple().exponent
        value = int(value) if exponent == 0 else str(value)
        if isinstance(value, str):
            return value
    if isinstance(value, int):
        return value if -_WIDEST <= value < _WIDEST else str(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {str(key): _plain(inner) for key, inner in items}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in cast("list[object]", value)]
    return str(value)
