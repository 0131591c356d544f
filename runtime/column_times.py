"""The times of rows that stand in columns, all at once."""

from __future__ import annotations

from array import array
from typing import Any

from .columns import arrow
from .timestamps import Timestamps

__all__ = ["as_times", "bounds", "late_among", "seconds_of", "values_of"]


def seconds_of(column: Any, stamps: Timestamps, most: float) -> Any:
    """A column as seconds since 1970, an array without NULL; None where it is to be looked at value
    by value, since one of them is no time, or is later than `most`.
    """
    import pyarrow.compute as functions

    compute: Any = functions
    pa, kind = arrow(), column.type
    if not len(column) or column.null_count:
        return None
    unit, ends = 1.0, None
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        unit, column = 1e6, values_of(column).cast(pa.int64())
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        ends = bounds(column)
        if not stamps.all_times(*ends):
            return None
        unit = float(stamps.per_second)
    else:
        return None
    seconds = column.cast(pa.float64(), safe=False)
    if unit != 1:
        seconds = compute.divide(seconds, unit)
    if pa.types.is_floating(kind) and not compute.all(compute.is_finite(seconds)).as_py():
        return None
    latest = bounds(seconds)[1] if ends is None else ends[1] / unit
    if latest > most:
        return None
    return seconds.combine_chunks() if hasattr(seconds, "chunks") else seconds


def values_of(column: Any) -> Any:
    """The column, with times as Python has them: in microseconds."""
    pa, kind = arrow(), column.type
    if pa.types.is_timestamp(kind) and kind.unit != "us":
        return column.cast(pa.timestamp("us", kind.tz), safe=False)
    return column


def as_times(seconds: Any) -> array[float]:
    """An array of seconds as what travels beside records."""
    times = array("d")
    start = 8 * seconds.offset
    whole = memoryview(seconds.buffers()[1])
    times.frombytes(whole[start : start + 8 * len(seconds)])
    return times


def bounds(seconds: Any) -> tuple[float, float]:
    """The least and the greatest of an array."""
    import pyarrow.compute as functions

    compute: Any = functions
    ends = compute.min_max(seconds)
    return ends["min"].as_py(), ends["max"].as_py()


def late_among(seconds: Any, newest: float, lateness: float) -> list[int]:
    """The indices of those that are older by more than `lateness` than the newest before them."""
    import pyarrow.compute as functions

    compute: Any = functions
    if newest <= seconds[0].as_py():
        older = compute.less(seconds.slice(1), seconds.slice(0, len(seconds) - 1))
        if not compute.any(older).as_py():
            return []  # As they mostly come: none is older than the one before it.
    running = compute.max_element_wise(compute.cumulative_max(seconds), newest)
    late = compute.less(seconds, compute.subtract(running, lateness))
    return list(compute.indices_nonzero(late).to_pylist())
