"""Rows as lists of JSON values, and back: what several protocols have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ...operators.endpoints.endpoint import Answer
from ...runtime.errors import MisconfiguredError

__all__ = ["Rows", "predictions", "rows_of", "rows_of_columns"]

Rows = tuple[tuple[str, ...] | None, list[tuple[object, ...]]]
"""The names of the values of each row, where they are told, and the rows."""


def rows_of(instances: Any, what: str) -> Rows:
    """Rows out of objects of the same fields, lists of the same length, or single values.

    >>> rows_of([{"a": 1, "b": 2}, {"b": 4, "a": 3}], "instances")
    (('a', 'b'), [(1, 2), (3, 4)])
    >>> rows_of([[1, 2], [3, 4]], "instances")
    (None, [(1, 2), (3, 4)])

    Raises MisconfiguredError for anything else; `what` names it in the message.
    """
    if not isinstance(instances, list) or not instances:
        raise MisconfiguredError(f"{what} is a list that is not empty")
    given = cast("list[object]", instances)
    if all(isinstance(one, dict) for one in given):
        records = cast("list[dict[str, object]]", given)
        fields = tuple(records[0])
        if not fields or any(record.keys() != records[0].keys() for record in records):
            raise MisconfiguredError(f"each of {what} holds the same fields, one at least")
        return fields, [tuple(record[field] for field in fields) for record in records]
    if all(isinstance(one, list) for one in given):
        rows = cast("list[list[object]]", given)
        if not rows[0] or len(set(map(len, rows))) != 1:
            raise MisconfiguredError(f"each of {what} holds the same number of values")
        return None, list(map(tuple, rows))
    if any(isinstance(one, dict | list) for one in given):
        raise MisconfiguredError(f"{what} are objects, or lists, or single values, not a mixture")
    return None, [(one,) for one in given]


def rows_of_columns(columns: Any, what: str) -> Rows:
    """Rows out of one list for each field, or out of a list of rows without names.

    >>> rows_of_columns({"a": [1, 3], "b": [2, 4]}, "inputs")
    (('a', 'b'), [(1, 2), (3, 4)])

    Raises MisconfiguredError for anything else.
    """
    if not isinstance(columns, dict):
        return rows_of(columns, what)
    named = cast("dict[str, Any]", columns)
    lists = list(named.values())
    if not lists or not all(isinstance(one, list) for one in lists) or not lists[0]:
        raise MisconfiguredError(f"{what} holds a list of values for each field")
    if len(set(map(len, lists))) != 1:
        raise MisconfiguredError(f"each of {what} holds the same number of values")
    # What a column has as [value] is one value of a row all the same.
    plain = [[_single(value) for value in one] for one in lists]
    return tuple(named), list(zip(*plain, strict=True))


def _single(value: Any) -> object:
    if not isinstance(value, list):
        return value
    values = cast("list[object]", value)
    return values[0] if len(values) == 1 else values


def predictions(answer: Answer) -> Sequence[object]:
    """One value for each row: that of the only field, or an object of all fields.

    >>> predictions(Answer(("sum",), [(3,), (7,)])), predictions(Answer(("a", "b"), [(1, 2)]))
    ([3, 7], [{'a': 1, 'b': 2}])
    """
    if len(answer.fields) == 1:
        return [row[0] for row in answer.rows]
    return [_named(answer.fields, row) for row in answer.rows]


def _named(fields: tuple[str, ...], row: Sequence[object]) -> Mapping[str, object]:
    return dict(zip(fields, row, strict=True))
