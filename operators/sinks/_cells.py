"""Values as cells of CSV: their text, and the quotes around it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from ...runtime.contracts import DataError
from ._rows import JsonText, as_json

__all__ = ["Cells", "text_of"]


def _boolean(value: object) -> str:
    return "true" if value else "false"


_PLAIN: dict[type, Callable[[Any], str]] = {
    bool: _boolean,
    int: int.__repr__,
    float: float.__repr__,
    dt.datetime: dt.datetime.isoformat,
    dt.date: dt.date.isoformat,
    dt.time: dt.time.isoformat,
    decimal.Decimal: decimal.Decimal.__str__,
    uuid.UUID: uuid.UUID.__str__,
}
"""How these are written; no delimiter and no quote is ever in it. A kind stands before the more
general one: a bool is an int, a datetime is a date.
"""


def text_of(value: object) -> str:
    """A value as text, without quotes. Raises DataError for what no cell holds."""
    write = _PLAIN.get(type(value))
    if write is not None:
        return write(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, enum.Enum):
        return text_of(value.value)
    for kind, write in _PLAIN.items():
        if isinstance(value, kind):
            return write(value)
    if isinstance(value, dict | list | tuple):
        return as_json(cast("object", value))
    if isinstance(value, Mapping):
        return as_json(dict(cast("Mapping[object, object]", value)))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return as_json(value)
    raise DataError(f"a cell of CSV does not hold a {type(value).__name__}: make text of it")


class Cells:
    """Makes cells of values.

    A text is in quotes where it has one of the characters `quoted` in it. `null` is the text that
    stands for None, and `empty` the cell that does.
    """

    def __init__(self, quoted: str, null: str, empty: str) -> None:
        self._null = null
        self._empty = empty
        self._special = re.compile("[" + re.escape(quoted) + "\0]")

    def of(self, value: object) -> str:
        """One cell. Raises DataError for a value that it cannot hold."""
        if value is None:
            return self._empty
        text = text_of(value)
        if type(value) in _PLAIN:
            return text
        if text and text == self._null and not isinstance(value, JsonText):
            raise DataError(f"the text {text!r} stands for NULL here: name another by null=")
        return self._quoted(text)

    def column(self, values: Sequence[object]) -> Sequence[str]:
        """Many cells at once. Raises where `of` would for any of them."""
        kinds = set(map(type, values))
        some_null = type(None) in kinds
        kinds.discard(type(None))
        if len(kinds) == 1:
            kind = kinds.pop()
            write = _PLAIN.get(kind)
            if write is not None:
                if not some_null:
                    return list(map(write, values))
                empty = self._empty
                return [empty if value is None else write(value) for value in values]
            if kind is str and not some_null:
                texts = cast("Sequence[str]", values)
                plain = self._special.search("".join(texts)) is None
                if plain and "" not in texts and (not self._null or self._null not in texts):
                    return texts
        return list(map(self.of, values))

    def _quoted(self, text: str) -> str:
        if not text:
            return '""'
        if self._special.search(text) is None:
            return text
        if "\0" in text:
            raise DataError("the text holds a NUL, which readers of CSV refuse")
        return '"' + text.replace('"', '""') + '"'
