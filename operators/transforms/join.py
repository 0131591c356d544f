"""`join`: two streams, by key, within a bound of time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ...runtime.contracts import Context, Duration, KeyedState, Operator, Results
from ._joined import LEFT, Joined, Sided, both_sides, checked_how, checked_within
from ._timed_rows import Entry, Some, Timed, time_of

if TYPE_CHECKING:
    from ...runtime.contracts import Stream

__all__ = ["How", "IntervalJoin", "join"]

K = TypeVar("K")
L = TypeVar("L")
R = TypeVar("R")

How = Literal["inner", "left", "outer"]
"""Whether records that nothing matched are told: of neither side, of the left one, or of both."""


class IntervalJoin(Operator[Sided, Joined]):
    """The operator that `join` makes; see there."""

    results = Results("append")

    def __init__(self, before: float, after: float, how: How) -> None:
        self._before = before
        self._after = after
        self._how = how
        self.lefts: KeyedState[Any, list[Entry]] = KeyedState()
        self.rights: KeyedState[Any, list[Entry]] = KeyedState()

    async def open(self, context: Context) -> None:
        """Nothing is open; which records are the oldest is found when the first one comes."""
        self._left, self._right = Timed(self.lefts, due=True), Timed(self.rights, due=True)

    def process(self, record: Sided) -> Iterable[Joined]:
        """Never called: the join asks for times."""
        raise NotImplementedError

    def process_at(self, record: Sided, at: float) -> Iterable[Joined]:
        """Match a record with what has come of the other side, and remember it."""
        made: list[Joined] = []
        self.process_each_at(iter(((record, at),)), made.append)
        return made

    def process_each_at(
        self, pairs: Iterator[tuple[Sided, float]], emit: Callable[[Joined], object]
    ) -> None:
        """Match each record with what has come of the other side, and remember it."""
        left, right = Some(self._left), Some(self._right)
        # Of each side how much later the other may be, and how much earlier.
        ways = (left, right, self._before, self._after), (right, left, self._after, self._before)
        notes = self._how != "inner"
        try:
            for (side, (key, value)), at in pairs:
                own, others, early, late = ways[side]
                entries = others.of(key)
                found: list[Entry] | tuple[()] = ()
                if entries:
                    # By differences, as `on_watermark` has them: sums would be rounded otherwise.
                    first, last = 0, len(entries)
                    if entries[0][0] - at < -early:
                        first = bisect_left(entries, -early, key=lambda entry: entry[0] - at)
                    if entries[-1][0] - at > late:
                        last = bisect_right(entries, late, key=lambda entry: entry[0] - at)
                    found = entries[first:last]
                    if notes and any(not entry[2] for entry in found):
                        for entry in found:
                            entry[2] = True
                        others.changed[key] = entries
                own.add(key, [at, value, bool(found)])
                if side == LEFT:
                    for entry in found:
                        emit(Joined(key, value, entry[1]))
                else:
                    for entry in found:
                        emit(Joined(key, entry[1], value))
        finally:
            # Together, which costs less than one by one; also what came before a bad record.
            self._left.keep(left)
            self._right.keep(right)

    def on_watermark(self, at: float) -> Iterable[Joined]:
        """Forget what nothing can match any more, and tell what nothing has matched."""
        told = self._over(self._left, at, self._after, LEFT)
        told += self._over(self._right, at, self._before, 1 - LEFT)
        told.sort(key=lambda one: one[0])
        return [joined for _, joined in told]

    def on_end(self) -> Iterable[Joined]:
        """Nothing can match any more."""
        return self.on_watermark(float("inf"))

    def _over(self, timed: Timed, at: float, bound: float, side: int) -> list[tuple[float, Joined]]:
        told: list[tuple[float, Joined]] = []
        counts = timed.due(at, bound)
        if self._how == "outer" or (self._how == "left" and side == LEFT):
            for key, count in counts.items():
                for entry in timed.of(key)[:count]:
                    if not entry[2]:
                        pair = (entry[1], None) if side == LEFT else (None, entry[1])
                        told.append((time_of(entry), Joined(key, *pair)))
        timed.drop(counts)
        return told


def join(
    name: str,
    left: Stream[tuple[K, L]],
    right: Stream[tuple[K, R]],
    *,
    within: Duration | tuple[Duration, Duration],
    how: How = "inner",
    volatile: bool = False,
    fail_after: int | None = 1000,
) -> Stream[Joined]:
    """Two streams, by key, within a bound of time.

    >>> from thalweg import Graph
    >>> from thalweg.operators import join, sinks, sources
    >>> def keyed(graph, name, rows):
    ...     timed = graph.read(name, sources.records(rows)).event_time(lambda row: row[1], unit="s")
    ...     return timed.key_by(lambda row: row[0])
    >>> graph, out = Graph("clicks_of_views"), []
    >>> views = keyed(graph, "views", [("ann", 10), ("bob", 11)])
    >>> clicks = keyed(graph, "clicks", [("ann", 12), ("bob", 99)])
    >>> made = join("clicked", views, clicks, within=("0s", "5s"), how="left", volatile=True)
    >>> made.to("out", sinks.collect(out)) and None
    >>> graph.run() and sorted((one.left, one.right) for one in out)
    [(('ann', 10), ('ann', 12)), (('bob', 11), None)]

    Parameters:

    - `name`: of the join, whose two sides are the nodes `name.left` and `name.right`.
    - `left`, `right`: streams with `event_time` and `key_by`, in this order.
    - `within`: how far apart two records of one key may be. One length of time is for both
      directions; a pair says how much earlier, and how much later, the right one may be.
    - `how`: "inner" (default) tells pairs; "left" also each left record that nothing matched, with
      None on the right; "outer" those of both sides.
    - `volatile`: accept that what is remembered is lost with the process, where there is no store.

    Records of a key whose times are equal match each other as any others. Raises ValueError for a
    bound or a kind that there is not; a stream without `event_time` raises GraphError.

    - Emits when: the later one of a pair comes; for a record that nothing matched when the
      watermark says that nothing will, and at the end.
    - Waits when: the next channel is full.
    - Ends when: both inputs have.
    - Order: none among pairs; what nothing matched is told in the order of time.
    - State: the records of both sides, until the watermark is so far past them that nothing can
      match any more. An input that is silent holds the watermark back, until it counts as idle.
    - On error: cannot fail.
    """
    checked_how(
        how, ("inner", "left", "outer"), 'for "right" change the two streams, and say "left"'
    )
    before, after = checked_within(within)
    sides = both_sides(name, left, right)
    operator = IntervalJoin(before, after, how)
    return sides.via(name, operator, volatile=volatile, fail_after=fail_after)
