"""One record field that holds a whole row, for models that take plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import cast

from ...runtime.contracts import DataError
from .fields import carried

__all__ = ["ArrayField"]

Row = tuple[object, ...]


class ArrayField:
    """Makes rows of a field that holds a list, a tuple or a NumPy array; the model's fields have
    no names then. It stands where a `FieldMap` does.

    >>> ArrayField("pixels").rows([{"pixels": [0.5, 1]}, {"pixels": "none"}])[0]
    [(0.5, 1)]

    Parameters: `name`, the record field. Raises ValueError where it is empty.
    """

    __slots__ = ("_name",)

    names: tuple[str, ...] = ()

    def __init__(self, name: str) -> None:
        if not name:
            raise ValueError("the field that holds the array needs a name that is not empty")
        self._name = name

    def rows(
        self, records: Sequence[Mapping[str, object]], *, closely: bool = True
    ) -> tuple[list[Row], dict[int, Exception]]:
        """One row for each good record, and why each other one, by its index, cannot travel."""
        rows: list[Row] = []
        rejected: dict[int, Exception] = {}
        for index, record in enumerate(records):
            try:
                rows.append(self._row(record))
            except Exception as error:  # a record may raise anything
                rejected[index] = error
        return rows, rejected

    def _row(self, record: Mapping[str, object]) -> Row:
        if not isinstance(cast(object, record), Mapping):
            raise DataError(f"a record to score is a mapping, not a {type(record).__name__}")
        value = record.get(self._name)
        if value is None:
            what = "is None" if self._name in record else "is missing"
            raise DataError(f"field {self._name!r} (the whole row) {what}")
        whole = _plain(value)
        if not isinstance(whole, list | tuple) or not whole:
            raise DataError(
                f"field {self._name!r} (the whole row) is {str(value)[:80]!r}, "
                "and a list or an array that is not empty is asked for"
            )
        try:
            return tuple(_carried(cast("Sequence[object]", whole)))
        except ValueError as error:
            raise DataError(f"field {self._name!r} (the whole row): a value {error}") from None


def _plain(value: object) -> object:
    """A NumPy array as lists; anything else as it is."""
    to_list = getattr(value, "tolist", None)
    return to_list() if callable(to_list) else value


def _carried(values: Sequence[object]) -> list[object]:
    kinds = set(map(type, values))
    if kinds == {float} and isfinite(sum(cast("Sequence[float]", values))):
        return list(values)
    return [
        _carried(cast("Sequence[object]", value))
        if isinstance(value, list | tuple)
        else carried(value)
        for value in values
    ]
