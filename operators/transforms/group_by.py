"""`group_by`, `cube`, `rollup` and `grouping_sets`: several measures of each group, in columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, cast

from ...runtime.contracts import Duration, in_seconds
from ..aggregates.measure import Measure
from ._grouping import Grouping, Mode

if TYPE_CHECKING:
    from ..windows.column_windows import Unit
    from ..windows.windower import Windower

__all__ = ["cube", "group_by", "grouping_sets", "rollup"]

_MOST_KEYS = 12
"""Of a cube: with each more, there are twice as many grouping sets."""

Measures = Mapping[str, Measure[Any, Any]]


def group_by(
    *keys: str,
    measures: Measures,
    mode: Mode = "update",
    window: Windower | None = None,
    time: str | None = None,
    unit: Unit | None = None,
    lateness: Duration = 0.0,
    every: Duration | None = None,
) -> Grouping:
    """Several measures of each group of rows, over all time or for each window.

    >>> from thalweg import Graph
    >>> from thalweg.operators import aggregates, group_by, sinks, sources
    >>> graph, out = Graph("words"), []
    >>> rows = graph.read("rows", sources.records([{"w": "a", "n": 1}, {"w": "a", "n": 2}]))
    >>> measures = {"times": aggregates.count(), "mean": aggregates.mean("n")}
    >>> words = rows.via("words", group_by("w", measures=measures), volatile=True)
    >>> words.to("out", sinks.collect(out)) and None
    >>> graph.run() and out
    [{'w': 'a', 'times': 2, 'mean': 1.5}]

    It works on columns, as a stream of files has them; records become columns at its inbox. NULL is
    a group of its own, and NaN is one. Keys, and what `first`, `last` and `collect_values` keep,
    are plain values, such as numbers, text and times: no lists, no structs.

    Parameters:

    - `keys`: names of columns; none for one group of all rows.
    - `measures`: by the names of their results, from `aggregates`: `count`, `sum`, `mean`, `min`,
      `max`, `variance`, `stddev`, `first`, `last`, `count_distinct`, `quantiles`,
      `collect_values`. The last three keep what grows with the data, unless they are bounded.
    - `mode`: "update" (default) tells the groups that have changed; "complete" tells all groups,
      in one batch, when any has changed; "append" tells each once, when its window is over.
    - `window`: `windows.tumbling` or `hopping`, by the column `time`: timestamps, or numbers of
      which `unit` ("s", "ms", "us", "ns") says what they count. The results have `window_start` and
      `window_end`.
    - `lateness` (0): a row that is older by more than this than the newest before it is late: it
      goes to the `late` port. A window is over when it ends so much before the newest row; then it
      is forgotten. In mode "complete", which keeps all windows, no row is late.
    - `every` (None): tell results each so many seconds by the clock, more than 0. Without it they
      are told at triggers, which a stream of files has behind each group of files, and at the end.

    Raises ValueError or TypeError for what does not go together, such as mode "append" without a
    window. A column that there is not, or that a measure cannot take, fails the job.

    - Emits when: a trigger comes, or the clock says so; at the end, what was not told yet.
    - Waits when: the next channel is full.
    - Ends when: its input does. A job that is suspended closes no window.
    - Order: none among the groups that are told at once; windows are told in order in "append".
    - State: the accumulators of each group, saved with each epoch as far as they changed.
    - On error: a row that cannot be computed with, such as one without a time, becomes a dead
      letter.
    """
    return grouping_sets(
        [keys],
        measures=measures,
        mode=mode,
        window=window,
        time=time,
        unit=unit,
        lateness=lateness,
        every=every,
        grouping=None,
    )


def cube(
    *keys: str,
    measures: Measures,
    mode: Mode = "update",
    window: Windower | None = None,
    time: str | None = None,
    unit: Unit | None = None,
    lateness: Duration = 0.0,
    every: Duration | None = None,
    grouping: str | None = "grouping",
) -> Grouping:
    """As `group_by`, for every selection of the keys: each of them, of two, and so on to none.

    >>> from thalweg.operators import aggregates
    >>> cube("device", "activity", measures={"n": aggregates.count()})
    group by (device, activity) (device) (activity) (): n, mode update

    A key that is not selected is NULL in the result; the column `grouping` (None: no such column)
    tells that from a NULL in the data: it is a number with a bit for each key, the first key's
    being the highest, set where the key is not selected.
    """
    if len(keys) > _MOST_KEYS:
        raise ValueError(
            f"a cube of {len(keys)} keys has {2 ** len(keys):,} grouping sets, and {_MOST_KEYS} "
            "keys are the most: name those that are wanted by grouping_sets"
        )
    sets = [one for size in range(len(keys), -1, -1) for one in combinations(keys, size)]
    return grouping_sets(
        sets,
        measures=measures,
        mode=mode,
        window=window,
        time=time,
        unit=unit,
        lateness=lateness,
        every=every,
        grouping=grouping,
    )


def rollup(
    *keys: str,
    measures: Measures,
    mode: Mode = "update",
    window: Windower | None = None,
    time: str | None = None,
    unit: Unit | None = None,
    lateness: Duration = 0.0,
    every: Duration | None = None,
    grouping: str | None = "grouping",
) -> Grouping:
    """As `group_by`, for all keys, all but the last, and so on to none; see `cube` for `grouping`.

    >>> from thalweg.operators import aggregates
    >>> rollup("model", "device", measures={"n": aggregates.count()})
    group by (model, device) (model) (): n, mode update
    """
    return grouping_sets(
        [keys[:size] for size in range(len(keys), -1, -1)],
        measures=measures,
        mode=mode,
        window=window,
        time=time,
        unit=unit,
        lateness=lateness,
        every=every,
        grouping=grouping,
    )


def grouping_sets(
    sets: Sequence[Sequence[str]],
    *,
    measures: Measures,
    mode: Mode = "update",
    window: Windower | None = None,
    time: str | None = None,
    unit: Unit | None = None,
    lateness: Duration = 0.0,
    every: Duration | None = None,
    grouping: str | None = "grouping",
) -> Grouping:
    """As `group_by`, for each of these selections of keys; see `cube` for `grouping`.

    >>> from thalweg.operators import aggregates
    >>> grouping_sets([["device"], []], measures={"n": aggregates.count()})
    group by (device) (): n, mode update
    """
    given = [tuple(one) if not isinstance(one, str) else one for one in sets]
    for one in given:
        for key in (one,) if isinstance(one, str) else one:
            if isinstance(one, str) or not isinstance(cast("object", key), str) or not key:
                raise TypeError(f"keys are names of columns, each for itself, not {key!r}")
        if len(set(one)) < len(one):
            raise ValueError(f"a key is named twice in {list(one)}")
    if not given:
        raise ValueError("sets names no grouping set: [[]] is one, of no keys")
    if len({frozenset(one) for one in given}) < len(given):
        raise ValueError("a grouping set is named twice")
    if (window is None) != (time is None):
        raise ValueError(
            "window= and time= go together: time names the column that says when a row happened"
        )
    if window is None and (unit is not None or lateness):
        raise ValueError(
            "unit= and lateness= are of the times of windows: say window= and time= too"
        )
    if mode == "complete" and in_seconds(lateness, "lateness"):
        raise ValueError(
            "mode='complete' keeps all windows, so that no row is late: leave out lateness="
        )
    if not isinstance(cast("object", measures), Mapping):
        raise TypeError(
            f"measures is a dict by the names of the results, such as {{'n': aggregates.count()}}, "
            f"not {measures!r}"
        )
    placed = None
    if window is not None and time is not None:
        from ..windows.column_windows import ColumnWindows

        until = None if mode == "complete" else lateness
        placed = ColumnWindows(window, time, unit=unit, lateness=until)
    return Grouping(given, measures, mode=mode, windows=placed, every=every, grouping=grouping)
