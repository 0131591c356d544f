"""What the sources of whole tables share: a table is a query by its primary key."""

from __future__ import annotations

from collections.abc import Sequence

from ...runtime.contracts import MisconfiguredError, Retry
from ._keyed_rows import KeyedRows
from ._pages import Pages, Selection, quoted

__all__ = ["TableRows"]


class TableRows(KeyedRows):
    """Reads a table by a key; without one that is named, by its primary key."""

    def __init__(
        self,
        pages: Pages,
        table: Sequence[str],
        *,
        key: str | None,
        page_size: int,
        poll_interval: float | None,
        lag: float,
        retry: Retry | None,
        rate: float | None,
    ) -> None:
        if not all(table):
            raise ValueError(f"table is the name of a table, not {'.'.join(table)!r}")
        if key is not None and not key:
            raise ValueError("key is the name of a column, and is empty")
        super().__init__(
            pages,
            page_size=page_size,
            poll_interval=poll_interval,
            lag=lag,
            retry=retry or Retry(),
            rate=rate,
        )
        self._table = tuple(table)
        self._key = key

    async def selection(self, pages: Pages) -> Selection:
        """All of the table, by its key."""
        name = ".".join(self._table)
        found = await pages.primary_key(self._table)
        if found is None:
            raise MisconfiguredError(f"there is no table {name!r}")
        if self._key is None and len(found) != 1:
            has = f"a primary key of several columns, {found}" if found else "no primary key"
            raise MisconfiguredError(
                f"table {name!r} has {has}: name one column without repeats as key=, or make one "
                "in a sql_query"
            )
        return Selection(f"SELECT * FROM {quoted(*self._table)}", self._key or found[0])
