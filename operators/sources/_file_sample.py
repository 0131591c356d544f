"""The columns of a stream of files, seen in a sample of the first one that has rows.

What is torn or no row is left out of the sample: it is rejected when it is read, and says nothing
about the columns.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import IO, TYPE_CHECKING, cast

import orjson

from ...runtime.contracts import DataError, MisconfiguredError
from ._engine import Broken, Link
from ._file_schema import Format, Schema, described, quoted, reader, text
from ._inflated import inflated
from ._tame_lines import LONGEST, wild
from ._whole_numbers import in_128_bits

if TYPE_CHECKING:
    from ._csv_header import CsvHeader

__all__ = ["schema_of_file"]

_ROWS = 5_000
_BYTES = 32 << 20

_FIRST = 20
"""Rows that are looked at for fractions: most columns of fractions have one among them."""

_JSON = re.compile(r"(?<![\w\"'])JSON(?=[\[\],)]|\Z)")
_OF_TIME = ("DATE", "TIME")


def schema_of_file(link: Link, path: str, kind: Format, max_ratio: float) -> Schema | None:
    """The columns of a file by a sample of it; None where it has no rows, or none can be seen.

    Raises MisconfiguredError for names that differ only in case.
    """
    try:
        with inflated(path, max_ratio) as plain:
            if kind == "parquet":
                found: Schema | None = described(link, reader(plain, kind, None))
            else:
                found = _of_csv(link, plain) if kind == "csv" else _of_lines(link, plain, path)
    except (OSError, DataError, Broken):
        return None  # When it is read it is rejected, and says why.
    # A name with a NUL in it cannot be asked for.
    return found and {name: of for name, of in found.items() if "\0" not in name}


def _of_lines(link: Link, plain: str, shown: str) -> Schema | None:
    names: dict[str, str] = {}
    fractions: set[str] = set()
    with _sample() as sample:
        for at, (whole, row) in enumerate(_objects(plain)):
            line = whole
            if at < _FIRST:
                fractions.update(n for n, x in row.items() if isinstance(x, float) and x % 1)
            for name in row:
                alike = names.setdefault(name.lower(), name)
                if alike != name:
                    raise MisconfiguredError(
                        f"{shown} has {alike!r} and {name!r}, and names of columns that differ "
                        "only in case are one: give a schema with the one that is meant"
                    )
            if row.pop("", None) is not None:
                line = orjson.dumps(row)  # A column has a name.
            sample.write(line + b"\n")
        sample.flush()
        if not names:
            return None
        found = described(link, reader(sample.name, "ndjson", None, sample=_ROWS))
        doubtful = [n for n, kind in found.items() if kind == "DOUBLE" and n not in fractions]
        found |= dict.fromkeys(_huge(link, sample.name, doubtful), "HUGEINT")
    # What is of several types is text.
    return {name: _JSON.sub("VARCHAR", kind) for name, kind in found.items()}


def _huge(link: Link, sample: str, doubtful: list[str]) -> list[str]:
    """Those of the columns of which every value is written as a whole number of up to 128 bits.

    The reader makes fractions of numbers beyond 64 bits, and their last digits are lost.
    """
    if not doubtful:
        return []
    asked = ", ".join(f"coalesce({in_128_bits(quoted(name))}, false)" for name in doubtful)
    read = reader(sample, "ndjson", dict.fromkeys(doubtful, "VARCHAR"))
    ((*whole,),) = link.rows(f"select {asked} from {read}")
    return [name for name, is_whole in zip(doubtful, whole, strict=True) if is_whole]


def _objects(plain: str) -> Iterator[tuple[bytes, dict[str, object]]]:
    """The first lines of a file that are objects."""
    with open(plain, "rb") as file:
        size = 0
        for line in islice(iter(lambda: file.readline(LONGEST), b""), _ROWS):
            size += len(line)
            if size > _BYTES:
                return
            bare = line.removeprefix(b"\xef\xbb\xbf").strip()
            try:
                row: object = None if wild(bare) else orjson.loads(bare)
            except orjson.JSONDecodeError:
                continue
            if isinstance(row, dict):
                yield bare, cast("dict[str, object]", row)


def _of_csv(link: Link, plain: str) -> Schema | None:
    from ._csv_header import CsvHeader, csv_header, csv_reader

    header = csv_header(plain)
    if header is None:
        return None
    with _sample() as sample:
        if sum(bool(sample.write(row)) for row in _rows(plain, header)) <= 1:
            return None  # A header tells no types.
        sample.flush()
        names = ", ".join(map(text, header.names))
        asked = "auto_detect=true, header=true, delim=',', quote='\"', escape='\"', skip=0"
        found = described(
            link, f"read_csv([{text(sample.name)}], names=[{names}], sample_size={_ROWS}, {asked})"
        )
        try:
            plainly = CsvHeader(",", header.names)
            link.table(f"select * from {csv_reader(sample.name, plainly, found)}")
        except Broken:
            # Times in a form of their own, which is seen in this sample, and not in each file.
            return {
                n: "VARCHAR" if kind.startswith(_OF_TIME) else kind for n, kind in found.items()
            }
    return found


def _rows(plain: str, header: CsvHeader) -> Iterator[bytes]:
    """The first rows that have as many cells as the header, and the header, as plain as can be."""
    import csv

    from ._csv_header import opened_csv

    with opened_csv(plain) as file:
        reading = csv.reader(islice(file, header.above, None), delimiter=header.delimiter)
        size = 0
        for _ in range(_ROWS):
            try:
                cells = next(reading, None)
            except csv.Error:
                continue
            if cells is None:
                return
            if len(cells) != len(header.names):
                continue
            row = ",".join('"' + cell.replace('"', '""') + '"' if cell else "" for cell in cells)
            size += len(row)
            if size > _BYTES:
                return
            yield row.encode("utf-8", "surrogateescape") + b"\n"


@contextmanager
def _sample() -> Generator[IO[bytes]]:
    with tempfile.NamedTemporaryFile(prefix="thalweg-", suffix=".sample") as file:
        yield cast("IO[bytes]", file)
