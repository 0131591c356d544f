"""Records as lines of JSON."""

from __future__ import annotations

from collections.abc import Sequence
from operator import length_hint

import orjson

from ...runtime.contracts import DeadLetter
from ._json_number import json_number
from ._readable import readable

__all__ = ["encode"]

_FIELDS = DeadLetter.__match_args__


def encode(records: Sequence[object]) -> tuple[bytearray, dict[int, Exception]]:
    """The lines of these records, and the errors of those that cannot be encoded, by index."""
    # Into one buffer: to keep what each orjson.dumps returns takes ten times as long.
    dumps, data = orjson.dumps, bytearray()
    rejected: dict[int, Exception] = {}
    # A list's iterator knows how many are left, so the good path need not count.
    iterator = iter(records if isinstance(records, list) else list(records))
    while True:
        try:
            for record in iterator:
                data += dumps(record, json_number, orjson.OPT_APPEND_NEWLINE)
            return data, rejected
        except Exception as error:
            index = len(records) - length_hint(iterator) - 1
            record = records[index]
            if isinstance(record, DeadLetter):
                data += _letter(record)
            else:
                rejected[index] = error


def _letter(letter: DeadLetter) -> bytes:
    fields = {name: readable(getattr(letter, name)) for name in _FIELDS}
    return orjson.dumps(fields, None, orjson.OPT_APPEND_NEWLINE)
