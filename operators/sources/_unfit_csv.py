"""The rows of a CSV file of which some do not fit: the bad ones are named, with their lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...runtime.contracts import Columns, DataError, Rejected, arrow
from ._csv_header import CsvHeader, records
from ._engine import Link
from ._file_schema import Schema
from ._piece import Piece
from ._whole_numbers import as_read, fits

__all__ = ["fitting_csv"]

_ROWS = 16_384
_SHOWN = 4096
"""Letters of a bad row that are kept."""

_WHY = 300


def fitting_csv(
    link: Link,
    query: str,
    told: str,
    plain: str,
    shown: str,
    header: CsvHeader,
    types: Schema,
    start: int,
) -> Iterator[Piece]:
    """The rows of CSV from `start` on. The reader leaves out the rows that it cannot take.

    Which those are is asked first, by the query `told`; then the rows are read by `query`, beside
    what stands in the file, of which rows are counted from 0 below the header.
    """
    pa = arrow()
    bad = _left_out(link, told)
    standing = _Standing(records(plain, header), bad, shown)
    rounded = [name for name, kind in types.items() if as_read(kind) != kind]
    for batch in link.batches(query, _ROWS):
        good: list[int] = []
        positions: list[int] = []
        odd = _asked(batch, len(types), rounded)
        for index in range(batch.num_rows):
            place, line, text = standing.good()
            why = _unfit(batch, index, types, rounded) if odd[index] else None
            if why is not None:
                standing.reject(place, line, text, why)
            elif place >= start:
                good.append(index)
                positions.append(place)
        rows = pa.Table.from_batches([batch]).take(pa.array(good, type=pa.int64()))
        rows = rows.select(list(range(max(1, len(types)))))
        rejected = standing.take_rejected(start)
        if good or rejected:
            yield Piece(Columns(rows), positions, rejected)
    standing.rest()
    if rejected := standing.take_rejected(start):
        nothing = link.table(f"{query} limit 0")
        yield Piece(Columns(nothing.select(list(range(max(1, len(types)))))), [], rejected)


def _left_out(link: Link, told: str) -> dict[int, str]:
    """Why the reader takes some rows not, by their numbers as it counts."""
    try:
        for _ in link.batches(told, _ROWS):
            pass
        found = link.rows(
            f"select line, left(any_value(error_message), {_WHY}) from reject_errors group by line"
        )
    finally:
        link.rows("drop table if exists reject_errors")
        link.rows("drop table if exists reject_scans")
    return {int(line): str(why).splitlines()[0] for line, why in found}


class _Standing:
    """What stands in the file, row by row, and what of it is rejected."""

    def __init__(
        self, standing: Iterator[tuple[int, int, str]], bad: dict[int, str], shown: str
    ) -> None:
        self._standing = enumerate(standing)
        self._bad = bad
        self._shown = shown
        self._rejected: list[Rejected] = []

    def good(self) -> tuple[int, int, str]:
        """The place, line and text of the next row that the reader has taken."""
        for place, (number, line, text) in self._standing:
            why = self._bad.pop(number, None)
            if why is None:
                return place, line, text
            self.reject(place, line, text, why)
        raise DataError(f"{self._shown}: the lines of the file do not agree with its rows")

    def rest(self) -> None:
        """What stands behind the last row that the reader has taken: it has taken none of it."""
        for place, (number, line, text) in self._standing:
            why = self._bad.pop(number, "the reader has passed over it")
            self.reject(place, line, text, why)

    def reject(self, place: int, line: int, text: str, why: str) -> None:
        """This row makes none."""
        error = DataError(f"{self._shown}, line {line}: {why}")
        self._rejected.append(Rejected(place, text[:_SHOWN], error))

    def take_rejected(self, start: int) -> list[Rejected]:
        """Those from `start` on that were rejected since the last time."""
        rejected, self._rejected = self._rejected, []
        return [one for one in rejected if one.position >= start]


def _asked(batch: Any, count: int, rounded: list[str]) -> list[bool]:
    """Of each row, whether a whole number in it may be none."""
    if not rounded:
        return [False] * int(batch.num_rows)
    odd: list[bool] = batch.column(batch.num_columns - 1).to_pylist()
    nulls = [batch.column(at).is_null().to_pylist() for at in range(count)]
    return [any(row) for row in zip(odd, *nulls, strict=True)]


def _unfit(batch: Any, index: int, types: Schema, rounded: list[str]) -> str | None:
    """Why the whole numbers of a row are none."""
    names = list(types)
    for at, name in enumerate(rounded):
        value = batch.column(names.index(name))[index].as_py()
        found = batch.column(len(types) + at)[index].as_py()
        if not fits(found, value):
            return f"column {name!r} is {types[name]}, not {found!r:.80}"
    return None
