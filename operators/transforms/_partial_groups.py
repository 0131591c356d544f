"""The groups of some rows, and what Arrow computes of each: all that is done row by row."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import cache
from itertools import repeat
from typing import Any

from ...runtime.contracts import MisconfiguredError, arrow
from ..aggregates.measure import NAN, Kernel
from ._arrays import aggregated

__all__ = ["Key", "partial_groups"]

Key = tuple[Any, ...]
"""The values of the keys of a group."""

_LARGEST = 2**63 - 1
_DIGITS = 38
"""Of the decimals in which Arrow adds up decimals, and does not tell when there are more."""


def partial_groups(
    table: Any, keys: Sequence[str], kernels: Sequence[Kernel], first: Key = ()
) -> tuple[Iterator[Key], list[list[Any]]]:
    """The groups of the rows, and what each kernel says of all of them, in their order.

    With `first`, each group begins with that.

    Raises MisconfiguredError for a column that there is not, or that a kernel cannot take.
    """
    pa = arrow()
    names = [f"key_{at}" for at in range(len(keys))]
    columns = [_as_key(_column(table, key, "a key")) for key in keys]
    specs: list[Any] = []
    odd: list[int] = []
    placed: list[int] = []
    for at, kernel in enumerate(kernels):
        if kernel.column is None:
            specs.append(([], kernel.function, None))
            continue
        column = _column(table, kernel.column, "a measure")
        if kernel.function == "count" and not column.null_count:
            specs.append(([], "count_all", None))  # The same, and Arrow need not look at it.
            continue
        names.append(f"value_{at}")
        column = _fitting(column, kernel)
        if kernel.function in ("first", "last") and _has_no_ends(column.type):
            placed.append(at)
            column = pa.array(range(len(column)), pa.int64())
        columns.append(column)
        specs.append((names[-1], kernel.function, _options().get(kernel.function)))
        if kernel.function == "max" and _has_nan(columns[-1]):
            odd.append(at)
    for at in odd:
        # Arrow passes over NaN, and in SQL it is the greatest: is there one?
        columns.append(_is_nan(columns[names.index(f"value_{at}")]))
        names.append(f"odd_{at}")
        specs.append((names[-1], "max", None))
    grouped = names[: len(keys)]
    if not keys:
        # Of no keys Arrow knows fewer functions.
        grouped, names = ["all"], ["all", *names]
        columns = [pa.nulls(table.num_rows, pa.int8()), *columns]
    whole = pa.table(columns, names=names)
    try:
        found = aggregated(whole, grouped, specs)
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError, pa.ArrowKeyError) as error:
        described = ", ".join(f"{one.function}({one.column or ''})" for one in kernels)
        types = {field.name: str(field.type) for field in table.schema}
        told = f"the columns {types} cannot be grouped by {list(keys)} with {described}: {error}"
        if any(pa.types.is_nested(field.type) for field in whole.schema):
            told += ". Plain values can: take a part of a list or an object above it, by derive"
        raise MisconfiguredError(told) from None
    count = len(grouped)
    said = list(found.columns)
    for at in placed:
        # Which row it is, in the place of what stands there.
        said[count + at] = table.column(kernels[at].column).take(said[count + at])
    try:
        values = [one.to_pylist() for one in said]
    except (OverflowError, ValueError) as error:
        raise MisconfiguredError(
            f"the groups by {list(keys)} hold a date or time that Python does not have ({error}): "
            "leave such rows out above, as by where(\"at < '10000-01-01'\")"
        ) from None
    for at, there in zip(odd, values[count + len(kernels) :], strict=True):
        most = values[count + at]
        values[count + at] = [math.nan if nan else m for m, nan in zip(most, there, strict=True)]
    ahead = [repeat(one, found.num_rows) for one in first]
    each_key: Iterator[Key] = zip(*ahead, *values[:count], strict=True)
    if not keys:
        each_key = iter([first] * found.num_rows)
    elif any(pa.types.is_floating(found.column(at).type) for at in range(count)):
        each_key = (tuple(NAN if one != one else one for one in key) for key in each_key)
    return each_key, values[count : count + len(kernels)]


def _column(table: Any, name: str, what: str) -> Any:
    if name not in table.schema.names:
        raise MisconfiguredError(
            f"{what} asks for the column {name!r}, and there are {table.schema.names}"
        )
    return table.column(name)


def _as_key(column: Any) -> Any:
    """A column in which what is one key has one form."""
    pa = arrow()
    if not pa.types.is_floating(column.type):
        return _counted(column)
    import pyarrow.compute as functions

    compute: Any = functions
    # To Arrow, 0.0 and -0.0 are two, and so is NaN in each of its forms.
    column = compute.add(column, pa.scalar(0.0, column.type))
    return compute.if_else(compute.is_nan(column), pa.scalar(math.nan, column.type), column)


def _counted(column: Any) -> Any:
    """Times in nanoseconds, which Python does not have, as numbers; they are times in results."""
    kind, types = column.type, arrow().types
    timed = types.is_timestamp(kind) or types.is_time64(kind) or types.is_duration(kind)
    return column.cast(arrow().int64()) if timed and kind.unit == "ns" else column


def _has_no_ends(kind: Any) -> bool:
    """Whether Arrow cannot tell the first and the last of such values."""
    types = arrow().types
    return bool(types.is_decimal(kind) or types.is_nested(kind) or types.is_duration(kind))


def _has_nan(column: Any) -> bool:
    if not arrow().types.is_floating(column.type):
        return False
    import pyarrow.compute as functions

    compute: Any = functions
    return bool(compute.any(compute.is_nan(column)).as_py())


def _is_nan(column: Any) -> Any:
    import pyarrow.compute as functions

    compute: Any = functions
    return compute.is_nan(column).cast(arrow().int8())


def _fitting(column: Any, kernel: Kernel) -> Any:
    """The column in a type in which the kernel neither fails nor overflows."""
    pa = arrow()
    kind, numeric = column.type, kernel.function in ("sum", "variance")
    if pa.types.is_null(kind):
        return column.cast(pa.float64() if numeric else pa.string())
    if not numeric:
        return _counted(column)
    if kernel.function == "variance" and pa.types.is_decimal(kind):
        return column.cast(pa.float64())  # Else the squares overflow, and nothing tells it.
    exact = pa.types.is_integer(kind) or pa.types.is_decimal128(kind)
    if kernel.function != "sum" or not exact or not len(column):
        return column
    import pyarrow.compute as functions

    compute: Any = functions
    bounds = compute.min_max(column)
    least, greatest = bounds["min"].as_py() or 0, bounds["max"].as_py() or 0
    if pa.types.is_decimal(kind):
        largest = Decimal(10) ** (_DIGITS - kind.scale) / len(column)
        wider = pa.decimal256(2 * _DIGITS, kind.scale)
    else:
        largest, wider = _LARGEST // len(column), pa.decimal128(_DIGITS, 0)
    if max(-least, greatest) > largest:
        return column.cast(wider)
    return column


@cache
def _options() -> dict[str, Any]:
    try:
        # Without a wrapper for each of some hundred functions, which take longer than a file does.
        import pyarrow._compute as functions
    except ImportError:
        import pyarrow.compute as functions

    compute: Any = functions
    ends = compute.ScalarAggregateOptions(skip_nulls=False, min_count=0)
    return {
        "sum": compute.ScalarAggregateOptions(min_count=1),
        "variance": compute.VarianceOptions(ddof=0),
        "first": ends,
        "last": ends,
        "distinct": compute.CountOptions(mode="only_valid"),
    }
