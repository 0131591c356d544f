"""`aggregate`: one value for each key, over all time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Generic, Literal, TypeVar, cast

from ...runtime.contracts import Context, KeyedState, Operator, Results
from ..aggregates import _known_later as later
from ..aggregates.aggregate import Aggregate

__all__ = ["Aggregating", "aggregate"]

K = TypeVar("K")
R = TypeVar("R")
A = TypeVar("A")
V = TypeVar("V")

_UNKNOWN: Final = object()


class Aggregating(Operator[tuple[K, R], tuple[K, V]], Generic[K, R, A, V]):
    """The operator that `aggregate` and `fold` make; see there."""

    def __init__(self, function: Aggregate[R, A, V], emit: Literal["update", "end"]) -> None:
        if emit not in ("update", "end"):
            raise ValueError(f"emit is 'update' or 'end', not {emit!r}")
        self._function = function
        self._update = emit == "update"
        self.results = Results("update" if self._update else "append")
        self.values: KeyedState[K, A] = KeyedState(version=function.version)
        self.numbers: KeyedState[K, int] = KeyedState()

    async def open(self, context: Context) -> None:
        """Nothing is open; which key was seen when is looked up when the first record comes."""
        self._next = -1

    def process(self, record: tuple[K, R]) -> Iterable[tuple[K, V]]:
        """Add one record to what its key has."""
        made: list[tuple[K, V]] = []
        self.process_each(iter((record,)), made.append)
        return made

    def process_each(
        self, records: Iterator[tuple[K, R]], emit: Callable[[tuple[K, V]], object]
    ) -> None:
        """Add each record to what its key has."""
        function, update = self._function, self._update
        create, add, result = function.create, function.add, function.result
        lookup = self.values.lookup
        changed: dict[K, A] = {}
        here = changed.get
        unknown = cast("A", _UNKNOWN)
        try:
            for key, record in records:
                value = here(key, unknown)
                if value is _UNKNOWN:
                    value = lookup(key, unknown)
                if value is _UNKNOWN:
                    value = add(create(), record)
                    self._number(key)
                else:
                    value = add(value, record)
                if update:
                    told = key, result(value)
                    changed[key] = value
                    emit(told)
                else:
                    changed[key] = value
        finally:
            # Together, which costs less than one by one; also what came before a bad record.
            self.values.assign(changed)

    def _number(self, key: K) -> None:
        """Note in which order keys were seen, for the end."""
        if self._update or key in self.numbers:
            return
        if self._next < 0:
            self._next = max(self.numbers.values(), default=-1) + 1
        self.numbers[key] = self._next
        self._next += 1

    def on_end(self) -> Iterator[tuple[K, V]]:
        """The value of each key, if none was told before."""
        if not self._update:
            for key in sorted(self.values, key=lambda key: self.numbers.get(key, -1)):
                yield key, self._function.result(self.values[key])


def aggregate(
    function: Aggregate[R, A, V], *, emit: Literal["update", "end"] = "update"
) -> Operator[tuple[later.K, R], tuple[later.K, V]]:
    """One value for each key, over all that comes.

    >>> from thalweg import Graph
    >>> from thalweg.operators import aggregates, sinks, sources
    >>> graph, seen = Graph("letters"), []
    >>> letters = graph.read("letters", sources.records("abracadabra")).key_by(str)
    >>> counts = letters.via("counts", aggregate(aggregates.counting(), emit="end"), volatile=True)
    >>> counts.to("seen", sinks.collect(seen)) and None
    >>> graph.run() and seen
    [('a', 5), ('b', 2), ('r', 2), ('c', 1), ('d', 1)]

    Parameters: `function`, the aggregate; `emit`, "update" (default) for the new value of a key
    after each of its records, "end" for the value of each key once, when the input ends.

    It takes pairs of a key and a record, as `key_by` makes them, and makes pairs of a key and a
    value. It keeps one value for each key there ever was.

    Raises ValueError for an `emit` that there is not.

    - Emits when: a record has been added ("update"), or its input ends ("end").
    - Waits when: the next channel is full.
    - Ends when: its input does.
    - Order: that of the records; at the end, that in which keys were first seen.
    - State: the accumulator of each key, saved with each epoch as far as it changed.
    - On error: what the aggregate refuses becomes a dead letter, and leaves no trace.
    """
    made: Aggregating[later.K, R, A, V] = Aggregating(function, emit)
    return made
