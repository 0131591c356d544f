"""The operator behind `group_by`, `cube`, `rollup` and `grouping_sets`."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast

from ...runtime.contracts import (
    ColumnOperator,
    Columns,
    Context,
    Duration,
    KeyedState,
    Late,
    Results,
    TableMode,
    arrow,
    in_seconds,
)
from ..aggregates.measure import NAN, Kernel, Measure
from ._arrays import array_of, as_table, exact_array_of
from ._partial_groups import Key, partial_groups
from ._shared_groups import SharedGroups, put_together

if TYPE_CHECKING:
    from ..windows.column_windows import ColumnWindows

__all__ = ["Grouping", "Mode"]

Mode = TableMode
"""Which groups are told: those that nothing changes any more, those that have changed, or all."""

Kept = Sequence[Any]
"""Of a group the accumulator of each measure."""

START, END = "window_start", "window_end"
_PLACED = "thalweg_window_start"
"""Where the rows have the start of their window: a column of theirs may have its name."""


class Grouping(ColumnOperator):
    """Keeps one accumulator for each measure of each group of each grouping set."""

    def __init__(
        self,
        sets: Sequence[Sequence[str]],
        measures: Mapping[str, Measure[Any, Any]],
        *,
        mode: Mode,
        windows: ColumnWindows | None,
        every: Duration | None,
        grouping: str | None,
    ) -> None:
        self.keys = tuple(dict.fromkeys(key for one in sets for key in one))
        self._sets = [tuple(one) for one in sets]
        self._measures = dict(measures)
        self._mode: Mode = mode
        self._windows = windows
        self._every = None if every is None else in_seconds(every, "every")
        if self._every == 0:
            raise ValueError("every is how often results are told, and more than 0")
        self._grouping = grouping
        self.has_late = windows is not None and mode != "complete"
        self._check()
        self._kernels: list[Kernel] = []
        self._said: list[list[int]] = []
        for measure in self._measures.values():
            for kernel in measure.kernels():
                if kernel not in self._kernels:
                    self._kernels.append(kernel)
            self._said.append([self._kernels.index(one) for one in measure.kernels()])
        self._ordered = any(measure.ordered for measure in self._measures.values())
        # Of which keys a group of each set has values, and the rest is a subtotal's.
        self._has = [[key in one for key in self.keys] for one in self._sets]
        self._plain = self._has == [[True] * len(self.keys)]
        self.results = Results(mode, self._told_apart())
        if any(measure.adds for measure in self._measures.values()):
            self.takes = Results("append")
        self.groups: KeyedState[Key, Kept] = KeyedState()
        self._shared: SharedGroups | None = None

    def _told_apart(self) -> tuple[str, ...]:
        """The columns that tell one group from another."""
        windowed = (START,) if self._windows is not None else ()
        partly = any(len(one) < len(self.keys) for one in self._sets)
        return (*windowed, *self.keys, *((self._grouping or "grouping",) if partly else ()))

    def _check(self) -> None:
        if not self._measures:
            raise ValueError("measures names nothing to compute: {'n': aggregates.count()}")
        for name, measure in self._measures.items():
            if not isinstance(cast("object", name), str) or not name:
                raise TypeError(f"measures have names, which are text, not {name!r}")
            if not isinstance(cast("object", measure), Measure):
                raise TypeError(
                    f"the measure {name!r} is {measure!r}: it is one of a column, such as "
                    "aggregates.count(), sum('x') or mean('x')"
                )
        if self._mode not in ("append", "update", "complete"):
            raise ValueError(
                f"mode is 'append', 'update' or 'complete', not {cast('object', self._mode)!r}"
            )
        if self._mode == "append" and self._windows is None:
            raise ValueError(
                "mode='append' tells a group once, when nothing changes it any more, and without a "
                "window that is never: say mode='update' for the groups that have changed, "
                "mode='complete' for all of them, or window= and time="
            )
        names = [*self.keys, *self._measures]
        names += [self._grouping] if self._grouping is not None else []
        names += [START, END] if self._windows is not None else []
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the results would have two columns of the name {twice[0]!r}")

    def __repr__(self) -> str:
        sets = " ".join(f"({', '.join(one)})" for one in self._sets)
        grows = [name for name, measure in self._measures.items() if measure.grows]
        told = f", {', '.join(grows)} grow with the data" if grows else ""
        return f"group by {sets}: {', '.join(self._measures)}, mode {self._mode}{told}"

    def asks_for(self, below: frozenset[str] | None) -> frozenset[str] | None:
        """The keys, the columns of the measures, and the times."""
        asked = frozenset(self.keys).union(*(one.columns for one in self._measures.values()))
        return asked if self._windows is None else asked | {self._windows.time}

    def beside(self, others: Sequence[ColumnOperator]) -> None:
        """Find groups together with those whose groups are of the same rows."""
        mates = [self, *(one for one in others if isinstance(one, Grouping))]
        mates = [one for one in mates if one._can_share()]
        if len(mates) > 1 and self in mates:
            known = (one._shared for one in mates if one._shared is not None)
            self._shared = next(known, None) or SharedGroups(
                (key for one in mates for key in one.keys),
                (kernel for one in mates for kernel in one._kernels),
            )

    def digest(self) -> SharedGroups | None:
        """The groups, alone or with others, where nothing else of the rows is asked."""
        if self._shared is None and self._can_share():
            self._shared = SharedGroups(self.keys, self._kernels)
        return self._shared

    def _can_share(self) -> bool:
        return self._windows is None and SharedGroups.can_be_of(self._measures.values())

    async def open(self, context: Context) -> None:
        """Nothing is open."""
        self._types: dict[str, Any] = {}
        self._changed: dict[Key, None] = {}
        self._newest: int | None = None
        self._by_start: dict[int, list[Key]] | None = None
        self._told_at = -math.inf

    def snapshot(self) -> bytes:
        """What has changed and was not told, the types of columns, and how far time has come."""
        schema = arrow().schema(list(self._types.items())).serialize().to_pybytes()
        return pickle.dumps((schema, list(self._changed), self._newest))

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot."""
        pa = arrow()
        held, changed, self._newest = pickle.loads(data)  # The store's own bytes.
        schema = pa.ipc.read_schema(pa.py_buffer(held))
        self._types = dict(zip(schema.names, schema.types, strict=True))
        self._changed = dict.fromkeys(changed)
        self._mark()

    def _mark(self) -> None:
        """Say how far time has come."""
        if self._windows is not None:
            reached = self._windows.reached(self._newest)
            self.watermark = None if reached is None else reached / 1e6

    def process_columns(self, columns: Columns) -> Iterable[Columns]:
        """Add what these rows make of each group to what there is."""
        late, newest = None, self._newest
        changed, new = dict[Key, Kept](), list[Key]()
        shared = None if self._shared is None else self._shared.of(columns)
        if shared is not None:
            parts = self._parts_of(*shared)
        elif self._windows is None:
            parts = self._partial(columns.table)
        else:
            table, late, newest = self._windows.late_and_placed(
                as_table(columns.table), newest, ordered=self._ordered
            )
            parts = self._partial(table.rename_columns([*table.schema.names[:-1], _PLACED]))
        for groups, laters in parts:
            new += self._merge(groups, laters, changed)
        # Only now: what raised above has left nothing behind.
        self._types.update(zip(columns.names, columns.schema.types, strict=True))
        self._newest = newest
        self._mark()
        if self._by_start is not None:
            for group in new:
                self._by_start.setdefault(group[1], []).append(group)
        self.groups.assign(changed)
        if self._mode != "append":
            self._changed.update(dict.fromkeys(changed))
        return () if late is None else (Late(late),)

    def _merge(
        self, groups: list[Key], laters: list[Sequence[Any]], changed: dict[Key, Kept]
    ) -> Iterable[Key]:
        """Add to what there is of these groups, and return those of which there was nothing."""
        measures, lookup = list(self._measures.values()), self.groups.lookup
        if changed or len(set(groups)) < len(groups):
            # Some meet in one group of a set, so one after the other.
            new: dict[Key, None] = {}
            for group, *later in zip(groups, *laters, strict=True):
                before: Kept | None = changed.get(group) or lookup(group, None)
                if before is None:
                    before = [measure.create() for measure in measures]
                    new[group] = None
                pairs = zip(measures, before, later, strict=True)
                changed[group] = [one.merge(earlier, more) for one, earlier, more in pairs]
            return new
        # Of each measure all groups at once.
        befores = list(map(lookup, groups, repeat(None)))
        merged: list[Iterable[Any]] = []
        for at, (measure, found) in enumerate(zip(measures, laters, strict=True)):
            create = measure.create
            earlier = [create() if one is None else one[at] for one in befores]
            merged.append(measure.merge_all(earlier, found))
        changed.update(zip(groups, zip(*merged, strict=True), strict=True))
        return [group for group, one in zip(groups, befores, strict=True) if one is None]

    def _partial(self, table: Any) -> Iterator[tuple[list[Key], list[Sequence[Any]]]]:
        """Groups of these rows, and of each measure the accumulators that they make of them."""
        first = () if self._windows is None else (_PLACED,)
        if self._ordered:
            # Put together of smaller groups, a larger one would not know which row came first.
            for at, has in enumerate(self._has):
                keys = [key for key, there in zip(self.keys, has, strict=True) if there]
                found, said = partial_groups(table, (*first, *keys), self._kernels)
                yield [self._whole(at, key, len(first), has) for key in found], self._gathered(said)
            return
        number = (0,) if self._plain else ()
        found, said = partial_groups(table, (*first, *self.keys), self._kernels, number)
        laters = self._gathered(said)
        if self._plain:
            yield list(found), laters
        else:
            yield self._in_sets(found, laters, len(first))

    def _parts_of(
        self, keys: Sequence[Key], said: Sequence[Sequence[Any]]
    ) -> Iterator[tuple[list[Key], list[Sequence[Any]]]]:
        """As `_partial`, of groups that were found by more keys, for all who share them."""
        assert self._shared is not None
        places, kernels = self._shared.places(self.keys, self._kernels)
        laters = self._gathered([said[at] for at in kernels])
        own = [tuple([key[at] for at in places]) for key in keys]
        found, laters = put_together(own, laters, list(self._measures.values()))
        if self._plain:
            yield [(0, *key) for key in found], laters
        else:
            yield self._in_sets(found, laters, 0)

    def _in_sets(
        self, found: Iterable[Key], laters: list[Sequence[Any]], first: int
    ) -> tuple[list[Key], list[Sequence[Any]]]:
        """Groups of all keys as parts of one group of each set, and the accumulators of each."""
        sets = list(enumerate(self._has))
        groups = [self._part_of(at, key, first, has) for key in found for at, has in sets]
        return groups, [[one for one in later for _ in sets] for later in laters]

    def _whole(self, at: int, key: Key, first: int, has: Sequence[bool]) -> Key:
        """The group of a set, of which only the keys that it has are known."""
        left = iter(key[first:])
        return (at, *key[:first], *(next(left) if there else None for there in has))

    def _part_of(self, at: int, key: Key, first: int, has: Sequence[bool]) -> Key:
        """The group of a set that a group of all keys is a part of."""
        pairs = zip(key[first:], has, strict=True)
        return (at, *key[:first], *(value if there else None for value, there in pairs))

    def _gathered(self, said: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
        """Of each measure the accumulators of all groups, of what the kernels said of them."""
        return [
            measure.gather_all([said[at] for at in places])
            for measure, places in zip(self._measures.values(), self._said, strict=True)
        ]

    def wake_at(self) -> float | None:
        """When results are told by the clock."""
        return None if self._every is None else self._told_at + self._every

    def on_wake(self, now: float) -> Iterable[Columns]:
        """The time has come."""
        self._told_at = now
        return self._tell(end=False)

    def on_trigger(self, number: int) -> Iterable[Columns]:
        """Some files are complete: tell what has come of them."""
        return self._tell(end=False) if self._every is None else ()

    def on_end(self) -> Iterable[Columns]:
        """Tell what was not told yet; every window is over."""
        return self._tell(end=True)

    def _tell(self, *, end: bool) -> Iterator[Columns]:
        closed = self._closed(end=end) if self._mode != "complete" else []
        told: Iterable[Key] = closed
        if self._mode == "update":
            told = list(self._changed)
        elif self._mode == "complete":
            told = list(self.groups) if self._changed else ()
        if told:
            yield self._columns(list(told))
        self._changed.clear()
        self.groups.forget(closed)

    def _closed(self, *, end: bool) -> list[Key]:
        """The groups of windows that are over, the oldest first; they are forgotten then."""
        if self._windows is None:
            return []
        if self._by_start is None:
            self._by_start = {}
            for group in self.groups:
                self._by_start.setdefault(group[1], []).append(group)
        reached = self._windows.reached(self._newest)
        over = [
            start
            for start in sorted(self._by_start)
            if end or (reached is not None and start + self._windows.length <= reached)
        ]
        return [group for start in over for group in self._by_start.pop(start)]

    def _columns(self, groups: list[Key]) -> Columns:
        """The results of these groups: windows, keys, grouping, measures."""
        pa, lookup = arrow(), self.groups.lookup
        kept = list(map(lookup, groups, repeat(())))
        found: dict[str, Any] = {}
        skip = 1
        if self._windows is not None:
            skip, kind = 2, pa.timestamp("us", tz="UTC")
            starts = list(map(itemgetter(1), groups))
            ends = [start + self._windows.length for start in starts]
            found[START] = array_of(starts, pa.int64()).cast(kind)
            found[END] = array_of(ends, pa.int64()).cast(kind)
        for at, key in enumerate(self.keys, skip):
            values = list(map(itemgetter(at), groups))
            if NAN in values:
                values = [math.nan if value == NAN else value for value in values]
            found[key] = exact_array_of(values, self._types.get(key))
        if self._grouping is not None:
            bits = [
                sum((not has) << at for at, has in enumerate(reversed(one))) for one in self._has
            ]
            found[self._grouping] = array_of([bits[group[0]] for group in groups], pa.int64())
        for at, (name, measure) in enumerate(self._measures.items()):
            results = list(map(measure.result, map(itemgetter(at), kept)))
            found[name] = exact_array_of(results, measure.kind(self._types))
        return Columns(pa.table(found))
