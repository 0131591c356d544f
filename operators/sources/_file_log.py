"""Which files have been read: what a stream of files remembers of those behind it."""

from __future__ import annotations

import time
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, cast

from ...runtime.contracts import MisconfiguredError
from ._note import FORGET

__all__ = ["FileLog"]

_BYTES = 8
"""Of each name, in place of the name: two of a million files are one with chance 1 : 30,000,000."""


class FileLog:
    """The names of the files that were read, as eight bytes each, and what else is held."""

    def __init__(self) -> None:
        self.schema: dict[str, str] | None = None
        self.triggers = 0
        self.left = 0
        """How many files are still to come of the trigger that is going on."""
        self.noted = 0
        """When the note was taken from which it goes on, in nanoseconds of the machine's clock."""
        self._read: set[bytes] = set()
        self._names: bytes | None = None

    def __contains__(self, path: str) -> bool:
        return bool(self._read) and _mark(path) in self._read

    def __len__(self) -> int:
        return len(self._read)

    def add(self, path: str) -> None:
        """This one has been read."""
        self._read.add(_mark(path))
        self._names = None

    def drop(self, path: str) -> None:
        """This one is not there any more: what comes under its name is another."""
        self._read.discard(_mark(path))
        self._names = None

    def note(self) -> bytes:
        """All of it, for `restore`."""
        import orjson  # Only jobs with a store take notes.

        if self._names is None:
            self._names = b64encode(b"".join(sorted(self._read)))
        return orjson.dumps(
            {
                "kind": "files",
                "schema": self.schema and list(self.schema.items()),
                "triggers": self.triggers,
                "left": self.left,
                "noted": time.time_ns(),
                "read": self._names.decode(),
            }
        )

    def restore(self, note: bytes, source: str) -> None:
        """Go on from a note. Raises MisconfiguredError where it is none of this kind."""
        import orjson

        try:
            held: Any = orjson.loads(note)
            if held["kind"] != "files":
                raise ValueError(held["kind"])
            names = b64decode(held["read"])
            self.schema = dict(held["schema"]) if held["schema"] else None
            self.triggers, self.left = int(held["triggers"]), int(held["left"])
            self.noted = int(held.get("noted", 0))
        except (ValueError, KeyError, TypeError):
            raise MisconfiguredError(
                f"{source} cannot go on from the saved state: another kind of source wrote it. "
                f"Name the source differently, or {FORGET}"
            ) from None
        self._read = {names[at : at + _BYTES] for at in range(0, len(names), _BYTES)}
        self._names = None


def file_note(size: int, modified: int) -> bytes:
    """What is remembered of a file that is being read."""
    import orjson

    return orjson.dumps({"size": size, "modified": modified})


def is_same(note: bytes, size: int, modified: int) -> bool:
    """Whether a file is still the one of which this was noted."""
    import orjson

    held: Mapping[str, object] = cast("Mapping[str, object]", orjson.loads(note))
    return held.get("size") == size and held.get("modified") == modified


def _mark(path: str) -> bytes:
    from hashlib import blake2b  # Only when a file has been read: it takes a while to load.

    return blake2b(path.encode("utf-8", "surrogateescape"), digest_size=_BYTES).digest()
