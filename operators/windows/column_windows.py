"""Windows of rows that stand in columns: which windows each row goes into, all at once."""

from __future__ import annotations

from typing import Any, Literal

from ...runtime.contracts import Duration, MisconfiguredError, arrow, in_seconds
from .hopping import Hopping
from .tumbling import Tumbling
from .windower import Windower

__all__ = ["ColumnWindows", "Unit"]

Unit = Literal["s", "ms", "us", "ns"]
"""What a number in a column of times counts, since 1970."""

_MICROSECONDS: dict[str, float] = {"s": 1e6, "ms": 1e3, "us": 1, "ns": 1e-3}


class ColumnWindows:
    """Puts rows into windows by a column of times; all times here are microseconds since 1970.

    A row is late when it is more than `lateness` older than the newest before it, whatever batch
    that came in; `reached` is how far the newest has come, less the lateness. Without a lateness no
    row is late, and no window is ever over.
    """

    def __init__(
        self, windower: Windower, time: str, *, unit: Unit | None, lateness: Duration | None
    ) -> None:
        if isinstance(windower, Tumbling):
            length, every, offset = windower.length, windower.length, windower.offset
        elif isinstance(windower, Hopping):
            length, every, offset = windower.length, windower.every, windower.offset
        else:
            raise ValueError(
                "columns go into tumbling or hopping windows; sessions and windows that count are "
                "for records: key_by and window(…)"
            )
        if unit is not None and unit not in _MICROSECONDS:
            raise ValueError(f"unit is one of {list(_MICROSECONDS)}, not {unit!r}")
        self.time = time
        self.length, self._every, self._offset = map(_micro, (length, every, offset))
        self._unit = unit
        self._lateness = None if lateness is None else _micro(in_seconds(lateness, "lateness"))

    def late_and_placed(
        self, table: Any, newest: int | None, *, ordered: bool = False
    ) -> tuple[Any, Any, int | None]:
        """The rows with the start of their window as `window_start`, once for each window they are
        in; those that were late and are not among them, or None; and the newest time now.

        With `ordered`, the rows of each window come in the order in which they stand.
        """
        import pyarrow.compute as functions

        compute: Any = functions
        times = self._times(table)
        if times.null_count:
            raise ValueError(f"the time {self.time!r} of a row is NULL")
        if not len(times):
            return table.append_column("window_start", times), None, newest
        bounds = compute.min_max(times)
        least, now = bounds["min"].as_py(), bounds["max"].as_py()
        now = now if newest is None else max(now, newest)
        late = None
        # Where the oldest is on time for the newest, none is late, and no row has to be asked.
        if self._lateness is not None and least < now - self._lateness:
            running = compute.cumulative_max(times.combine_chunks())
            if newest is not None:
                running = compute.max_element_wise(running, newest)
            on_time = compute.greater_equal(times, compute.subtract(running, self._lateness))
            if not compute.all(on_time).as_py():
                late = table.filter(compute.invert(on_time))
                table, times = table.filter(on_time), times.filter(on_time)
        shifted = compute.subtract(times, self._offset)
        if least < self._offset:
            # Whole division cuts towards 0: times before the offset are one window further down.
            below = compute.if_else(compute.less(shifted, 0), self._every - 1, 0)
            shifted = compute.subtract(shifted, below)
        number = compute.divide(shifted, self._every)
        start = compute.add(compute.multiply(number, self._every), self._offset)
        parts: list[Any] = []
        rows = [arrow().chunked_array([range(len(times))])] if ordered else []
        for back in range(-(-self.length // self._every)):
            begins = compute.subtract(start, back * self._every)
            part = table.append_column("window_start", begins)
            if back:
                inside = compute.greater(compute.add(begins, self.length), times)
                part = part.filter(inside)
                rows += [rows[0].filter(inside)] if ordered else []
            parts.append(part)
        placed = arrow().concat_tables(parts)
        if len(rows) > 1:
            chunks = [chunk for some in rows for chunk in some.chunks]
            placed = placed.take(compute.sort_indices(arrow().chunked_array(chunks)))
        return placed, late, now

    def reached(self, newest: int | None) -> int | None:
        """Up to when no row is counted any more."""
        return None if newest is None or self._lateness is None else newest - self._lateness

    def _times(self, table: Any) -> Any:
        if self.time not in table.schema.names:
            raise MisconfiguredError(
                f"the window asks for the column {self.time!r}, and there are {table.schema.names}"
            )
        pa, column = arrow(), table.column(self.time)
        if pa.types.is_timestamp(column.type):
            return column.cast(pa.timestamp("us", tz=column.type.tz), safe=False).cast(pa.int64())
        types = pa.types
        if self._unit is not None and types.is_decimal(column.type):
            # As whole numbers beyond 64 bits are, of which one among the times is no time.
            column = column.cast(pa.float64() if column.type.scale else pa.int64())
        if self._unit is None or not (
            types.is_integer(column.type) or types.is_floating(column.type)
        ):
            raise MisconfiguredError(
                f"the column {self.time!r} is {column.type}: a time is a timestamp, or a number of "
                "which unit= says what it counts"
            )
        import pyarrow.compute as functions

        compute: Any = functions
        factor = _MICROSECONDS[self._unit]
        if types.is_integer(column.type):
            if factor >= 1:
                return compute.multiply_checked(column.cast(pa.int64()), int(factor))
            return compute.divide(column.cast(pa.int64()), round(1 / factor))
        return compute.floor(compute.multiply(column, factor)).cast(pa.int64())


def _micro(seconds: float) -> int:
    return round(seconds * 1e6)
