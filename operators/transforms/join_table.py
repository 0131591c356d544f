"""`join_table`: each record with the rows of a table that have its key."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Number
from typing import Any, Literal

from ...runtime.contracts import (
    Context,
    DataError,
    Duration,
    Operator,
    Row,
    TableMissing,
    in_seconds,
)
from ._joined import checked_how, checked_on
from ._static_rows import Rows, rows_of_file, rows_of_query

__all__ = ["TableJoin", "join_table"]

_log = logging.getLogger("thalweg.join")

Found = dict[tuple[object, ...], list[Row]]


class TableJoin(Operator[Mapping[str, Any], Row]):
    """The operator that `join_table` makes; see there."""

    def __init__(
        self,
        rows: Rows,
        on: Mapping[str, str],
        *,
        how: Literal["inner", "left"],
        columns: Sequence[str] | None,
        prefix: str,
        reload: float | None,
        late: bool,
    ) -> None:
        self._rows = rows
        self._on = dict(on)
        self._inner = how == "inner"
        self._columns = None if columns is None else tuple(columns)
        self._prefix = prefix
        self._reload = reload
        self._late = late

    async def open(self, context: Context) -> None:
        """Load the table."""
        self._context = context
        self._loading: asyncio.Task[None] | None = None
        self._found: Found = {}
        self._kinds: list[set[str]] = [set() for _ in self._on]
        self._none: Row = {f"{self._prefix}{name}": None for name in self._columns or ()}
        self._loop = asyncio.get_running_loop()
        try:
            await self._load()
        except TableMissing:
            if not self._late:
                raise
            self._at = self._loop.time()  # Nothing stands in the tables of the job yet.

    def process(self, record: Mapping[str, Any]) -> Iterable[Row]:
        """The record with each row that has its key."""
        if self._reload is not None and self._loop.time() - self._at >= self._reload:
            self._load_again()
        try:
            key = tuple(record[name] for name in self._on)
        except KeyError as error:
            raise DataError(f"the record has no field {error}, by which it is joined") from None
        try:
            found = self._found.get(key)
        except TypeError:
            raise DataError(
                f"plain values are joined by, and {', '.join(map(repr, self._on))} holds "
                f"{', '.join(map(repr, key)):.80}: take a part of it out by map above"
            ) from None
        if found is None:
            self._check_kinds(key)
            return () if self._inner else (self._with(record, self._none),)
        return [self._with(record, row) for row in found]

    def _check_kinds(self, key: tuple[object, ...]) -> None:
        """Of text and numbers none is like the other: that is a mistake, and no row that is not
        there.
        """
        for part, kinds, (name, column) in zip(key, self._kinds, self._on.items(), strict=True):
            if part is not None and kinds and _kind_of(part) not in kinds:
                raise DataError(
                    f"{name!r} is {_kind_of(part)}, {part!r:.80}, and the column {column!r} of the "
                    f"table holds {' and '.join(sorted(kinds))}: these are never equal. Make both "
                    "the same, as by map above, or by rows= for the table"
                )

    def _with(self, record: Mapping[str, Any], row: Row) -> Row:
        made = {**record, **row}
        if len(made) < len(record) + len(row):
            both = sorted(set(record) & set(row))
            raise DataError(
                f"the record and the table both have {', '.join(map(repr, both))}: say prefix= for "
                "the columns of the table, or name others by columns="
            )
        return made

    def _load_again(self) -> None:
        """Load the table anew, beside the stream, which goes on with the one that is there."""
        if self._loading is None or self._loading.done():
            self._at = self._loop.time()
            self._loading = self._loop.create_task(self._load_patiently())

    async def _load_patiently(self) -> None:
        try:
            await self._load()
        except Exception as error:
            _log.warning(
                "%s goes on with the table it has, which cannot be loaded anew: %s",
                self._context.node,
                error,
            )

    async def _load(self) -> None:
        found = await self._context.in_thread(self._indexed)
        self._found, self._none, self._kinds = found
        self._at = self._loop.time()

    def _indexed(self) -> tuple[Found, Row, list[set[str]]]:
        found: Found = {}
        keys, prefix, columns = tuple(self._on.values()), self._prefix, self._columns
        names, rows = self._rows(self._context.tables)
        known = columns if columns is not None else [name for name in names if name not in keys]
        none: dict[str, object] = {f"{prefix}{name}": None for name in known}
        kinds: list[set[str]] = [set() for _ in keys]
        for row in rows:
            try:
                key = tuple(row[name] for name in keys)
                given = [name for name in row if name not in keys] if columns is None else columns
                made = {f"{prefix}{name}": row[name] for name in given}
            except KeyError as error:
                raise DataError(
                    f"the table has no column {error}; it has {', '.join(row)}"
                ) from None
            none.update(dict.fromkeys(made))
            if not any(part is None for part in key):  # As in SQL: NULL equals nothing.
                if any(isinstance(part, list | dict) for part in key):
                    raise DataError(
                        f"plain values are joined by, and {', '.join(map(repr, keys))} of the "
                        f"table holds {', '.join(map(repr, key)):.80}"
                    )
                found.setdefault(key, []).append(made)
                for part, seen in zip(key, kinds, strict=True):
                    seen.add(_kind_of(part))
        for several in found.values():
            several[:] = [one if len(one) == len(none) else {**none, **one} for one in several]
        return found, none, kinds

    async def close(self) -> None:
        """Load nothing more."""
        if self._loading is not None:
            self._loading.cancel()


def join_table(
    on: str | Sequence[str] | Mapping[str, str],
    *,
    file: str | os.PathLike[str] | None = None,
    query: str | None = None,
    rows: Callable[[], Iterable[Mapping[str, Any]]] | None = None,
    how: Literal["inner", "left"] = "inner",
    columns: Sequence[str] | None = None,
    prefix: str = "",
    reload: Duration | None = None,
) -> TableJoin:
    """Each record with the rows of a table that have its key: a table that stands still.

    >>> from thalweg import Graph
    >>> from thalweg.operators import join_table, sinks, sources
    >>> graph, out = Graph("named"), []
    >>> visits = graph.read("visits", sources.records([{"user": 1}, {"user": 2}]))
    >>> named = visits.via(
    ...     "named", join_table("user", rows=lambda: [{"user": 1, "name": "ann"}], how="left")
    ... )
    >>> named.to("out", sinks.collect(out)) and None
    >>> graph.run() and out
    [{'user': 1, 'name': 'ann'}, {'user': 2, 'name': None}]

    Parameters:

    - `on`: the fields that both have, or a dict of the record's fields and the table's columns.
    - `file`, `query`, `rows`: where the table comes from, one of them. A file in Parquet, CSV or
      NDJSON; a SELECT of the tables of the job, `sinks.table`; or a function that returns rows as
      dicts, which is called in a thread.
    - `how`: "inner" (default) drops a record that no row matches; "left" tells it with None.
    - `columns`: those to add (None: all but the key's; an empty list: none). `prefix`: put before
      their names.
    - `reload`: load it anew after so long, while the stream goes on with the one before (None:
      never; of a query, a second).

    The table is held in memory, as Python has it. Records are dicts. NULL equals nothing, and text
    no number: CSV files and NDJSON say by their values which it is. Raises
    ValueError for options that make no sense. Opening raises what loading does.

    - Emits when: a record comes that a row matches, once for each such row.
    - Waits when: the next channel is full. Loading anew holds up nothing.
    - Ends when: its input does.
    - Order: that of the records, and of the rows in the table.
    - State: none. After a restart, records meet the table as it is then.
    - On error: a record without the fields, with text where the table has numbers or the like, or
      with a field that the table has too, becomes a dead letter. A table that cannot be loaded anew
      is told in the log, and the one before stays.
    """
    checked_how(
        how,
        ("inner", "left"),
        "rows that no record matched are never told, since a record that matches may still come. "
        "Send the stream into a sinks.table, and ask that in SQL",
    )
    given = [one for one in (file, query, rows) if one is not None]
    if len(given) != 1:
        raise ValueError("file=, query= or rows= says where the table comes from: give one")
    fields = checked_on(on)
    load: Rows
    if file is not None:
        load = rows_of_file(file)
    elif query is not None:
        load = rows_of_query(query)
    else:
        assert rows is not None
        load = _given(rows)
    if isinstance(columns, str):
        raise TypeError(f"columns is a list of names, not {columns!r}")
    every = None if reload is None else in_seconds(reload, "reload")
    if every == 0:
        raise ValueError("reload is how often the table is loaded anew, and more than 0")
    if every is None and query is not None:
        every = 1.0
    return TableJoin(
        load,
        fields,
        how=how,
        columns=columns,
        prefix=prefix,
        reload=every,
        late=query is not None,
    )


def _given(rows: Callable[[], Iterable[Mapping[str, Any]]]) -> Rows:
    return lambda tables: ((), rows())


def _kind_of(value: object) -> str:
    """What a value may be equal to: numbers to numbers of any type, others to their own."""
    if isinstance(value, str):
        return "text"
    return "numbers" if isinstance(value, Number) else type(value).__name__
