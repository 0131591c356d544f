"""What a source writes down to go on later: a few named values, as JSON, with the kind of source.

The kind keeps a source from taking the note of another one that stood in its place before.
"""

from __future__ import annotations

from typing import cast

from ...runtime.contracts import MisconfiguredError

__all__ = ["FORGET", "Note", "encode_note"]

FORGET = "start with --forget and the name of the source, which is then read anew"
"""What to do about a place from which nothing can go on."""


def encode_note(kind: str, **values: int | str | bool) -> bytes:
    """A note of this kind.

    >>> encode_note("csv", offset=120)
    b'{"kind":"csv","offset":120}'
    """
    import orjson  # Only jobs with a store take notes.

    return orjson.dumps({"kind": kind, **values})


class Note:
    """A note read back. Raises `MisconfiguredError` where it is not what such a source wrote.

    >>> Note(b'{"kind":"csv","offset":120}', "csv", "orders").number("offset")
    120
    """

    __slots__ = ("_source", "_values")

    def __init__(self, data: bytes, kind: str, source: str) -> None:
        import orjson

        self._source = source
        try:
            values = orjson.loads(data)
        except orjson.JSONDecodeError:
            values = None
        self._values = cast("dict[str, object]", values) if isinstance(values, dict) else {}
        if self._values.get("kind") != kind:
            raise self._foreign()

    def number(self, name: str) -> int:
        """A whole number that it holds."""
        value = self._values.get(name)
        if isinstance(value, int):
            return value
        raise self._foreign()

    def text(self, name: str) -> str:
        """A text that it holds."""
        value = self._values.get(name)
        if isinstance(value, str):
            return value
        raise self._foreign()

    def flag(self, name: str) -> bool:
        """Whether it says so; False where it says nothing."""
        return self._values.get(name) is True

    def _foreign(self) -> MisconfiguredError:
        return MisconfiguredError(
            f"{self._source} cannot go on from the saved state: another kind of source wrote it. "
            f"Name the source differently, or {FORGET}"
        )
