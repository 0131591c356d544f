"""`sqlite_table`: the rows of a table in an SQLite file."""

from __future__ import annotations

import os

from ...runtime.contracts import Retry
from ._sqlite_pages import SqlitePages
from ._table_rows import TableRows

__all__ = ["SqliteTable", "sqlite_table"]


class SqliteTable(TableRows):
    """The source that `sqlite_table` makes; see there."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        table: str,
        *,
        key: str | None = None,
        page_size: int = 1000,
        poll_interval: float | None = None,
        timeout: float = 60.0,
        retry: Retry | None = None,
        rate: float | None = None,
    ) -> None:
        super().__init__(
            SqlitePages(os.fspath(path), timeout=timeout),
            (table,),
            key=key,
            page_size=page_size,
            poll_interval=poll_interval,
            lag=0.0,
            retry=retry,
            rate=rate,
        )


def sqlite_table(
    path: str | os.PathLike[str],
    table: str,
    *,
    key: str | None = None,
    page_size: int = 1000,
    poll_interval: float | None = None,
    timeout: float = 60.0,
    retry: Retry | None = None,
    rate: float | None = None,
) -> SqliteTable:
    """The rows of a table in an SQLite file as dicts, by its key; once, or with those added later.

    >>> source = sqlite_table("shop.db", "orders", poll_interval=1)

    Parameters:

    - `path`: the file. It is only read; others may write to it meanwhile.
    - `table`: its name, as it is, without quotes.
    - `key`: one column without repeats and never NULL, in whose order rows are read. None, the
      default, is the primary key; a table without one has `key="rowid"` only in a `sql_query`
      that selects it.
    - `page_size`, `poll_interval`, `timeout`, `retry`, `rate`: as for `sql_query`, where stands
      which rows are **never read**, too: those that change, or get a smaller key than others have.

    Raises ValueError for an option that makes no sense. Opening raises `MisconfiguredError` where
    there is no such file or table, or where the table has no primary key, or one of several
    columns, and no key is named.

    - Emits when: a page has come.
    - Waits when: it polls and there are no new rows; while another program holds the lock.
    - Ends when: there are no more rows; never with `poll_interval`.
    - Order: that of the key; positions count rows from 0.
    - State: the key of the last row, behind which it goes on.
    - On error: rows with the same key fail the job when they are seen; a text that is not UTF-8
      rejects its row.
    """
    return SqliteTable(
        path,
        table,
        key=key,
        page_size=page_size,
        poll_interval=poll_interval,
        timeout=timeout,
        retry=retry,
        rate=rate,
    )
