"""From rows to columns, by a schema that is held once it is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, cast

from .columns import Columns, arrow
from .errors import DataError

__all__ = ["Gathering"]


class Gathering:
    """Makes columns of rows: of mappings, or of data classes.

    The first rows say of which types the columns are. Later ones may widen whole numbers to
    fractions, give decimals more digits, fill a column that had only nulls, and add columns; a row
    that would change a type is refused.
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
            table = self._of_each(places, rows, bad)
        return Columns(table), bad

    def _of_each(
        self, places: Sequence[int], rows: Sequence[Mapping[str, object]], bad: dict[int, Exception]
    ) -> Any:
        """One of them does not fit, or not beside the others: each alone, which is slow."""
        pa = arrow()
        alone: list[tuple[int, Mapping[str, object], Any]] = []
        for index, row in zip(places, rows, strict=True):
            table = self._table([row])
            if table is None:
                bad[index] = DataError(self._misfit(row))
            else:
                alone.append((index, row, table))
        tables: list[Any] = []
        for index, row, table in alone:
            try:
                tables.append(_filled(table, self._schema, 1))
            except pa.ArrowException:
                bad[index] = DataError(self._misfit(row))
        if not tables:
            return pa.table({}) if self._schema is None else self._schema.empty_table()
        return pa.concat_tables(tables).combine_chunks()

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
            table = _filled(pa.table(arrays, names=names), schema, len(rows))
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


def _filled(table: Any, schema: Any, count: int) -> Any:
    """The same `count` rows by a schema that is as wide; columns that lack are NULL.

    Raises ArrowInvalid for a value that its type there does not hold.
    """
    pa = arrow()
    names = table.schema.names
    columns = [
        table.column(field.name).cast(field.type)
        if field.name in names
        else pa.nulls(count, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _alike(records: Sequence[object]) -> Sequence[dict[str, object]] | None:
    """The records, where all are dicts with as many names as the first has, as most are.

    Nothing is asked of each of them that can be asked of all together.
    """
    if set(map(type, records)) != {dict}:
        return None
    rows = cast("Sequence[dict[str, object]]", records)
    return rows if rows[0] and sum(map(len, rows)) == len(rows) * len(rows[0]) else None


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
        elif types.is_decimal(field.type) and (
            types.is_decimal(before) or types.is_integer(before)
        ):
            known[field.name] = _wide_enough(before, field.type)
        elif types.is_decimal(before) and types.is_integer(field.type):
            known[field.name] = _wide_enough(field.type, before)
        elif not (types.is_floating(before) and types.is_integer(field.type)):
            raise pa.ArrowInvalid(f"{field.name} is {before}, not {field.type}")
    return pa.schema(list(known.items()))


def _wide_enough(one: Any, other: Any) -> Any:
    """A decimal with the digits of both, before and behind the point; whole numbers have 19.

    Raises ArrowInvalid where there is none.
    """
    pa = arrow()
    is_decimal = pa.types.is_decimal
    whole, behind = 19, 0
    if is_decimal(one):
        whole, behind = one.precision - one.scale, one.scale
    whole, behind = max(whole, other.precision - other.scale), max(behind, other.scale)
    if whole + behind <= 38:
        return pa.decimal128(whole + behind, behind)
    if whole + behind <= 76:
        return pa.decimal256(whole + behind, behind)
    raise pa.ArrowInvalid(f"{one} and {other} are no decimal of 76 digits")
