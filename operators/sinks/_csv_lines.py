"""Records as lines of CSV: a batch at once where nothing is odd in it, else one by one."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any, cast

from ...runtime.contracts import DataError, DeadLetter
from ._cells import Cells
from ._csv_form import CsvForm
from ._rows import fields_of, is_name

__all__ = ["CsvLines", "begun"]

_PLAIN_NAME = re.compile(r"\w[\w -]*\Z")


class CsvLines:
    """Makes lines of records that have just these columns, in any order."""

    def __init__(self, form: CsvForm) -> None:
        self.form = form
        self.cells = Cells(form.quoted, form.null, form.empty)
        self._known = frozenset(form.columns)

    def header(self) -> bytes:
        """The line with the names of the columns."""
        names = [
            name if self._is_plain(name) else '"' + name.replace('"', '""') + '"'
            for name in self.form.columns
        ]
        return (self.form.delimiter.join(names) + "\n").encode()

    def _is_plain(self, name: str) -> bool:
        # Less than may stand without quotes: some readers guess the delimiter from the header.
        return _PLAIN_NAME.match(name) is not None and self.form.delimiter not in name

    def of(self, records: Sequence[object]) -> tuple[bytearray, dict[int, Exception]]:
        """The lines of these records, and the errors of those that make none, by index."""
        try:
            columns = self._columns(records)
            if columns is not None:
                cells = map(self.cells.column, columns)
                rows = map(self.form.delimiter.join, zip(*cells, strict=True))
                return bytearray("\n".join([*rows, ""]).encode()), {}
        except Exception:
            pass  # Which one it is, and why, is found below.
        data, rejected = bytearray(), dict[int, Exception]()
        for index, record in enumerate(records):
            try:
                data += self._line(record)
            except Exception as error:
                rejected[index] = error
        return data, rejected

    def _columns(self, records: Sequence[object]) -> list[list[object]] | None:
        """The values column by column, if all records are alike."""
        kinds = set(map(type, records))
        if len(kinds) != 1:
            return None
        kind, names = kinds.pop(), self.form.columns
        get: Any
        if kind is dict:
            # With as many fields as there are columns, each of which is there, none is left over.
            if set(map(len, cast("Sequence[dict[str, object]]", records))) != {len(names)}:
                return None
            get = itemgetter
        elif dataclasses.is_dataclass(kind) and not issubclass(kind, DeadLetter):
            if self._known != frozenset(each.name for each in dataclasses.fields(kind)):
                return None
            get = attrgetter
        else:
            return None
        return [list(map(get(name), records)) for name in names]

    def _line(self, record: object) -> bytes:
        fields = fields_of(record)
        self.check(fields, "record")
        cells: list[bytes] = []
        for name in self.form.columns:
            try:
                cells.append(self.cells.of(fields[name]).encode())
            except Exception as error:
                raise DataError(f"column {name!r}: {error}") from error
        return self.form.delimiter.encode().join(cells) + b"\n"

    def check(self, names: Mapping[str, object] | Sequence[str], what: str) -> None:
        """Raise DataError unless these are the columns."""
        for name in names:
            if name not in self._known:
                raise DataError(
                    f"there is no column for the field {name!r}: the header is "
                    f"{list(self.form.columns)}, and a {what} has just these fields"
                )
        for name in self.form.columns:
            if name not in names:
                raise DataError(f"the {what} has no field {name!r}, which the header has")


def begun(
    records: Sequence[object], delimiter: str, null: str
) -> tuple[CsvLines | None, dict[int, Exception]]:
    """Lines with the columns of the first record that can be written; the errors of those before.

    So the columns do not depend on how records come in batches.
    """
    rejected: dict[int, Exception] = {}
    for index, record in enumerate(records):
        try:
            names = tuple(fields_of(record))
            if not names:
                raise DataError("the record has no fields")
            if not all(map(is_name, names)):
                raise DataError(f"the fields of the record are not names of columns: {names!r:.80}")
            lines = CsvLines(CsvForm(names, delimiter, null))
            lines.header()
        except Exception as error:
            rejected[index] = error
            continue
        _, bad = lines.of([record])
        if not bad:
            return lines, rejected
        rejected[index] = bad[0]
    return None, rejected
