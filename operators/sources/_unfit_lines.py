"""The rows of an NDJSON file of which some do not fit: the bad ones are named, with their lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import IO, Any, cast

import orjson

from ...runtime.contracts import Columns, DataError, Rejected, arrow
from ._engine import Link
from ._file_schema import Schema
from ._piece import Piece
from ._tame_lines import wild
from ._whole_numbers import KEPT, as_read, fits, is_nested

__all__ = ["fitting_lines"]

_ROWS = 16_384
_SHOWN = 4096
"""Bytes of a bad line that are kept."""

_SPACE = b" \t\r\n\v\f"
"""What the reader passes over: a line that holds nothing else is none."""


def fitting_lines(
    link: Link,
    query: str,
    plain: str,
    shown: str,
    types: Schema,
    start: int,
    *,
    tame: bool = False,
) -> Iterator[Piece]:
    """The rows of NDJSON from `start` on. The reader makes nulls of what does not fit.

    So only the lines of rows are looked at that have a null, lists or objects, or a number that
    may have been rounded: whether what was made of them is what stands there. With `tame`, the
    query reads a copy without the lines that are `wild`.
    """
    pa = arrow()
    at = 0
    with open(plain, "rb") as file:
        lines = _numbered(file)
        for batch in link.batches(query, _ROWS):
            here = [line for _, line in zip(range(batch.num_rows), lines, strict=False)]
            if len(here) < batch.num_rows:
                raise DataError(f"{shown}: the lines of the file do not agree with its rows")
            asked = _asked(batch, types)
            good: list[int] = []
            rejected: list[Rejected] = []
            for index in range(max(0, start - at), batch.num_rows):
                number, line = here[index]
                why = wild(line) if tame else None
                if why is None and asked[index]:
                    why = _unfit(line, _row(batch, index, types), types)
                if why is None:
                    good.append(index)
                else:
                    error = DataError(f"{shown}, line {number}: {why}")
                    text = line[:_SHOWN].decode("utf-8", "backslashreplace")
                    rejected.append(Rejected(at + index, text, error))
            if good or rejected:
                rows = pa.Table.from_batches([batch]).take(pa.array(good, type=pa.int64()))
                rows = rows.select(list(range(len(types)))) if types else rows.select([0])
                yield Piece(Columns(rows), [at + index for index in good], rejected)
            at += batch.num_rows


def _numbered(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """The lines that hold anything, with their numbers from 1."""
    for number, line in enumerate(file, 1):
        stripped = line.strip(_SPACE)
        if stripped:
            yield number, stripped


def _asked(batch: Any, types: Schema) -> list[bool]:
    """Of each row, whether its line has to be looked at."""
    if not types or any(map(is_nested, types.values())):
        return [True] * int(batch.num_rows)
    columns = [batch.column(at).is_null().to_pylist() for at in range(len(types))]
    return [any(row) for row in zip(*columns, batch.column(len(types)).to_pylist(), strict=True)]


def _row(batch: Any, index: int, types: Schema) -> dict[str, object]:
    """What was made of a line, in so far as it may differ from what stands there."""
    row: dict[str, object] = {}
    for at, (name, kind) in enumerate(types.items()):
        value = batch.column(at)[index]
        closer = is_nested(kind) or as_read(kind) != kind
        row[name] = value.as_py() if closer or not value.is_valid else KEPT
    return row


def _unfit(line: bytes, row: Mapping[str, object], types: Schema) -> str | None:
    """Why a line makes no row; None where it does, and what is missing is missing there too."""
    torn: str | None = None
    found: dict[str, object] = {}
    # The quick parser knows no NaN, and takes a whole number of many digits for a fraction.
    for parse in (orjson.loads, _exactly):
        try:
            read: object = parse(line.removeprefix(b"\xef\xbb\xbf"))
        except (ValueError, RecursionError) as error:
            torn = torn or wild(line) or f"no whole JSON: {error}"
            continue
        if read is None:
            read = {}  # The reader takes it for a row without values.
        if not isinstance(read, dict):
            return f"an object is needed, not {type(read).__name__}"
        found = cast("dict[str, object]", read)
        if (torn is None or _any_read(row)) and _misfit(found, row) is None:
            return None
    if torn is not None and not _any_read(row):
        return torn  # The reader could not take it either.
    name = _misfit(found, row)
    return f"column {name!r} is {types[name]}, not {found.get(name)!r:.80}" if name else torn


class _Written(Decimal):
    """A number with a point or an exponent, as it is written."""

    __repr__ = Decimal.__str__


def _exactly(line: bytes) -> object:
    return json.loads(line, parse_float=_written)


def _written(number: str) -> float:
    try:
        return cast("float", _Written(number))
    except InvalidOperation:
        return float(number)  # Of an exponent that no decimal has.


def _misfit(found: Mapping[str, object], row: Mapping[str, object]) -> str | None:
    """The first column of which another value stands in the line than in the row."""
    return next((name for name, value in row.items() if not fits(found.get(name), value)), None)


def _any_read(row: Mapping[str, object]) -> bool:
    return any(value is not None for value in row.values())
