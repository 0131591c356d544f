"""The head of an epoch: all that is no memory, as JSON that a person can read too."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime
from typing import Any

from ..bookmarks import Bookmark
from ..dataclass import dataclass
from ..errors import StateDamaged

__all__ = ["Head", "Manifest"]

_FORMAT = 1

_BYTES = "\x00base64:"
"""Before the name of a lane that is no text, such as that of a file with other bytes in it."""

_LARGEST = 2**63
"""A position beyond it is kept as text."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a node was when the epoch was taken: enough to tell whether its state can be followed.

    `kind` is that of the node, `type` the class of a source or a sink, `versions` the schema
    version of each part of its memory, `keys` the version of each key function above it. Not saved
    are `upgraded`, the parts whose older versions it can follow, and `sources`, those above it.
    """

    kind: str
    type: str = ""
    versions: Mapping[str, int] = field(default_factory=dict[str, int])
    keys: Mapping[str, int] = field(default_factory=dict[str, int])
    upgraded: frozenset[str] = frozenset()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """Positions, what sinks prepared, who had ended, and what the nodes were.

    `at` is when the epoch was taken, in seconds since 1970.
    """

    epoch: int
    at: float
    bookmarks: Mapping[str, Mapping[str, Bookmark]]
    prepared: Mapping[str, bytes]
    ended: frozenset[str]
    nodes: Mapping[str, Manifest]

    def encode(self) -> bytes:
        """As JSON."""
        import orjson  # Only a job with a store needs it.

        return orjson.dumps(
            {
                "format": _FORMAT,
                "epoch": self.epoch,
                "at": self.at,
                "taken": datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds"),
                "bookmarks": {
                    source: {
                        _as_text(lane): [_as_number(mark.last), b64encode(mark.note).decode()]
                        for lane, mark in lanes.items()
                    }
                    for source, lanes in self.bookmarks.items()
                },
                "prepared": {
                    sink: b64encode(data).decode() for sink, data in self.prepared.items()
                },
                "ended": sorted(self.ended),
                "nodes": {
                    name: {
                        "kind": node.kind,
                        "type": node.type,
                        "versions": dict(node.versions),
                        "keys": dict(node.keys),
                    }
                    for name, node in self.nodes.items()
                },
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> Head:
        """From JSON. Raises StateDamaged for what is no head of a form known here."""
        import orjson

        try:
            found: Any = orjson.loads(data)
            if found["format"] != _FORMAT:
                raise StateDamaged(
                    f"the state was saved in form {found['format']}, by another version of "
                    f"Thalweg; this one reads form {_FORMAT}"
                )
            return cls(
                epoch=found["epoch"],
                at=found["at"],
                bookmarks={
                    source: {
                        _as_lane(lane): Bookmark(int(last), b64decode(note))
                        for lane, (last, note) in lanes.items()
                    }
                    for source, lanes in found["bookmarks"].items()
                },
                prepared={sink: b64decode(text) for sink, text in found["prepared"].items()},
                ended=frozenset(found["ended"]),
                nodes={name: Manifest(**node) for name, node in found["nodes"].items()},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StateDamaged(f"the head of an epoch cannot be read: {error!r}") from error


def _as_text(lane: str) -> str:
    data = lane.encode("utf-8", "surrogatepass")
    if lane.startswith(_BYTES) or any("\ud800" <= letter <= "\udfff" for letter in lane):
        return _BYTES + b64encode(data).decode()
    return lane


def _as_lane(text: str) -> str:
    if not text.startswith(_BYTES):
        return text
    return b64decode(text.removeprefix(_BYTES)).decode("utf-8", "surrogatepass")


def _as_number(position: int) -> int | str:
    return position if position < _LARGEST else str(position)
