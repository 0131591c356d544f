"""Records as rows: what their fields are, and of what kind."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, cast

import orjson

from ...runtime.contracts import DataError, DeadLetter
from ._json_number import json_number
from ._readable import readable

__all__ = [
    "JsonText",
    "Kind",
    "Rows",
    "as_json",
    "fields_of",
    "infer_kinds",
    "is_name",
    "kind_of_type",
    "why_no_row",
]

Kind = Literal[
    "bool",
    "int",
    "float",
    "str",
    "bytes",
    "datetime",
    "naive",
    "date",
    "time",
    "timedelta",
    "uuid",
    "decimal",
    "json",
    "unknown",
]
"""What a column holds; `naive` are datetimes without a time zone, `unknown` only ever was None."""

_KINDS: tuple[tuple[type | tuple[type, ...], Kind], ...] = (
    (bool, "bool"),
    (int, "int"),
    (float, "float"),
    (str, "str"),
    ((bytes, bytearray, memoryview), "bytes"),
    (dt.datetime, "datetime"),  # Before date, of which it is one, as bool is an int.
    (dt.date, "date"),
    (dt.time, "time"),
    (dt.timedelta, "timedelta"),
    (uuid.UUID, "uuid"),
    (decimal.Decimal, "decimal"),
    ((Mapping, list, tuple), "json"),
)


class JsonText(str):
    """Text that is JSON already."""

    __slots__ = ()


def kind_of_type(name: str, given: object) -> Kind:
    """The kind of a column whose Python type a user has named. Raises ValueError."""
    if isinstance(given, type):
        for types, kind in _KINDS:
            if issubclass(given, types):
                return kind
    known = (
        "bool, int, float, str, bytes, datetime, date, time, timedelta, UUID, Decimal, dict, list"
    )
    raise ValueError(f"column {name!r} has no type {given!r}: give one of {known}")


def _kind_of(value: object) -> Kind:
    if isinstance(value, JsonText) or dataclasses.is_dataclass(value):
        return "json"
    if isinstance(value, dt.datetime) and value.tzinfo is None:
        return "naive"
    for types, kind in _KINDS:
        if isinstance(value, types):
            return kind
    raise DataError(f"{type(value).__name__} is nothing that a column can hold")


def as_json(value: object) -> str:
    """A value as text for a column of JSON. Raises TypeError for what JSON cannot hold."""
    return value if isinstance(value, JsonText) else orjson.dumps(value, json_number).decode()


def fields_of(record: object) -> Mapping[str, object]:
    """The fields of a record, by name. Raises DataError for what has none."""
    if type(record) is dict or isinstance(record, Mapping):  # The first is quick to tell.
        return cast("Mapping[str, object]", record)
    if isinstance(record, DeadLetter):
        return _letter(record)
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return {each.name: getattr(record, each.name) for each in dataclasses.fields(record)}
    if isinstance(record, tuple):
        names: Sequence[str] | None = getattr(cast("object", record), "_fields", None)
        if names is not None:
            return dict(zip(names, cast("tuple[object, ...]", record), strict=True))
    raise DataError(f"a row is made of a dict, a dataclass or a named tuple, not of {record!r:.80}")


def _letter(letter: DeadLetter) -> dict[str, object]:
    # A dead letter always has its row, whatever its record is.
    made: dict[str, object] = {}
    for each in dataclasses.fields(letter):
        value = readable(getattr(letter, each.name))
        plain = each.name in ("graph", "node", "attempts")
        made[each.name] = value if plain else JsonText(orjson.dumps(value).decode())
    return made


def infer_kinds(records: Iterable[object], only: Sequence[str] | None) -> dict[str, Kind]:
    """The fields that these records have, or those named, and of what kind they are.

    Where some are int and some float it is float; else the first that is not None says it. What
    can be no row says nothing.
    """
    kinds: dict[str, Kind] = dict.fromkeys(only or (), "unknown")
    for record in records:
        try:
            fields = fields_of(record)
            if not all(map(is_name, fields)):
                continue
            found: dict[str, Kind] = {
                name: "unknown" if value is None else _kind_of(value)
                for name, value in fields.items()
                if only is None or name in kinds
            }
        except DataError:
            continue
        for name, kind in found.items():
            before = kinds.get(name, "unknown")
            if before == "unknown" or (before == "int" and kind == "float"):
                kinds[name] = kind
    return kinds


def why_no_row(record: object) -> DataError:
    """Why a record says nothing about the columns: what `infer_kinds` passes over."""
    try:
        fields = fields_of(record)
    except DataError as error:
        return error
    for name, value in fields.items():
        if not is_name(name):
            return DataError(f"the name of a column is text of a letter or more, not {name!r:.80}")
        try:
            _ = value is None or _kind_of(value)
        except DataError as error:
            return DataError(f"column {name!r}: {error}")
    return DataError("the record has no fields, and a row needs one")


class Rows:
    """Makes rows of records: one value for each column, in this order.

    A field that is missing is None. One that is no column is passed over if the columns were
    `named` by the user; else it must not get lost in silence, and its record is rejected. So is
    one without a value in a column of the `key`. `convert` makes what the target takes of a value
    whose type is not in `plain`.
    """

    def __init__(
        self,
        columns: Sequence[str],
        *,
        key: Sequence[str],
        named: bool,
        plain: frozenset[type],
        convert: Callable[[str, object], object],
        hint: str,
    ) -> None:
        self.columns = tuple(columns)
        self._known = frozenset(columns)
        self._key = key
        self._named = named
        self._plain = plain
        self._convert = convert
        self._hint = hint

    def of(
        self, records: Sequence[object]
    ) -> tuple[list[tuple[object, ...]], list[int], dict[int, Exception]]:
        """The rows, the index of the record of each, and the errors of the others."""
        rows: list[tuple[object, ...]] = []
        places: list[int] = []
        rejected: dict[int, Exception] = {}
        for index, record in enumerate(records):
            try:
                rows.append(self._row(record))
                places.append(index)
            except Exception as error:
                rejected[index] = error
        return rows, places, rejected

    def _row(self, record: object) -> tuple[object, ...]:
        values = fields_of(record)
        if not self._named and not self._known.issuperset(values):
            strange = next(name for name in values if name not in self._known)
            raise DataError(f"there is no column for the field {strange!r}{self._hint}")
        if not self.columns:
            raise DataError("the record has no fields")
        plain, get = self._plain, values.get
        row = tuple(map(get, self.columns))
        for value in row:
            if type(value) not in plain:
                row = tuple(
                    value if type(value) in plain else self._convert(name, value)
                    for name, value in zip(self.columns, row, strict=True)
                )
                break
        for name in self._key:
            if get(name) is None:
                raise DataError(f"the record has no {name!r}, which is part of its key")
        return row


def is_name(name: object) -> bool:
    """Whether a table or a column can have this name."""
    return isinstance(name, str) and bool(name.strip()) and "\x00" not in name
