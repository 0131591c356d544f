"""`sql_query`: the rows of a SQL query, in the order of a key."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import cast

from ...runtime.contracts import Retry
from ._keyed_rows import KeyedRows
from ._pages import Pages, Selection

__all__ = ["SqlQuery", "sql_query"]

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
_POSTGRES = ("postgresql", "postgres")


class SqlQuery(KeyedRows):
    """The source that `sql_query` makes; see there."""

    def __init__(
        self,
        database: str | os.PathLike[str],
        query: str,
        *,
        key: str,
        values: Sequence[object] = (),
        page_size: int = 1000,
        poll_interval: float | None = None,
        lag: float = 0.0,
        timeout: float = 60.0,
        retry: Retry | None = None,
        rate: float | None = None,
    ) -> None:
        text = query.strip().rstrip(";")
        if not text:
            raise ValueError("query is empty")
        if not key or not isinstance(cast(object, key), str):
            raise ValueError(f"key is the name of one column of the query, not {key!r}")
        if isinstance(values, str):
            raise TypeError("values is a list of values, one for each placeholder of the query")
        super().__init__(
            _pages(os.fspath(database), timeout),
            page_size=page_size,
            poll_interval=poll_interval,
            lag=lag,
            retry=retry or Retry(),
            rate=rate,
        )
        self._selection = Selection(text, key, tuple(values))

    async def selection(self, pages: Pages) -> Selection:
        """The query as it was given."""
        return self._selection


def sql_query(
    database: str | os.PathLike[str],
    query: str,
    *,
    key: str,
    values: Sequence[object] = (),
    page_size: int = 1000,
    poll_interval: float | None = None,
    lag: float = 0.0,
    timeout: float = 60.0,
    retry: Retry | None = None,
    rate: float | None = None,
) -> SqlQuery:
    """The rows of a SQL query as dicts, in the order of a key; once, or with what is added later.

    >>> source = sql_query("shop.db", "SELECT * FROM orders WHERE total > ?", key="id", values=[9])
    >>> source = sql_query(
    ...     "postgresql://reader@db.example/shop",
    ...     "SELECT o.*, c.name FROM orders o JOIN customers c ON c.id = o.customer",
    ...     key="id",
    ...     poll_interval=5,
    ...     lag=10,
    ... )

    Parameters:

    - `database`: an SQLite file, as a path or `sqlite:///path`, or `postgresql://…` (the extra
      `postgres`). It is only read.
    - `query`: a SELECT. An ORDER BY in it has no effect.
    - `key`: one of its columns, without repeats and never NULL, in whose order rows are read:
      int, float, str, bytes, Decimal, UUID, date or datetime. Page after page is asked for behind
      the last key, so an index should be on it.
    - `values`: those of the query's placeholders: `?` in SQLite, `$1` in PostgreSQL.
    - `page_size`: rows asked for at once, and held in memory (1,000).
    - `poll_interval`: how many seconds to wait where there are no more rows before asking again;
      None, the default, ends there.
    - `lag`: rows are read only when this many seconds, and up to twice as many, have passed since
      a row with their key, or a larger one, was seen (0). See below.
    - `timeout`: seconds that one page may take (60).
    - `retry`: how patiently a database that cannot be reached is asked again. With the default it
      is waited for, with `when_down="fail"` the job fails after so many `attempts`.
    - `rate`: records a second at most (no limit); kept by the runtime.

    A row is read once, when its key is passed. **A row that shows up behind that is never read**:
    one that is changed later, or gets a smaller key than others that have been read. With several
    writers that happens in PostgreSQL also to numbers from a sequence and to `now()`: the
    transaction with number 5 may commit after the one with number 6. Then let `lag` be longer than
    any writing transaction takes. In SQLite one writes at a time, and an ascending key is enough.

    Raises ValueError or TypeError for an option that makes no sense. Opening raises
    `MisconfiguredError` for a query or a key that the database refuses and for rows without a
    key, `UnavailableError` where it cannot be reached, MissingExtra without asyncpg. No error
    shows a password.

    - Emits when: a page has come.
    - Waits when: it polls and there are no new rows; while the database cannot be reached.
    - Ends when: there are no more rows; never with `poll_interval`.
    - Order: that of the key; positions count rows from 0.
    - State: the key of the last row, behind which it goes on.
    - On error: a lost connection is made again, and the page asked for again: by its key, so that
      no row is lost or read twice. Rows with the same key fail the job when they are seen. An
      SQLite text that is not UTF-8 rejects its row.
    """
    return SqlQuery(
        database,
        query,
        key=key,
        values=values,
        page_size=page_size,
        poll_interval=poll_interval,
        lag=lag,
        timeout=timeout,
        retry=retry,
        rate=rate,
    )


def _pages(database: str, timeout: float) -> Pages:
    scheme = _SCHEME.match(database)
    if scheme is not None and scheme[1] in _POSTGRES:
        from ._postgres_pages import PostgresPages

        return PostgresPages(database, timeout=timeout)
    if scheme is None or database.startswith("sqlite:///"):
        from ._sqlite_pages import SqlitePages

        return SqlitePages(database.removeprefix("sqlite:///"), timeout=timeout)
    raise ValueError(
        f"database is a path, sqlite:///path or postgresql://…, not one of {scheme[1]}://…"
    )
