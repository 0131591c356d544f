"""Values by which rows are ordered, as text and back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

from ...runtime.contracts import MisconfiguredError

__all__ = ["Key", "decode_key", "encode_key"]

Key = int | float | str | bytes | Decimal | UUID | dt.datetime | dt.date

_WRITE: dict[type, tuple[str, Callable[..., str]]] = {
    int: ("int", str),
    float: ("float", float.hex),
    str: ("str", str),
    bytes: ("bytes", bytes.hex),
    Decimal: ("Decimal", str),
    UUID: ("UUID", str),
    dt.datetime: ("datetime", dt.datetime.isoformat),
    dt.date: ("date", dt.date.isoformat),
}
_READ: dict[str, Callable[[str], Key]] = {
    "int": int,
    "float": float.fromhex,
    "str": str,
    "bytes": bytes.fromhex,
    "Decimal": Decimal,
    "UUID": UUID,
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
}


def encode_key(value: object, column: str) -> tuple[str, str]:
    """The name of its type, and its text. Raises `MisconfiguredError` for other types.

    >>> encode_key(Decimal("1.50"), "price")
    ('Decimal', '1.50')
    """
    for kind in type(value).__mro__:
        if kind in _WRITE and not isinstance(value, bool):
            name, write = _WRITE[kind]
            return name, write(value)
    raise MisconfiguredError(
        f"key={column!r} holds {value!r}, which is not one of {', '.join(_READ)}: name a column of "
        "one of these types, or cast it in the query"
    )


def decode_key(kind: str, text: str) -> Key:
    """The value. Raises KeyError or ValueError for what `encode_key` has not written.

    >>> decode_key("Decimal", "1.50")
    Decimal('1.50')
    """
    return _READ[kind](text)
