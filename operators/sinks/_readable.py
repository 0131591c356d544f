"""What can always be encoded: a copy in which all that JSON cannot hold is text."""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Iterable, Mapping, Set
from typing import cast

import orjson

__all__ = ["readable"]

_DEEPEST = 50
_MOST_VALUES = 100_000
_MOST_DIGITS = 4_000
_TEXT = reprlib.Repr()
_TEXT.maxlevel = 3
_TEXT.maxstring = _TEXT.maxother = 1_000


def readable(value: object) -> object:
    """A copy of `value` for JSON: what JSON cannot hold, or is too deep, becomes its text."""
    return _Copying().copy(value, _DEEPEST)


class _Copying:
    def __init__(self) -> None:
        self._left = _MOST_VALUES
        self._inside: set[int] = set()

    def copy(self, value: object, depth: int) -> object:
        self._left -= 1
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return _encodable(value)
        if isinstance(value, float):
            return float(value)
        if isinstance(value, int):
            return _integer(value)
        if isinstance(value, bytes | bytearray):
            return bytes(value).decode("utf-8", "backslashreplace")
        if depth == 0 or self._left < 0 or id(value) in self._inside:
            return _text(value)
        self._inside.add(id(value))
        try:
            return self._copy_inside(value, depth - 1)
        except Exception:
            return _text(value)
        finally:
            self._inside.discard(id(value))

    def _copy_inside(self, value: object, depth: int) -> object:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in dataclasses.fields(value)]
            return {name: self.copy(getattr(value, name), depth) for name in names}
        if isinstance(value, Mapping):
            items = cast("Mapping[object, object]", value).items()
            return {_key(key): self.copy(item, depth) for key, item in items}
        if isinstance(value, list | tuple | Set):
            return [self.copy(item, depth) for item in cast("Iterable[object]", value)]
        orjson.dumps(value)  # a date, a UUID and the like
        return value


def _key(key: object) -> str:
    return _encodable(key) if isinstance(key, str) else _text(key)


def _integer(value: int) -> object:
    if -(2**63) <= value < 2**64:
        return int(value)
    # Python refuses to write integers that are very long; their size says enough.
    digits = value.bit_length() * 0.30103
    return str(value) if digits < _MOST_DIGITS else f"<int of about {digits:.0f} digits>"


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _text(value: object) -> str:
    try:
        return _encodable(_TEXT.repr(value))
    except Exception:
        return f"<{type(value).__name__}>"
