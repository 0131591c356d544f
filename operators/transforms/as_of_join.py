"""`as_of_join`: each record with the latest value of its key at that time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from ...runtime.contracts import (
    Context,
    DataError,
    Duration,
    KeyedState,
    Operator,
    Results,
    in_seconds,
)
from ._joined import LEFT, Joined, Sided, both_sides, checked_how
from ._timed_rows import Entry, Some, Timed, time_of

if TYPE_CHECKING:
    from ...runtime.contracts import Stream

__all__ = ["AsOfJoin", "as_of_join"]

K = TypeVar("K")
L = TypeVar("L")
R = TypeVar("R")


class AsOfJoin(Operator[Sided, Joined]):
    """The operator that `as_of_join` makes; see there."""

    results = Results("append")

    def __init__(self, how: Literal["inner", "left"], max_age: float) -> None:
        self._inner = how == "inner"
        self._max_age = max_age
        self.waiting: KeyedState[Any, list[Entry]] = KeyedState()
        self.values: KeyedState[Any, list[Entry]] = KeyedState()

    async def open(self, context: Context) -> None:
        """Nothing is open; which records are the oldest is found when the first one comes."""
        self._waiting = Timed(self.waiting, due=True)
        self._values = Timed(self.values, due=self._max_age < float("inf"))
        self._reached = float("-inf")

    def process(self, record: Sided) -> Iterable[Joined]:
        """Never called: the join asks for times."""
        raise NotImplementedError

    def process_at(self, record: Sided, at: float) -> Iterable[Joined]:
        """Remember a record until all values up to its time have come, or a value."""
        self.process_each_at(iter(((record, at),)), lambda _: None)
        return ()

    def process_each_at(
        self, pairs: Iterator[tuple[Sided, float]], emit: Callable[[Joined], object]
    ) -> None:
        """Remember each record; what stood at its time is told at a watermark."""
        waiting, values = Some(self._waiting), Some(self._values)
        spent: dict[Any, None] = {}
        reached = self._reached
        try:
            for record, at in pairs:
                side, pair = cast("tuple[int, tuple[object, ...]]", record)
                if type(pair) is not tuple or len(pair) != 2:
                    raise DataError(
                        "an as-of join takes pairs of a key and a record, not "
                        f"{type(pair).__name__}: say .key_by(…) on both streams, below event_time"
                    )
                key, value = pair
                if side == LEFT:
                    waiting.add(key, [at, value, False])
                    continue
                entries = values.add(key, [at, value, False])
                if len(entries) > 1 and entries[1][0] <= reached:
                    spent[key] = None
        finally:
            # Together, which costs less than one by one; also what came before a bad record.
            self._waiting.keep(waiting)
            self._values.keep(values)
            self._forget(key for key in spent if not self.waiting.get(key))

    def on_watermark(self, at: float) -> Iterable[Joined]:
        """Tell the records of which it is known now what stood at their time."""
        self._reached = at
        told: list[tuple[float, Joined]] = []
        over = self._waiting.due(at, 0.0)
        waiting, known = self.waiting.lookup, self.values.lookup
        for key, ready in over.items():
            values = known(key, [])
            for entry in waiting(key, [])[:ready]:
                found = bisect_right(values, time_of(entry), key=time_of)
                value = values[found - 1] if found else None
                if value is not None and entry[0] - value[0] > self._max_age:
                    value = None
                if value is not None or not self._inner:
                    right = None if value is None else value[1]
                    told.append((time_of(entry), Joined(key, entry[1], right)))
        self._waiting.drop(over)
        self._forget(over)
        if self._max_age < float("inf"):
            self._forget(self._values.due(at, self._max_age))
        told.sort(key=lambda one: one[0])
        return [joined for _, joined in told]

    def on_end(self) -> Iterable[Joined]:
        """All values have come."""
        return self.on_watermark(float("inf"))

    def _forget(self, keys: Iterable[Any]) -> None:
        """Let go of the values of these keys that no record can ask for any more."""
        over: dict[Any, int] = {}
        known, reached = self.values.lookup, self._reached
        for key in keys:
            values = known(key, None)
            if not values:
                continue
            # The records that wait are younger than the watermark, as those are that will come.
            last = 0
            if len(values) > 1 and values[1][0] <= reached:
                last = bisect_right(values, reached, key=time_of) - 1
            if reached - values[last][0] > self._max_age:
                last += 1
            if last:
                over[key] = last
        self._values.drop(over)


def as_of_join(
    name: str,
    left: Stream[tuple[K, L]],
    right: Stream[tuple[K, R]],
    *,
    how: Literal["inner", "left"] = "left",
    max_age: Duration | None = None,
    volatile: bool = False,
    fail_after: int | None = 1000,
) -> Stream[Joined]:
    """Each record of `left` with the latest one of `right` that has its key and is not younger.

    >>> from thalweg import Graph
    >>> from thalweg.operators import as_of_join, sinks, sources
    >>> def keyed(graph, name, rows):
    ...     timed = graph.read(name, sources.records(rows)).event_time(lambda row: row[1], unit="s")
    ...     return timed.key_by(lambda row: row[0])
    >>> graph, out = Graph("flights_with_weather"), []
    >>> flights = keyed(graph, "flights", [("JFK", 10), ("JFK", 25)])
    >>> weather = keyed(graph, "weather", [("JFK", 0, "rain"), ("JFK", 20, "sun")])
    >>> made = as_of_join("with_weather", flights, weather, volatile=True)
    >>> made.map(lambda one: (one.left[1], one.right[2])).to("out", sinks.collect(out)) and None
    >>> graph.run() and out
    [(10, 'rain'), (25, 'sun')]

    Parameters:

    - `name`: of the join, whose two sides are the nodes `name.left` and `name.right`.
    - `left`, `right`: streams with `event_time` and `key_by`, in this order.
    - `how`: "left" (default) tells a record without a value with None; "inner" does not tell it.
    - `max_age` (None: any): a value that is older than this, seen from the record, is none.
    - `volatile`: accept that what is remembered is lost with the process, where there is no store.

    Of several values with the same time the one that came last counts. Raises ValueError for a
    kind that there is not; a stream without `event_time` raises GraphError.

    - Emits when: the watermark has passed the time of a record, so that no earlier value can come;
      at the end.
    - Waits when: the next channel is full.
    - Ends when: both inputs have.
    - Order: that of the times of the records that one watermark has passed.
    - State: records until they are told; of each key the last value, for ever or for `max_age`,
      and those that records still to come may ask for.
    - On error: a record without a key, where there is no `key_by`, becomes a dead letter of the
      join.
    """
    checked_how(
        how,
        ("inner", "left"),
        "values that no record asked for are never told, since a later record may ask for them",
    )
    age = float("inf") if max_age is None else in_seconds(max_age, "max_age")
    sides = both_sides(name, left, right)
    return sides.via(name, AsOfJoin(how, age), volatile=volatile, fail_after=fail_after)
