"""`postgresql_table`: the rows of a table in PostgreSQL."""

from __future__ import annotations

from ...runtime.contracts import Retry
from ._postgres_pages import PostgresPages
from ._table_rows import TableRows

__all__ = ["PostgresqlTable", "postgresql_table"]


class PostgresqlTable(TableRows):
    """The source that `postgresql_table` makes; see there."""

    def __init__(
        self,
        url: str,
        table: str,
        *,
        key: str | None = None,
        page_size: int = 1000,
        poll_interval: float | None = None,
        lag: float = 0.0,
        timeout: float = 60.0,
        retry: Retry | None = None,
        rate: float | None = None,
    ) -> None:
        super().__init__(
            PostgresPages(url, timeout=timeout),
            table.split(".", 1),
            key=key,
            page_size=page_size,
            poll_interval=poll_interval,
            lag=lag,
            retry=retry,
            rate=rate,
        )


def postgresql_table(
    url: str,
    table: str,
    *,
    key: str | None = None,
    page_size: int = 1000,
    poll_interval: float | None = None,
    lag: float = 0.0,
    timeout: float = 60.0,
    retry: Retry | None = None,
    rate: float | None = None,
) -> PostgresqlTable:
    """The rows of a table in PostgreSQL as dicts, by its key; once, or with what is added later.

    >>> source = postgresql_table("postgresql://reader@db.example/shop", "sales.orders")
    >>> orders = postgresql_table(
    ...     "postgresql://reader@db.example/shop", "orders", poll_interval=5, lag=10
    ... )

    Parameters:

    - `url`: `postgresql://user:password@host:port/name`; needs the extra `postgres`.
    - `table`: its name, with that of its schema before a dot where that is not on the search path;
      as they are, without quotes.
    - `key`: one column without repeats and never NULL, in whose order rows are read. None, the
      default, is the primary key.
    - `page_size`, `poll_interval`, `lag`, `timeout`, `retry`, `rate`: as for `sql_query`, where
      stands which rows are **never read**, too: those that change, or show up behind larger keys.

    Values are what asyncpg makes of them; json and jsonb are decoded.

    Raises ValueError for an option that makes no sense. Opening raises `MisconfiguredError` where
    there is no such table, or where it has no primary key, or one of several columns, and no key
    is named; `UnavailableError` where the database cannot be reached, MissingExtra without
    asyncpg. No error shows a password.

    - Emits when: a page has come.
    - Waits when: it polls and there are no new rows; while the database cannot be reached.
    - Ends when: there are no more rows; never with `poll_interval`.
    - Order: that of the key; positions count rows from 0.
    - State: the key of the last row, behind which it goes on.
    - On error: a lost connection is made again, and the page asked for again: by its key, so that
      no row is lost or read twice. Rows with the same key fail the job when they are seen.
    """
    return PostgresqlTable(
        url,
        table,
        key=key,
        page_size=page_size,
        poll_interval=poll_interval,
        lag=lag,
        timeout=timeout,
        retry=retry,
        rate=rate,
    )
