"""Where records came from, and when they happened: at no cost per record.

A batch carries one `Origins`: a few parts, each a stretch of positions of one lane. A filter or a
regroup bends the parts, never the records. Where exact tracking is not wanted, a part keeps only
the stretch it came from, which is still true and free. Below an `event_time` a part also holds the
time of each of its records, which is bent as the positions are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .dataclass import dataclass

__all__ = ["Origin", "Origins"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one record came from.

    `position` counts within the lane as its source defines it. When `through` is larger, the
    record came from somewhere between the two: an operator on the way does not say which record
    became which. Both are None where nothing is known; `source` is empty where there is none.

    >>> print(Origin("flowers", "", 19))
    flowers, record 19
    """

    source: str
    lane: str = ""
    position: int | None = None
    through: int | None = None

    def __str__(self) -> str:
        if not self.source:
            return "what no single record of a source made"
        lane = f" lane {self.lane!r}" if self.lane else ""
        if self.position is None:
            return f"{self.source}{lane}, position not known"
        if self.through is not None and self.through != self.position:
            return f"{self.source}{lane}, between records {self.position} and {self.through}"
        return f"{self.source}{lane}, record {self.position}"


class _Part:
    """A stretch of one lane: `count` records at `positions`, or somewhere in `first..last`.

    `times` are the event times of the records, where they have some. No source, an empty name,
    stands behind what an operator made of its memory.
    """

    __slots__ = ("count", "first", "lane", "last", "positions", "source", "times")

    def __init__(
        self,
        source: str,
        lane: str,
        count: int,
        positions: Sequence[int] | None,
        first: int,
        last: int,
        times: Sequence[float] | None = None,
    ) -> None:
        self.source = source
        self.lane = lane
        self.count = count
        self.positions = positions
        self.first = first
        self.last = last
        self.times = times

    def at(self, index: int) -> Origin:
        if not self.source:
            return Origin("")
        if self.positions is None:
            return Origin(self.source, self.lane, self.first, self.last)
        return Origin(self.source, self.lane, self.positions[index])

    def take(self, indices: Sequence[int]) -> _Part:
        positions, times = self.positions, self.times
        if positions is not None:
            positions = [positions[index] for index in indices]
        if times is not None:
            times = [times[index] for index in indices]
        return self._with(len(indices), positions, times)

    def cut(self, start: int, stop: int) -> _Part:
        positions, times = self.positions, self.times
        return self._with(
            stop - start,
            None if positions is None else positions[start:stop],
            None if times is None else times[start:stop],
        )

    def blur(self, count: int) -> _Part:
        return self._with(count, None, None)

    def followed_by(self, part: _Part) -> _Part | None:
        """Both as one stretch, where this is cheap to say; None where it is not."""
        before, after = self.positions, part.positions
        if type(before) is not range or type(after) is not range:
            return None
        if before.step != 1 or after.step != 1 or before.stop != after.start:
            return None
        if self.lane != part.lane or self.source != part.source:
            return None
        if self.times is not None or part.times is not None:
            return None
        return self._with(self.count + part.count, range(before.start, after.stop), None)

    def timed(self, times: Sequence[float]) -> _Part:
        return self._with(self.count, self.positions, times)

    def _with(
        self, count: int, positions: Sequence[int] | None, times: Sequence[float] | None
    ) -> _Part:
        first, last = (positions[0], positions[-1]) if positions else (self.first, self.last)
        return _Part(self.source, self.lane, count, positions, first, last, times)


class Origins:
    """Where the records of one batch came from."""

    __slots__ = ("parts",)

    def __init__(self, parts: tuple[_Part, ...]) -> None:
        self.parts = parts

    @classmethod
    def of(cls, source: str, lane: str, positions: Sequence[int]) -> Origins:
        """The origins of a batch that a source just read; `positions` ascends and is not empty."""
        return cls((_Part(source, lane, len(positions), positions, positions[0], positions[-1]),))

    @classmethod
    def nowhere(cls, count: int) -> Origins:
        """The origins of `count` records that an operator made of its memory: no source's."""
        return cls((_Part("", "", count, None, 0, 0),))

    def __len__(self) -> int:
        return sum(part.count for part in self.parts)

    def at(self, index: int) -> Origin:
        """The origin of the record at `index` of the batch."""
        for part in self.parts:
            if index < part.count:
                return part.at(index)
            index -= part.count
        raise IndexError("no record of the batch stands there")

    def lanes(self) -> list[tuple[str, str, int]]:
        """The stretches that the batch is made of: source, lane, and how many records of it."""
        return [(part.source, part.lane, part.count) for part in self.parts]

    def timed(self, times: Sequence[float]) -> Origins:
        """The same origins, with the event time of each record."""
        if len(self.parts) == 1:
            return Origins((self.parts[0].timed(times),))
        parts: list[_Part] = []
        start = 0
        for part in self.parts:
            parts.append(part.timed(times[start : start + part.count]))
            start += part.count
        return Origins(tuple(parts))

    def times(self) -> Sequence[float] | None:
        """The event time of each record; None where they have none, or where it was lost."""
        if len(self.parts) == 1:
            return self.parts[0].times
        times: list[float] = []
        for part in self.parts:
            if part.times is None:
                return None
            times += part.times
        return times

    def span(self) -> str:
        """The whole stretch in words, for messages about a batch."""
        return "; ".join(
            str(Origin(part.source, part.lane, part.first, part.last)) for part in self.parts
        )

    def take(self, indices: Sequence[int]) -> Origins:
        """The origins of a batch made of the records at `indices` (ascending, repeats allowed)."""
        if type(indices) is range and indices.step == 1:
            return self.cut(indices.start, indices.stop)
        if len(self.parts) == 1:
            return Origins((self.parts[0].take(indices),))
        parts: list[_Part] = []
        chosen = list(indices)
        start, cursor = 0, 0
        for part in self.parts:
            stop, begin = start + part.count, cursor
            while cursor < len(chosen) and chosen[cursor] < stop:
                cursor += 1
            if cursor > begin:
                parts.append(part.take([index - start for index in chosen[begin:cursor]]))
            start = stop
        return Origins(tuple(parts))

    def cut(self, start: int, stop: int) -> Origins:
        """The origins of the records `start` to `stop` of the batch."""
        parts: list[_Part] = []
        for part in self.parts:
            if start < part.count and stop > 0:
                parts.append(part.cut(max(start, 0), min(stop, part.count)))
            start -= part.count
            stop -= part.count
        return Origins(tuple(parts))

    def blur(self, count: int) -> Origins:
        """The origins of `count` records made from this batch by an operator that hides how.

        Each came from somewhere in the whole stretch; over several lanes, the first names it.
        """
        first = self.parts[0]
        if len(self.parts) == 1:
            return Origins((first.blur(count),))
        same = [p for p in self.parts if (p.source, p.lane) == (first.source, first.lane)]
        low, high = min(p.first for p in same), max(p.last for p in same)
        return Origins((_Part(first.source, first.lane, count, None, low, high),))

    @staticmethod
    def join(several: Iterable[Origins]) -> Origins:
        """The origins of the batches `several` laid end to end."""
        parts: list[_Part] = []
        for origins in several:
            for part in origins.parts:
                whole = parts[-1].followed_by(part) if parts else None
                if whole is None:
                    parts.append(part)
                else:
                    parts[-1] = whole
        return Origins(tuple(parts))
