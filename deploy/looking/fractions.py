"""Columns that look whole by a sample and are not: DuckDB would round what stands in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["fractional"]

_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_SIGNS = (".", "e", "E")


def fractional(
    link: DuckDBPyConnection, schema: dict[str, str], reading: Callable[[dict[str, str]], str]
) -> list[str]:
    """The columns of whole numbers in which there are others.

    `reading` says, in SQL, what reads the files by these types; the columns are read as text.
    """
    whole = [name for name, kind in schema.items() if kind.removeprefix("U") in _WHOLE]
    if not whole:
        return []
    asked = ", ".join(
        "bool_or(" + " or ".join(f"contains({_quoted(name)}, '{sign}')" for sign in _SIGNS) + ")"
        for name in whole
    )
    read = reading({**schema, **dict.fromkeys(whole, "VARCHAR")})
    found = link.execute(f"select {asked} from {read}").fetchone()
    return [name for name, odd in zip(whole, found or (), strict=True) if odd]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
