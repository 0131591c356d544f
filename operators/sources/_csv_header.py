"""The header of a CSV file of a stream: what separates the cells, and what the columns are called.

Only the header decides, not a sample of the rows: so a bad row is a bad row, and never a reason to
take the file for something else.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TextIO

from ...runtime.contracts import dataclass
from ._file_schema import text
from ._tame_lines import LONGEST

__all__ = ["CsvHeader", "csv_header", "csv_reader", "goes_on", "opened_csv", "records"]

_DELIMITERS = ",;\t|"
_SAID = "sep="
"""What Excel writes above a header, with what separates the cells."""

_OPENING = {delimiter: delimiter + '"' for delimiter in _DELIMITERS}


@dataclass(frozen=True, slots=True)
class CsvHeader:
    """How a file is to be read: `above` counts the lines before the header, which tell nothing."""

    delimiter: str
    names: tuple[str, ...]
    above: int = 0


def opened_csv(path: str) -> TextIO:
    """The file as text, its lines as they stand."""
    return open(path, encoding="utf-8-sig", errors="backslashreplace", newline="")


def csv_header(path: str) -> CsvHeader | None:
    """The header of a file; None where it has none, since nothing is in it."""
    with opened_csv(path) as file:
        above, said = 0, ""
        for first in iter(lambda: file.readline(LONGEST), ""):
            bare = first.strip("\r\n")
            if bare and (said or bare[:-1] != _SAID or bare[-1] not in _DELIMITERS):
                break
            said = said or bare[-1:]
            above += 1
        else:
            return None
        delimiter = said or max(_DELIMITERS, key=_outside_quotes(first).count)
        reading = csv.reader(chain([first], file), delimiter=delimiter)
        try:
            cells = next(reading)
        except csv.Error:
            cells = first.rstrip("\r\n").split(delimiter)
    return CsvHeader(delimiter, tuple(_unlike(cells)), above)


def _outside_quotes(line: str) -> str:
    return "".join(line.split('"')[::2])


def _unlike(cells: list[str]) -> Iterator[str]:
    """Names of which no two are alike, whatever their case."""
    seen: set[str] = set()
    for index, cell in enumerate(cells):
        name = base = cell or f"column{index}"
        number = 0
        while name.lower() in seen:
            number += 1
            name = f"{base}_{number}"
        seen.add(name.lower())
        yield name


def csv_reader(path: str, header: CsvHeader, types: Mapping[str, str], *, bad: str = "") -> str:
    """What reads the file, in SQL; `bad` says what becomes of rows that do not fit.

    Columns that are not among `types` are text, of which nothing is unfit.
    """
    known = {name.lower(): kind for name, kind in types.items()}
    pairs = ", ".join(
        f"{text(name)}: {text(known.get(name.lower(), 'VARCHAR'))}" for name in header.names
    )
    return (
        f"read_csv([{text(path)}], auto_detect=false, header=true, skip={header.above}, "
        f"delim={text(header.delimiter)}, quote='\"', escape='\"', columns={{{pairs}}}, "
        f"max_line_size={LONGEST}, compression='uncompressed'{bad})"
    )


def records(path: str, header: CsvHeader) -> Iterator[tuple[int, int, str]]:
    """What stands below the header: its number as the reader counts, its line, and its text.

    The reader counts blank lines, and takes a row over several lines for one; of files with one
    column a blank line is a row.
    """
    opening = _OPENING[header.delimiter]
    number, began, whole, inside = 0, 1, "", False
    with opened_csv(path) as file:
        for place, line in enumerate(file, 1):
            if place <= header.above:
                number += 1
                continue
            if not inside:
                began, whole = place, ""
            if len(whole) < LONGEST:
                whole += line
            inside = goes_on(line, opening, inside=inside)
            if inside:
                continue
            number += 1
            bare = whole.rstrip("\r\n")
            if number > header.above + 1 and (bare or len(header.names) == 1):
                yield number, began, bare
    if inside:
        yield number + 1, began, whole


def goes_on(line: str, opening: str, *, inside: bool) -> bool:
    """Whether a text in quotes goes on behind the end of this line."""
    at = 0
    while True:
        if inside:
            at = line.find('"', at)
            if at < 0:
                return True
            if line[at + 1 : at + 2] == '"':
                at += 2
                continue
            inside, at = False, at + 1
        elif at == 0 and line.startswith('"'):
            inside, at = True, 1
        else:
            at = line.find(opening, at)
            if at < 0:
                return False
            inside, at = True, at + 2
