"""Rows that an operator on columns refuses, told from those that it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from .columns import Columns
from .dataclass import dataclass
from .errors import DataError

__all__ = ["Halving"]


@dataclass(frozen=True, slots=True)
class _Piece:
    columns: Columns
    times: Sequence[float] | None
    places: Sequence[int]
    """Where its rows stand among all."""

    def cut(self, start: int, stop: int) -> _Piece:
        times = None if self.times is None else self.times[start:stop]
        return _Piece(self.columns[start:stop], times, self.places[start:stop])

    def without(self, bad: Mapping[int, Exception]) -> _Piece:
        left = [at for at in range(len(self.columns)) if at not in bad]
        times = None if self.times is None else [self.times[at] for at in left]
        return _Piece(self.columns.take(left), times, [self.places[at] for at in left])


class Halving:
    """Gives rows in pieces, at first in one; who cannot work on a piece refuses it.

    It is then halved until the bad rows stand alone. Where the error names the bad ones
    (`DataError.rows`), the others are given once more, all together.

    >>> import pyarrow
    >>> pieces = Halving(Columns(pyarrow.table({"n": [1, 0, 2]})))
    >>> for columns, _ in pieces:
    ...     try:
    ...         print([1 / row["n"] for row in columns.rows()])
    ...     except ZeroDivisionError as error:
    ...         pieces.refuse(error)
    [1.0]
    [0.5]
    >>> pieces.bad
    [(1, ZeroDivisionError('division by zero'))]
    """

    def __init__(self, columns: Columns, times: Sequence[float] | None = None) -> None:
        self._left = [_Piece(columns, times, range(len(columns)))]
        self._given: _Piece | None = None
        self.bad: list[tuple[int, Exception]] = []
        """Where bad rows stand, and why they are bad; not in their order."""

    def __iter__(self) -> Iterator[tuple[Columns, Sequence[float] | None]]:
        """The pieces, and the times of their rows; in the order of the rows."""
        while self._left:
            self._given = self._left.pop()
            yield self._given.columns, self._given.times

    def refuse(self, error: Exception) -> None:
        """What was given last cannot be worked on as it is."""
        piece = self._given
        assert piece is not None
        count = len(piece.columns)
        named = error.rows if isinstance(error, DataError) else None
        if named and all(0 <= at < count for at in named):
            self.bad += [(piece.places[at], why) for at, why in named.items()]
            if len(named) < count:
                self._left.append(piece.without(named))
        elif count == 1:
            self.bad.append((piece.places[0], error))
        else:
            middle = count // 2
            self._left += [piece.cut(middle, count), piece.cut(0, middle)]
