"""Records as a person gives them: JSON on the command line, in a file or on standard input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, TypeAlias, cast

import orjson

from ...runtime.errors import DataError

__all__ = ["Given", "Record", "decoded", "read_records"]

Record: TypeAlias = dict[str, Any]
Given: TypeAlias = bytes | object
"""A record as text that is not decoded yet, or as what a whole JSON file held in its place."""

_BOM = b"\xef\xbb\xbf"


def read_records(stream: BinaryIO) -> Iterator[Given]:
    """What a file holds: an object in each line, or JSON as a whole, one object or a list of them.

    >>> from io import BytesIO
    >>> [decoded(given) for given in read_records(BytesIO(b'{"a": 1}\\n\\n{"a": 2}'))]
    [{'a': 1}, {'a': 2}]
    >>> list(read_records(BytesIO(b'[\\n  {"a": 1}\\n]')))
    [{'a': 1}]
    """
    first = next((line for line in stream if line.removeprefix(_BOM).strip()), b"")
    first = first.removeprefix(_BOM)
    if not first:
        return
    if not first.lstrip().startswith(b"[") and _is_json(first):
        yield first
        yield from (line for line in stream if line.strip())
        return
    whole = first + stream.read()
    try:
        held: object = orjson.loads(whole)
    except orjson.JSONDecodeError:
        # No file of JSON, so one of lines, of which the first is broken.
        yield from (line for line in whole.splitlines() if line.strip())
        return
    yield from cast("list[object]", held) if isinstance(held, list) else [held]


def decoded(given: Given) -> Record:
    """The record; DataError where it is no JSON object."""
    value = given
    if isinstance(given, bytes):
        try:
            value = orjson.loads(given)
        except orjson.JSONDecodeError as error:
            raise DataError(f"this is no JSON ({error}): {_shortened(given)}") from None
    if not isinstance(value, dict):
        raise DataError(
            f'a record is a JSON object such as {{"length": 5.1}}, not {_shortened(value)}'
        )
    return cast("Record", value)


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def _shortened(given: Given) -> str:
    text = given.decode("utf-8", "replace") if isinstance(given, bytes) else str(given)
    line = " ".join(text.split())
    return line if len(line) <= 80 else line[:80] + "…"
