"""CSV with a header."""

from __future__ import annotations

import csv
from io import StringIO

from .....runtime.contracts import DataError
from ..probe_result import ProbeResult
from ._output import output_of

__all__ = ["csv_rows"]


def csv_rows(result: ProbeResult, *, delimiter: str = ",") -> list[dict[str, str]]:
    """The rows of a table whose first line names its columns.

    >>> from thalweg.operators.fleet import result_of
    >>> csv_rows(result_of("user,jobs\\nana,3\\n"))
    [{'user': 'ana', 'jobs': '3'}]

    Another `delimiter` is set with `functools.partial(csv_rows, delimiter=";")`. Raises DataError
    for a row that is longer or shorter than the header, a column that is named twice, and a quote
    that is not closed.
    """
    reader = csv.reader(
        StringIO(output_of(result, "csv_rows"), newline=""), delimiter=delimiter, strict=True
    )
    rows: list[dict[str, str]] = []
    header: list[str] = []
    try:
        for cells in reader:
            if not cells:
                continue
            if not header:
                header = cells
                if len(set(header)) < len(header):
                    raise DataError(f"csv_rows: line 1: a column is named twice: {header}")
            elif len(cells) != len(header):
                raise DataError(
                    f"csv_rows: line {reader.line_num}: {len(cells)} cells where the header names "
                    f"{len(header)}: {str(cells)[:120]}"
                )
            else:
                rows.append(dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        raise DataError(f"csv_rows: line {reader.line_num}: {error}") from None
    return rows
