"""From the cells of a CSV row to a typed record: many rows at once, or one with its complaint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import Any

from ...runtime.contracts import MisconfiguredError, did_you_mean

__all__ = ["CellError", "CellType", "Columns", "Record"]

Record = dict[str, Any]
CellType = Callable[[str], Any]

_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_LONGEST_SHOWN = 80


class CellError(Exception):
    """A row that makes no record; the text says why, without file and line."""


def boolean(text: str) -> bool:
    """True for true, yes, 1 and False for false, no, 0, in any case."""
    try:
        return _BOOLEANS[text.strip().lower()]
    except KeyError:
        raise ValueError(text) from None


class Columns:
    """Which cells of a row are wanted, as what, under which names.

    `names` are those of the file, in order; `types` maps the wanted ones to their types, None
    means all as text; `number` is the name of the field that takes the position, if any.
    """

    __slots__ = ("_names", "_number", "_picks", "_width")

    def __init__(
        self,
        names: Sequence[str],
        types: Mapping[str, CellType] | None,
        number: str | None,
        where: str,
    ) -> None:
        wanted = dict.fromkeys(names, str) if types is None else dict(types)
        count = Counter(names)
        missing = [name for name in wanted if name not in count]
        if missing:
            raise MisconfiguredError(f"{where}: {_missing(missing, names)}")
        twice = [name for name in wanted if count[name] > 1]
        if twice:
            raise MisconfiguredError(f"{where}: the header names {twice} more than once")
        if number is not None and number in wanted:
            raise MisconfiguredError(f"{where}: number={number!r} is also the name of a column")
        places = {name: index for index, name in enumerate(names)}
        self._picks = [(name, places[name], cell) for name, cell in wanted.items()]
        self._number = number
        self._names = tuple(wanted) if number is None else (number, *wanted)
        self._width = len(names)

    def records(self, rows: Sequence[list[str]], start: int) -> list[Record] | None:
        """All rows as records, the first one at position `start`; None if any of them is bad."""
        if set(map(len, rows)) != {self._width}:
            rows = [row for row in rows if row]
            if any(len(row) != self._width for row in rows):
                return None
        cells = list(zip(*rows, strict=True))
        if not cells:
            return []
        columns: list[Sequence[Any]] = []
        if self._number is not None:
            columns.append(range(start, start + len(rows)))
        for _, index, cell_type in self._picks:
            column = _convert(cell_type, cells[index])
            if column is None:
                return None
            columns.append(column)
        # The same as dict(zip(names, values)) for each row, without a Python step for each row.
        return list(map(dict, map(zip, repeat(self._names), zip(*columns, strict=True))))

    def record(self, row: Sequence[str], position: int) -> Record:
        """One row as a record. Raises CellError, which says what is wrong with the row."""
        if len(row) != self._width:
            raise CellError(f"{len(row)} fields where {self._width} are expected")
        record: Record = {} if self._number is None else {self._number: position}
        for name, index, cell_type in self._picks:
            text = row[index]
            if not text and cell_type in (int, float, bool):
                record[name] = None
                continue
            try:
                record[name] = boolean(text) if cell_type is bool else cell_type(text)
            except Exception as error:
                raise CellError(_refused(name, text, cell_type, error)) from error
        return record


def _convert(cell_type: CellType, cells: Sequence[str]) -> Sequence[Any] | None:
    if cell_type is str:
        return cells
    convert = boolean if cell_type is bool else cell_type
    try:
        values = list(map(convert, cells))
    except Exception:
        if cell_type not in (int, float, bool):
            return None
        try:
            return [convert(text) if text else None for text in cells]
        except ValueError:
            return None
    # A function that raises StopIteration ends `map` early.
    return values if len(values) == len(cells) else None


def _refused(name: str, text: str, cell_type: CellType, error: Exception) -> str:
    shown = repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…")
    if cell_type in (int, float, bool):
        kind = getattr(cell_type, "__name__", "")
        return f"column {name!r}: {shown} is not {'an' if kind == 'int' else 'a'} {kind}"
    function = getattr(cell_type, "__qualname__", type(cell_type).__qualname__)
    return f"column {name!r}: {function} refused {shown}: {type(error).__name__}: {error}"


def _missing(missing: Sequence[str], names: Sequence[str]) -> str:
    told = [f"{name!r}{did_you_mean(name, names)}" for name in missing]
    noun = "column" if len(missing) == 1 else "columns"
    return f"no {noun} {', '.join(told)}; the header is {list(names)}"
