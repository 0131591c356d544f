"""Columns that look whole by a sample and are not, or the other way round: digits would be lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...operators.sources._file_schema import quoted
from ...operators.sources._whole_numbers import in_128_bits

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["fractional", "huge"]

_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_WIDEST = 2**63
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
        "bool_or(" + " or ".join(f"contains({quoted(name)}, '{sign}')" for sign in _SIGNS) + ")"
        for name in whole
    )
    read = reading({**schema, **dict.fromkeys(whole, "VARCHAR")})
    found = link.execute(f"select {asked} from {read}").fetchone()
    return [name for name, odd in zip(whole, found or (), strict=True) if odd]


def huge(
    link: DuckDBPyConnection, schema: dict[str, str], reading: Callable[[dict[str, str]], str]
) -> list[str]:
    """The columns of `seen` that are fractions only since they hold whole numbers beyond 64 bits.

    Of such numbers the last digits would be lost. What has more than 128 bits stays a fraction.
    """
    fractions = [name for name, kind in schema.items() if kind == "DOUBLE"]
    if not fractions:
        return []
    asked = ", ".join(
        f"bool_and({name} = trunc({name})) and max(abs({name})) >= {_WIDEST}"
        for name in map(quoted, fractions)
    )
    told = link.execute(f"select {asked} from seen").fetchone()
    found = [name for name, may_be in zip(fractions, told or (), strict=True) if may_be]
    if not found:
        return []
    asked = ", ".join(in_128_bits(quoted(name)) for name in found)
    read = reading({**schema, **dict.fromkeys(found, "VARCHAR")})
    told = link.execute(f"select {asked} from {read}").fetchone()
    return [name for name, is_whole in zip(found, told or (), strict=True) if is_whole]
