"""Rows in columns, in the order of their times, with an index by key and time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...runtime.contracts import arrow
from ._key_words import arrays, key_words

__all__ = ["SortedRows", "microseconds"]


def microseconds(times: Sequence[float]) -> Any:
    """Times in seconds as whole microseconds, in which differences are exact."""
    np = arrays()
    return np.rint(np.asarray(times, np.float64) * 1e6).astype(np.int64)


class SortedRows:
    """Some rows of one side of a join, those that are over in front, up to `start`.

    The index has a word for each row that has a key: the upper bits are of the word of the key, the
    lower ones its place in the order of times. So the rows of one key within a stretch of time
    stand side by side in it, and two searches find them.
    """

    __slots__ = ("_index", "_mask", "_words", "keys", "matched", "start", "table", "times")

    def __init__(
        self, table: Any, times: Any, keys: Sequence[str], matched: Any = None, start: int = 0
    ) -> None:
        np = arrays()
        self.keys = tuple(keys)
        if len(times) > 1 and (times[1:] < times[:-1]).any():
            order = np.argsort(times, kind="stable")
            table, times = table.take(arrow().array(order)), times[order]
            matched = matched if matched is None else matched[order]
        self.table = table.combine_chunks()
        self.times = times
        self.matched = np.zeros(len(times), np.bool_) if matched is None else matched
        self.start = start
        self._index: Any = None

    def __len__(self) -> int:
        return len(self.times)

    def _look_up(self) -> Any:
        """The index, which is made when it is first needed."""
        if self._index is None:
            np, pa, count = arrays(), arrow(), len(self)
            columns = [_whole(self.table.column(key)) for key in self.keys]
            self._words = key_words(columns)
            self._mask = np.uint64((1 << count.bit_length()) - 1)
            index = (self._words & ~self._mask) | np.arange(count, dtype=np.uint64)
            if any(column.null_count for column in columns):
                known = np.ones(count, np.bool_)
                for column in columns:
                    known &= np.asarray(column.is_valid().cast(pa.uint8())).view(np.bool_)
                index = index[known]
            self._index = np.sort(index)
        return self._index

    def pairs(self, other: SortedRows, early: int, late: int) -> tuple[Any, Any]:
        """The places of rows here, and of the rows of `other` of the same key that each meets.

        These are up to `early` microseconds older, and up to `late` younger.
        """
        np = arrays()
        none = np.zeros(0, np.int64)
        own, index = self._look_up(), other._look_up()
        if not len(own) or not len(index):
            return none, none
        if self.times[0] - early > other.times[-1] or self.times[-1] + late < other.times[0]:
            return none, none
        # In the order of the own index, so that each search begins near the one before.
        here = (own & self._mask).astype(np.int64)
        words = self._words[here] & ~other._mask
        low = np.searchsorted(other.times, self.times - early, "left").astype(np.uint64)
        first = np.searchsorted(index, words | low[here])
        found = np.flatnonzero((index.take(first, mode="clip") & ~other._mask) == words)
        here, words, first = here[found], words[found], first[found]
        high = np.searchsorted(other.times, self.times[here] + late, "right").astype(np.uint64)
        counts = np.searchsorted(index, words | high) - first
        counts = np.maximum(counts, 0)
        mine = np.repeat(here, counts)
        before = np.cumsum(counts) - counts
        theirs = np.repeat(first - before, counts) + np.arange(len(mine))
        theirs = (index[theirs] & other._mask).astype(np.int64)
        return self._of_like_keys(mine, other, theirs)

    def _of_like_keys(self, mine: Any, other: SortedRows, theirs: Any) -> tuple[Any, Any]:
        """Those of the pairs whose keys are equal, and not only their words."""
        import pyarrow.compute as functions

        np, pa = arrays(), arrow()
        compute: Any = functions
        for own, its in zip(self.keys, other.keys, strict=True):
            if not len(mine):
                break
            one = _whole(self.table.column(own)).take(pa.array(mine))
            two = _whole(other.table.column(its)).take(pa.array(theirs))
            alike = compute.equal(one, two)
            if not compute.all(alike).as_py():
                kept = np.flatnonzero(np.asarray(alike.fill_null(False).cast(pa.uint8())))
                mine, theirs = mine[kept], theirs[kept]
        return mine, theirs

    def over(self, before: float) -> Any:
        """What is older than this is over now: the places of those rows that nothing matched."""
        np, start = arrays(), self.start
        self.start = len(self)
        if before <= self.times[-1]:
            self.start = max(start, int(np.searchsorted(self.times, before, "left")))
        return start + np.flatnonzero(~self.matched[start : self.start])

    def taken(self, places: Any, *, keys: bool = True) -> Any:
        """The rows at these places, with or without the keys."""
        table = self.table if keys else self.table.drop_columns(list(self.keys))
        return table.take(arrow().array(places))

    @staticmethod
    def together(one: SortedRows, other: SortedRows) -> SortedRows:
        """The rows of both that are not over."""
        np, pa = arrays(), arrow()
        both = (one, other)
        table = pa.concat_tables(
            [some.table.slice(some.start) for some in both], promote_options="permissive"
        )
        times = np.concatenate([some.times[some.start :] for some in both])
        matched = np.concatenate([some.matched[some.start :] for some in both])
        return SortedRows(table, times, one.keys, matched)


def _whole(column: Any) -> Any:
    """A column without chunks."""
    if column.num_chunks == 1:
        return column.chunk(0)
    whole = column.combine_chunks()
    return whole if not hasattr(whole, "chunks") else arrow().concat_arrays(whole.chunks)
