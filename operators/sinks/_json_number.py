"""Decimals in JSON: numbers with all of their digits."""

from __future__ import annotations

from decimal import Decimal

import orjson

__all__ = ["json_number"]


def json_number(value: object) -> object:
    """What stands for a value that orjson does not know by itself: for its `default`.

    >>> orjson.dumps({"n": Decimal(2**100)}, json_number)
    b'{"n":1267650600228229401496703205376}'

    Raises TypeError for what is no decimal.
    """
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value)) if value.is_finite() else None
    raise TypeError(type(value).__name__)
