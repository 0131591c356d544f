"""Rows that a query finds, in an SQLite file or a PostgreSQL: for reports, not for streams."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from contextlib import closing
from typing import Any
from urllib.parse import quote

from ....runtime.contracts import MisconfiguredError
from .database import is_postgresql

__all__ = ["query_rows"]


def query_rows(database: str | os.PathLike[str], query: str) -> list[tuple[Any, ...]]:
    """All rows that a query finds. This blocks.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     query_rows(file.name, "SELECT 1 AS one, 'two' AS two")
    [(1, 'two')]

    Parameters: `database`, the path of an SQLite file, which is only read, or the URL of a
    PostgreSQL. Raises MisconfiguredError where there is no such database or no such table,
    UnavailableError where a server is out of reach.
    """
    where = os.fspath(database)
    return _of_postgresql(where, query) if is_postgresql(where) else _of_sqlite(where, query)


def _of_sqlite(path: str, query: str) -> list[tuple[Any, ...]]:
    try:
        connection = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)
        with closing(connection):
            return connection.execute(query).fetchall()
    except sqlite3.Error as error:
        raise MisconfiguredError(f"cannot read {path!r}: {error}") from error


def _of_postgresql(url: str, query: str) -> list[tuple[Any, ...]]:
    from ...sinks._postgresql_link import PostgresqlLink

    found: list[tuple[Any, ...]] = []
    failed: list[BaseException] = []

    async def fetch() -> None:
        link = PostgresqlLink(url)
        try:
            async with link.transaction() as connection:
                found.extend(tuple(row.values()) for row in await connection.fetch(query))
        finally:
            await link.close()

    def run() -> None:
        try:
            asyncio.run(fetch())
        except BaseException as error:
            failed.append(error)

    # A loop may be running here already.
    thread = threading.Thread(target=run, name="thalweg-query")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found
