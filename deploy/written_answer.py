"""The answer to a query, as text for a person or in a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import orjson

from ..runtime.columns import arrow
from ..runtime.errors import ThalwegError
from ..runtime.tables.answer import Answer
from .exit_status import UsageError

__all__ = ["text_of", "write_answer", "writer_of"]

Writer = Callable[[Answer, str], None]

_WIDEST = 60


def writer_of(path: str) -> Writer:
    """What writes a file of this name. Raises UsageError for a name that tells no format."""
    suffix = os.path.splitext(path)[1].lower()
    writers: dict[str, Writer] = {".parquet": _parquet, ".csv": _csv, ".ndjson": _ndjson}
    if suffix not in writers:
        raise UsageError(f"--out is a file that ends in {', '.join(writers)}, not {path!r}")
    return writers[suffix]


def write_answer(answer: Answer, path: str, write: Writer) -> None:
    """Write a file, which is there in full or not at all. Raises ThalwegError."""
    hidden = f"{path}.part"
    try:
        write(answer, hidden)
        os.replace(hidden, path)
    except OSError as error:
        if os.path.exists(hidden):
            os.unlink(hidden)
        raise ThalwegError(f"cannot write {path!r}: {error.strerror or error}") from None


def _parquet(answer: Answer, path: str) -> None:
    import pyarrow.parquet as writing

    parquet: Any = writing
    parquet.write_table(answer.table, path, compression="zstd")


def _csv(answer: Answer, path: str) -> None:
    import csv

    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(answer.names)
        for row in _rows(answer):
            rows.writerow("" if value is None else _flat(value) for value in row)


def _ndjson(answer: Answer, path: str) -> None:
    types = arrow().types
    # An answer over HTTP has text where a number may be too large for who reads it; a file has
    # numbers, as `sinks.ndjson` writes them.
    numbers = [
        at
        for at, field in enumerate(answer.table.schema)
        if types.is_decimal(field.type) or types.is_integer(field.type)
    ]
    with open(path, "wb") as file:
        for row in _rows(answer):
            for at in numbers:
                number = row[at]
                row[at] = orjson.Fragment(number) if isinstance(number, str) else number
            file.write(orjson.dumps(dict(zip(answer.names, row, strict=True))) + b"\n")


def text_of(answer: Answer) -> str:
    """The rows below the names of their columns; numbers stand on the right."""
    rows = _rows(answer)
    cells = [[_shown(value) for value in row] for row in rows]
    names = list(map(_shown, answer.names))
    widths = [max(len(name), *(len(row[at]) for row in cells), 0) for at, name in enumerate(names)]
    right = [
        all(isinstance(row[at], int | float | None) for row in rows) for at in range(len(names))
    ]
    lines = [_line(names, widths, right), _line(["-" * width for width in widths], widths, right)]
    lines += [_line(row, widths, right) for row in cells]
    count = f"{len(cells):,} row{'' if len(cells) == 1 else 's'}, version {answer.version}"
    return "\n".join([*lines, count])


def _rows(answer: Answer) -> list[list[object]]:
    found: Any = answer.as_dict()["rows"]
    return list(found)


def _line(cells: list[str], widths: list[int], right: list[bool]) -> str:
    padded = [
        cell.rjust(width) if on_right else cell.ljust(width)
        for cell, width, on_right in zip(cells, widths, right, strict=True)
    ]
    return "  ".join(padded).rstrip()


def _flat(value: object) -> object:
    return orjson.dumps(value).decode() if isinstance(value, list | dict) else value


def _shown(value: object) -> str:
    """A value on one line, without what could command a terminal."""
    text = "NULL" if value is None else str(_flat(value))
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return plain if len(plain) <= _WIDEST else plain[: _WIDEST - 1] + "…"
