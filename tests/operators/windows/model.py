"""Windows as one would write them down: slow, and without a thought of streams."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from thalweg.operators.windows import Window
from thalweg.runtime.contracts import Watermark
from thalweg.testing import At

Pair = tuple[str, int]
Bounds = tuple[float, float]


def tumbling(length: int, offset: int = 0) -> Callable[[float], list[Bounds]]:
    return hopping(length, length, offset)


def hopping(length: int, every: int, offset: int = 0) -> Callable[[float], list[Bounds]]:
    def of(at: float) -> list[Bounds]:
        first = int(at - offset - length) // every * every + offset
        starts = range(first, int(at) + every + 1, every)
        return [(start, start + length) for start in starts if start <= at < start + length]

    return of


@dataclass
class One:
    """One open window."""

    key: str
    start: float
    end: float
    number: int
    records: list[int]


@dataclass
class Model:
    """What must come out of a windows operator that collects, fed with records and watermarks."""

    windows_of: Callable[[float], list[Bounds]] | None = None
    gap: int | None = None
    update: bool = False
    out: list[Window[str, list[int]]] = field(default_factory=list[Any])
    late: list[Pair] = field(default_factory=list[Pair])
    open: list[One] = field(default_factory=list[One])
    reached: float = -math.inf
    count: int = 0

    def feed(self, values: Sequence[object], *, end: bool = True) -> Model:
        for value in values:
            if isinstance(value, Watermark):
                self.reached = max(self.reached, value.at)
                self.close(self.reached)
            else:
                assert isinstance(value, At)
                timed = cast("At[Pair]", value)
                self.add(*timed.record, timed.at)
        if end:
            self.close(math.inf)
        return self

    def add(self, key: str, record: int, at: float) -> None:
        changed = self._session(key, record, at) if self.gap else self._aligned(key, record, at)
        if not changed:
            self.late.append((key, record))
        if self.update:
            self.out += [_told(one) for one in changed]

    def _aligned(self, key: str, record: int, at: float) -> list[One]:
        assert self.windows_of is not None
        changed: list[One] = []
        for start, end in self.windows_of(at):
            if end <= self.reached:
                continue
            same = [one for one in self.open if (one.key, one.start) == (key, start)]
            if not same:
                same = [One(key, start, end, self.count, [])]
                self.open += same
                self.count += 1
            same[0].records.append(record)
            changed += same
        return changed

    def _session(self, key: str, record: int, at: float) -> list[One]:
        assert self.gap is not None
        end = at + self.gap
        near = [one for one in self.open if one.key == key and one.start < end and at < one.end]
        near.sort(key=lambda one: one.start)
        if not near:
            if end <= self.reached:
                return []
            near = [One(key, at, end, self.count, [])]
            self.open += near
            self.count += 1
        first = near[0]
        first.records.append(record)
        first.start, first.end = min(first.start, at), max(first.end, end)
        for other in near[1:]:
            first.records += other.records
            first.end = max(first.end, other.end)
            first.number = min(first.number, other.number)
            self.open.remove(other)
        return [first]

    def close(self, reached: float) -> None:
        over = [one for one in self.open if one.end <= reached]
        self.open = [one for one in self.open if one.end > reached]
        over.sort(key=lambda one: (one.end, one.start, one.number))
        if not self.update:
            self.out += [_told(one) for one in over]


def _told(one: One) -> Window[str, list[int]]:
    return Window(one.key, one.start, one.end, list(one.records))
