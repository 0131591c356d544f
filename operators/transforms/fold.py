"""`fold`: one value for each key, over all time, by two functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar

from ...runtime.contracts import Operator
from ..aggregates._known_later import K, R
from ..aggregates.fold import Fold
from .aggregate import Aggregating

__all__ = ["fold"]

A = TypeVar("A")


def fold(
    initial: Callable[[], A],
    step: Callable[[A, R], A],
    *,
    emit: Literal["update", "end"] = "update",
    version: int = 1,
) -> Operator[tuple[K, R], tuple[K, A]]:
    """One value for each key: what to begin with, and what each of its records makes of it.

    >>> from thalweg import Graph
    >>> from thalweg.operators import sinks, sources
    >>> graph, seen = Graph("sums"), []
    >>> numbers = graph.read("numbers", sources.records([1, 2, 3, 4])).key_by(lambda n: n % 2)
    >>> sums = numbers.via("sums", fold(int, lambda total, n: total + n), volatile=True)
    >>> sums.to("seen", sinks.collect(seen)) and None
    >>> graph.run() and seen
    [(1, 1), (0, 2), (1, 4), (0, 6)]

    Parameters:

    - `initial`: returns the value of no records; called once for each key.
    - `step(value, record)`: returns the value with one record more. Return a new value rather than
      the old one changed in place: it may still be on its way to a sink.
    - `emit`: "update" (default) for the new value of a key after each of its records, "end" for
      the value of each key once, when the input ends.
    - `version` (1): raise it when values change their form.

    It takes pairs of a key and a record, as `key_by` makes them. For what is not a function, such
    as `aggregates.counting()`, there is `aggregate`.

    Raises TypeError for what is no function, ValueError for an `emit` that there is not.

    - Emits when: a record has been added ("update"), or its input ends ("end").
    - Waits when: the next channel is full.
    - Ends when: its input does.
    - Order: that of the records; at the end, that in which keys were first seen.
    - State: the value of each key, saved with each epoch as far as it changed.
    - On error: a record for which `step` raises becomes a dead letter, and leaves no trace.
    """
    made: Aggregating[K, R, A, A] = Aggregating(Fold(initial, step, None, version), emit)
    return made
