"""Columns of whole numbers: read so that a fraction among them is seen, where a reader rounds.

DuckDB makes 3 of 2.5 where a whole number is asked for, and does not tell. So these columns are
read as text, which costs little, and made numbers above: what has a point or an exponent is
looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import cast

from ._file_schema import Schema, quoted

__all__ = ["KEPT", "as_read", "columns", "fits", "in_128_bits", "is_nested", "oddness"]

_WHOLE = re.compile(r"(?<![\w\"'])U?(?:TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)(?=[\[\],)]|\Z)")

_EXACT = 2.0**53
"""Fractions from here on are whole, whatever was written."""

KEPT = object()
"""In the place of a value that is not null and of a type that rounds nothing."""


def as_read(kind: str) -> str:
    """The type as which a column is read.

    >>> as_read("BIGINT"), as_read("STRUCT(n INTEGER, x DOUBLE)"), as_read("DOUBLE")
    ('VARCHAR', 'STRUCT(n VARCHAR, x DOUBLE)', 'DOUBLE')
    """
    return _WHOLE.sub("VARCHAR", kind)


def is_nested(kind: str) -> bool:
    """Whether the values of a type hold others.

    >>> is_nested("BIGINT[]"), is_nested("MAP(VARCHAR, BIGINT)"), is_nested("DECIMAL(9,2)")
    (True, True, False)
    """
    return kind.endswith("]") or kind.startswith(("STRUCT(", "MAP(", "UNION("))


def columns(wanted: Sequence[str], schema: Schema, *, bad: bool = False) -> list[str]:
    """The columns as they are held, in SQL; with `bad` there is null where one does not fit.

    Each is called as the schema does: the header of a file may write it in another case.
    """
    cast_to = "try_cast" if bad else "cast"
    return [
        f"{quoted(name)} as {quoted(name)}"
        if as_read(schema[name]) == schema[name]
        else f"{cast_to}({quoted(name)} as {schema[name]}) as {quoted(name)}"
        for name in wanted
    ]


def oddness(wanted: Sequence[str], schema: Schema) -> str | None:
    """Whether a row has to be looked at, in SQL; None where no column could have been rounded."""
    asked: list[str] = []
    for name in wanted:
        kind, read = schema[name], as_read(schema[name])
        column = quoted(name)
        if read == kind:
            continue
        if is_nested(kind):
            back = f"cast(try_cast({column} as {kind}) as {read})"
            asked.append(f"{back} is distinct from {column}")
        else:
            asked += [f"contains({column}, '{sign}')" for sign in (".", "e", "E")]
    return " or ".join(asked) or None


def in_128_bits(column: str) -> str:
    """Whether all values of a column of text are whole numbers of up to 128 bits, in SQL.

    >>> in_128_bits("n").partition(" and ")[0]
    "bool_and(n is null or regexp_full_match(n, '-?[0-9]+')"
    """
    return (
        f"bool_and({column} is null or regexp_full_match({column}, '-?[0-9]+') "
        f"and try_cast({column} as hugeint) is not null)"
    )


def fits(found: object, value: object) -> bool:
    """Whether what stands in a file is what was made of it: nothing lost, nothing rounded.

    >>> fits(2.5, 2), fits("4.0", 4), fits({"n": [1, "x"]}, {"n": [1, None]}), fits({}, {"n": None})
    (False, True, False, True)
    """
    if value is KEPT:
        return True
    if value is None or found is None:
        return found is None
    if isinstance(value, list):
        return _all_fit(found, cast("list[object]", value))
    if isinstance(value, dict):
        return isinstance(found, Mapping) and all(
            fits(cast("Mapping[str, object]", found).get(name), one)
            for name, one in cast("dict[str, object]", value).items()
        )
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return isinstance(value, str) or not isinstance(found, list | Mapping)
    return _is_whole(found, value)


def _all_fit(found: object, values: list[object]) -> bool:
    if isinstance(found, Mapping):  # A map comes as pairs.
        pairs = [cast("tuple[object, object]", pair) for pair in values]
        known = {str(key): one for key, one in pairs}
        return all(
            fits(one, known.get(name)) for name, one in cast("Mapping[str, object]", found).items()
        )
    if not isinstance(found, list) or len(cast("list[object]", found)) != len(values):
        return False
    return all(map(fits, cast("list[object]", found), values))


def _is_whole(found: object, value: int | Decimal) -> bool:
    """Whether text or a number is this whole number; a decimal with a scale is rounded by it."""
    if isinstance(found, bool | list | Mapping):
        return False
    if isinstance(value, Decimal) and value.as_tuple().exponent != 0:
        return True
    if isinstance(found, float) and abs(found) >= _EXACT:
        return False  # Whoever parsed it has rounded it: digits before or behind the point.
    if isinstance(found, str):
        try:
            return Decimal(found.strip()) == value
        except InvalidOperation:
            return False
    return found == value
