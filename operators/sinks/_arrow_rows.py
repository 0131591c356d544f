"""Records as columns of Arrow."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import io
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, cast

from ...runtime.contracts import DataError, MisconfiguredError, MissingExtra
from ._rows import JsonText, Kind, Rows, as_json, infer_kinds

__all__ = ["ArrowRows", "arrow", "check_schema", "schema_of_kinds", "schema_of_records"]

_WIDEST = 2**63

_PLAIN: frozenset[type] = frozenset(
    (int, str, float, bytes, bool, type(None), dt.datetime, dt.date, dt.time, decimal.Decimal)
)


def arrow() -> Any:
    """The module pyarrow, which carries no types. Raises MissingExtra without it."""
    try:
        import pyarrow
    except ImportError:
        raise MissingExtra("a Parquet file", "parquet") from None
    return pyarrow


def check_schema(schema: Any) -> None:
    """Raise MisconfiguredError for a schema that Parquet cannot hold."""
    import pyarrow.parquet as writing

    parquet: Any = writing
    try:
        for field in schema:
            arrow().array([None], type=field.type)
        parquet.write_table(schema.empty_table(), io.BytesIO())
    except arrow().ArrowException as error:
        raise MisconfiguredError(f"Parquet cannot hold this schema: {error}") from error


def _type_of(kind: Kind) -> Any:
    pa = arrow()
    types: dict[Kind, Any] = {
        "bool": pa.bool_(),
        "int": pa.int64(),
        "float": pa.float64(),
        "bytes": pa.binary(),
        "datetime": pa.timestamp("us", tz="UTC"),
        "naive": pa.timestamp("us"),
        "date": pa.date32(),
        "time": pa.time64("us"),
        "timedelta": pa.duration("us"),
        "decimal": pa.decimal128(38, 9),
    }
    return types.get(kind, pa.string())


def schema_of_kinds(kinds: Mapping[str, Kind]) -> Any:
    """A schema with columns of these kinds."""
    return arrow().schema([(name, _type_of(kind)) for name, kind in kinds.items()])


def schema_of_records(records: Sequence[object], *, unknown: Any = None) -> Any:
    """The schema that fits these records; None where none of them can be a row.

    A column of which there is only None is `unknown`, or text where that is None.
    """
    pa = arrow()
    kinds = infer_kinds(records, None)
    if not kinds:
        return None
    nested = [name for name, kind in kinds.items() if kind == "json"]
    rows, _, _ = _plain_rows(list(kinds)).of(records)
    columns = dict(zip(kinds, zip(*rows, strict=True), strict=True))
    types = {name: _type_of(kind) for name, kind in kinds.items()}
    types |= {
        name: pa.decimal128(38, 0)
        for name, kind in kinds.items()
        if kind == "decimal" and _are_huge(columns[name])
    }
    if unknown is not None:
        types |= {name: unknown for name, kind in kinds.items() if kind == "unknown"}
    for name in nested:
        try:
            found = pa.array(columns[name]).type
        except Exception:
            continue  # What has no type of its own is text, with JSON.
        if _is_whole(found):
            types[name] = found
    return pa.schema(list(types.items()))


def _are_huge(values: Sequence[object]) -> bool:
    """Whether decimals are whole numbers, some of them beyond 64 bits: so come those of SQL."""
    known = [one for one in values if isinstance(one, decimal.Decimal)]
    return all(one.as_tuple().exponent == 0 for one in known) and any(
        not -_WIDEST <= one < _WIDEST for one in known
    )


def _is_whole(kind: Any) -> bool:
    """Whether every part of a nested type is known: an empty list or dict says nothing."""
    pa = arrow()
    if pa.types.is_null(kind) or (pa.types.is_struct(kind) and not kind.num_fields):
        return False
    return all(_is_whole(kind.field(at).type) for at in range(kind.num_fields))


def _plain_rows(names: Sequence[str]) -> Rows:
    return Rows(
        names, key=(), named=True, plain=_PLAIN, convert=lambda _, value: _plain(value), hint=""
    )


def _plain(value: object) -> object:
    """A value in which data classes are dicts, and ids are text."""
    if isinstance(value, JsonText):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {key: _plain(item) for key, item in items}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("Sequence[object]", value)]
    return str(value) if isinstance(value, uuid.UUID) else value


class ArrowRows:
    """Makes tables of records by a schema that is held, and rejects what does not fit it.

    Arrow itself is less strict: it cuts 1.5 to 1 and drops what a struct has no field for.
    `option` is what the user calls the schema.
    """

    def __init__(self, schema: Any, *, named: bool, option: str = "schema") -> None:
        self.schema = schema
        self._fields: list[Any] = list(schema)
        types = arrow().types
        self._is_text = {
            each.name: types.is_string(each.type) or types.is_large_string(each.type)
            for each in self._fields
        }
        self._rows = Rows(
            schema.names,
            key=(),
            named=named,
            plain=_PLAIN,
            convert=self._value,
            hint=f": name the columns to be written with {option}=",
        )

    def of(self, records: Sequence[object]) -> tuple[Any, dict[int, Exception]]:
        """A table of the good records, and the errors of the others, by index."""
        rows, places, rejected = self._rows.of(records)
        bad: dict[int, Exception] = {}
        columns: list[Sequence[object]] = list(zip(*rows, strict=True))
        for field, column in zip(self._fields, columns, strict=False):
            bad.update(_misfits(field, column))
        arrays = None if bad else self._arrays(columns)
        if arrays is None:
            for field, column in zip(self._fields, columns, strict=True):
                bad.update(_refused(field, column, bad))
            good = [row for at, row in enumerate(rows) if at not in bad]
            arrays = self._arrays(list(zip(*good, strict=True)) or [()] * len(self._fields))
            assert arrays is not None
        rejected.update((places[at], error) for at, error in bad.items())
        return arrow().Table.from_arrays(arrays, schema=self.schema), rejected

    def _arrays(self, columns: Sequence[Sequence[object]]) -> list[Any] | None:
        """The columns as Arrow has them, or None where it refuses a value."""
        array = arrow().array
        if not columns:
            columns = [()] * len(self._fields)
        try:
            return [
                array(column, type=field.type)
                for field, column in zip(self._fields, columns, strict=True)
            ]
        except Exception:
            return None

    def _value(self, name: str, value: object) -> object:
        """What Arrow takes for a value of another type."""
        plain = _plain(value)
        return as_json(plain) if self._is_text[name] and _is_nested(plain) else plain


def _is_nested(value: object) -> bool:
    return isinstance(value, dict | list)


def _misfits(field: Any, column: Sequence[object]) -> dict[int, Exception]:
    """The values of a column that are not of its type, or None where there must be something."""
    takes = _taken(field.type)
    if field.nullable and takes is not None and set(map(type, column)) <= takes:
        return {}
    return {
        at: DataError(f"column {field.name!r}, {field.type}, does not take {value!r:.80}")
        for at, value in enumerate(column)
        if not _fits(value, field)
    }


def _taken(kind: Any) -> frozenset[type] | None:
    """The types of Python of which every value may be one of this type; None where one looks."""
    types = arrow().types
    none = type(None)
    if types.is_integer(kind):
        return frozenset((int, none))
    if types.is_floating(kind):
        return frozenset((float, int, none))
    if types.is_string(kind) or types.is_large_string(kind):
        return frozenset((str, none))
    if types.is_boolean(kind):
        return frozenset((bool, none))
    return None


def _fits(value: object, field: Any) -> bool:
    types, kind = arrow().types, field.type
    if value is None:
        return bool(field.nullable)
    if types.is_struct(kind):
        if not isinstance(value, dict):
            return False
        inside = cast("dict[object, object]", value)
        known = {part.name: part for part in kind}
        return known.keys() >= inside.keys() and all(
            _fits(inside.get(name), part) for name, part in known.items()
        )
    if types.is_list(kind) or types.is_large_list(kind):
        items = cast("list[object]", value)
        return isinstance(value, list) and all(_fits(each, kind.value_field) for each in items)
    if types.is_timestamp(kind):
        return isinstance(value, dt.datetime) and (value.tzinfo is None) == (kind.tz is None)
    for is_kind, python in (
        (types.is_integer, int),
        (types.is_floating, float | int),
        (types.is_boolean, bool),
        (types.is_decimal, decimal.Decimal | int),
        (types.is_binary, bytes | bytearray | memoryview),
        (types.is_string, str),
        (types.is_large_string, str),
        (types.is_date, dt.date),
        (types.is_time, dt.time),
        (types.is_duration, dt.timedelta),
    ):
        if is_kind(kind):
            odd = isinstance(value, bool) != types.is_boolean(kind)
            odd = odd or (isinstance(value, dt.datetime) and types.is_date(kind))
            return isinstance(value, python) and not odd
    return True  # Arrow will say.


def _refused(
    field: Any, column: Sequence[object], known: Mapping[int, Exception]
) -> dict[int, Exception]:
    """The values of a column that Arrow refuses one by one, such as those out of range."""
    array, found = arrow().array, dict[int, Exception]()
    for at, value in enumerate(column):
        if at not in known:
            try:
                array([value], type=field.type)
            except OverflowError:
                told = f"column {field.name!r}, {field.type}, does not take {value!r:.80}"
                found[at] = DataError(f"{told}: it is too large")
            except Exception as error:
                found[at] = DataError(f"column {field.name!r}, {field.type}: {error}")
    return found
