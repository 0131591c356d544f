"""Rows of a SQL query, page by page in the order of a key: what every database has to offer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ...runtime.contracts import Context, dataclass

__all__ = ["Page", "Pages", "Row", "Selection", "checked_timeout", "quoted"]

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows to be read: a query, the values of its placeholders, and the column of the key."""

    query: str
    key: str
    values: Sequence[object] = ()

    def sql(self, what: str, condition: str, rest: str = "") -> str:
        """`what` of the rows of the query for which the condition holds."""
        # On a line of its own, as the query may end with a comment.
        return f"SELECT {what} FROM (\n{self.query}\n) AS q WHERE {condition}{rest}"

    def page(self, after: str, through: str, count: str) -> str:
        """A page, with these placeholders; an empty one stands for no bound."""
        key = f"q.{quoted(self.key)}"
        bounds = [f"{key} > {after}"] if after else [f"{key} IS NOT NULL"]
        bounds += [f"{key} <= {through}"] if through else []
        return self.sql("q.*", " AND ".join(bounds), f" ORDER BY {key} LIMIT {count}")

    def without_key(self) -> str:
        """Whether there is a row that has no key."""
        return self.sql("1", f"q.{quoted(self.key)} IS NULL", " LIMIT 1")

    def last_key(self) -> str:
        """The largest key."""
        key = f"q.{quoted(self.key)}"
        return self.sql(key, f"{key} IS NOT NULL", f" ORDER BY {key} DESC LIMIT 1")


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in the order of the key. Some of them may not be readable: those are in `bad`."""

    rows: list[Row]
    bad: dict[int, Exception]


class Pages(Protocol):
    """A database. Its errors are UnavailableError for what may pass, else MisconfiguredError."""

    async def open(self, context: Context) -> None:
        """Connect."""

    async def columns(self, selection: Selection) -> list[str]:
        """The names of the columns that the query has."""
        ...

    async def page(self, selection: Selection, after: object, through: object, count: int) -> Page:
        """The first `count` rows behind the key `after`, up to `through`; None is no bound."""
        ...

    async def value(self, selection: Selection, sql: str) -> object:
        """The first value of the first row of this SQL, which is made of the selection."""
        ...

    async def primary_key(self, table: Sequence[str]) -> list[str] | None:
        """The columns of a table's primary key; None where there is no such table."""
        ...

    async def close(self) -> None:
        """Let go of the database."""


def checked_timeout(timeout: float) -> float:
    """`timeout` as it is, or a ValueError."""
    if not 0 < timeout <= 86_400:
        raise ValueError(f"timeout is in seconds, above 0 and up to a day, not {timeout!r}")
    return timeout


def quoted(*names: str) -> str:
    """An identifier as SQL, whatever is in it; several are joined by dots."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)
