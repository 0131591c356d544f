"""`window`: one value for each window of each key."""

from __future__ import annotations

from typing import TypeVar

from ...runtime.contracts import Operator
from ..aggregates._known_later import K
from ..aggregates.aggregate import Aggregate
from .emission import Emit, checked_emit
from .result import Window
from .windower import Clock, Windower

__all__ = ["window"]

R = TypeVar("R")
A = TypeVar("A")
V = TypeVar("V")


def window(
    windower: Windower,
    aggregate: Aggregate[R, A, V],
    *,
    clock: Clock | None = None,
    emit: Emit = "close",
) -> Operator[tuple[K, R], Window[K, V]]:
    """One value for each window of each key.

    >>> from thalweg import Graph
    >>> from thalweg.operators import aggregates, sinks, sources, windows
    >>> graph, out = Graph("minutes"), []
    >>> seconds = graph.read("seconds", sources.records([3, 59, 65, 130]))
    >>> timed = seconds.event_time(float, unit="s").key_by(lambda _: "all")
    >>> counts = timed.via(
    ...     "minutes", window(windows.tumbling("1min"), aggregates.counting()), volatile=True
    ... )
    >>> counts.to("out", sinks.collect(out)) and None
    >>> graph.run() and [(one.start, one.value) for one in out]
    [(0.0, 2), (60.0, 1), (120.0, 1)]

    It takes pairs of a key and a record, as `key_by` makes them, and makes `Window` records.

    Parameters:

    - `windower`: `windows.tumbling`, `hopping`, `session` or `count`.
    - `aggregate`: what becomes of the records of a window, as in `aggregates`.
    - `clock`: "event" (default), by the times of the records, which an `event_time` above tells; or
      "processing", by the clock of the runtime when they come. Not for `count`.
    - `emit`: "close" (default), each window once, when it is over; "update", a window after each of
      its records; `windows.every(seconds)`, by the clock, those that have changed, and the rest
      when they are over.

    Raises ValueError for what does not go together, such as sessions and an aggregate that cannot
    merge.

    - Emits when: a window is over, as the watermark or the clock says, or it is full; or as `emit`
      says; at the end, what is left.
    - Waits when: the next channel is full.
    - Ends when: its input does. A job that is suspended closes no window.
    - Order: by end, by start, and in the order in which windows were opened; updates, that of the
      records. It does not depend on where batches were cut, or on how often watermarks come.
    - State: the open windows of each key, saved with each epoch as far as they changed.
    - On error: what the aggregate refuses becomes a dead letter, and leaves no trace. A record of
      which every window is closed goes to the `late` port: each is counted, or late.
    """
    if clock not in (None, "event", "processing"):
        raise ValueError(f"clock is 'event' or 'processing', not {clock!r}")
    return windower.operator(aggregate, checked_emit(emit), clock)
