"""From rows to columns, by a schema that is held once it is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, cast

from .columns import Columns, arrow
from .errors import DataError

__all__ = ["Gathering"]


class Gathering:
    """Makes columns of rows: of mappings, or of data classes.

    The first rows say of which types the columns are. Later ones may widen whole numbers to
    fractions, fill a column that had only nulls, and add columns; a row that would change a type is
    refused.
    """

    def __init__(self) -> None:
        self._schema: Any = None

    def of(self, records: Sequence[object]) -> tuple[Columns, dict[int, Exception]]:
        """Columns of the good rows, and why the others are not among them, by index."""
        bad: dict[int, Exception] = {}
        alike = _alike(records)
        if alike is not None:
            table = self._table(alike, alike=True)
            if table is not None:
                return Columns(table), bad
        rows: list[Mapping[str, object]] = []
        places: list[int] = []
        for index, record in enumerate(records):
            row = _row(record)
            if row is None:
                bad[index] = DataError(
                    "a row for columns is a dict or a data class, "
                    f"not {type(record).__name__}: use map above it"
                )
            else:
                rows.append(row)
                places.append(index)
        table = self._table(rows)
        if table is None:
            # One of them does not fit: each alone, since only these are slow.
            good: list[Mapping[str, object]] = []
            for index, row in zip(places, rows, strict=True):
                if self._table([row]) is None:
                    bad[index] = DataError(self._misfit(row))
                else:
                    good.append(row)
            table = self._table(good)
        assert table is not None
        return Columns(table), bad

    def _table(self, rows: Sequence[Mapping[str, object]], *, alike: bool = False) -> Any:
        """The rows as a table, or None where they do not fit together or what came before."""
        pa = arrow()
        try:
            names, values = _values(rows, alike=alike)
            arrays = [_array(column) for column in values]
            schema = pa.schema(
                [(name, array.type) for name, array in zip(names, arrays, strict=True)]
            )
            if self._schema is not None:
                if rows and schema.equals(self._schema):
                    return pa.table(arrays, schema=schema)
                schema = _unified(self._schema, schema)
            held = {field.name: field.type for field in schema}
            table = pa.table(
                [
                    arrays[names.index(name)].cast(kind)
                    if name in names
                    else pa.nulls(len(rows), kind)
                    for name, kind in held.items()
                ],
                schema=schema,
            )
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            return None
        if rows:
            self._schema = schema
        return table

    def _misfit(self, row: Mapping[str, object]) -> str:
        held = {} if self._schema is None else {f.name: f.type for f in self._schema}
        for name, value in row.items():
            kept = self._schema
            one = self._table([{name: value}])
            self._schema = kept
            if one is None:
                return f"column {name!r} is {held.get(name, 'of no known type')}, not {value!r:.80}"
        return f"the row does not fit the columns {list(held)}"


def _row(record: object) -> Mapping[str, object] | None:
    if isinstance(record, Mapping):
        return cast("Mapping[str, object]", record)
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return {each.name: getattr(record, each.name) for each in dataclasses.fields(record)}
    return None


_LENGTH = cast("Callable[[object], int]", dict.__len__)  # pyright: ignore[reportUnknownMemberType]


def _alike(records: Sequence[object]) -> Sequence[dict[str, object]] | None:
    """The records, where all are dicts with as many names as the first has, as most are.

    Nothing is asked of each of them that can be asked of all together.
    """
    rows = cast("Sequence[dict[str, object]]", records)
    try:
        count = sum(map(_LENGTH, rows))
    except TypeError:
        return None
    return rows if count and count == len(rows) * len(rows[0]) else None


def _values(
    rows: Sequence[Mapping[str, object]], *, alike: bool
) -> tuple[list[str], list[list[object]]]:
    """The names of the columns, in the order in which they come up, and the values of each."""
    if alike:
        names = list(rows[0])
        try:
            # Who has all of these names, and no more of them, has these names alone.
            return names, [list(map(itemgetter(name), rows)) for name in names]
        except KeyError:
            pass  # As many names in all, and not the same.
    names = list(dict.fromkeys(name for row in rows for name in row))
    return names, [[row.get(name) for row in rows] for name in names]


def _array(values: list[object]) -> Any:
    return arrow().array(values)


def _unified(held: Any, found: Any) -> Any:
    """One schema of two. Raises ArrowInvalid where a column would be of another type."""
    pa = arrow()
    types = pa.types
    known = {field.name: field.type for field in held}
    for field in found:
        before = known.get(field.name)
        if before is None or types.is_null(before) or before.equals(field.type):
            known[field.name] = field.type
        elif types.is_null(field.type):
            continue
        elif types.is_integer(before) and types.is_floating(field.type):
            known[field.name] = field.type
        elif not (types.is_floating(before) and types.is_integer(field.type)):
            raise pa.ArrowInvalid(f"{field.name} is {before}, not {field.type}")
    return pa.schema(list(known.items()))
