"""Points at which a process kills itself: the calls that leave something on a disk or a server."""

from __future__ import annotations

import importlib
import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Literal

from thalweg import Sink
from thalweg.runtime.stores import Store

__all__ = ["KINDS", "SIDES", "Point", "Points"]

Side = Literal["before", "after", "within"]

SIDES: tuple[Side, ...] = ("before", "after", "within")
"""Within a call of `os.write`: half of the bytes are written. Else it is the same as after."""

_SYSTEM = (
    "write", "pwrite", "fsync", "fdatasync", "rename", "replace", "unlink", "remove", "ftruncate",
    "truncate", "mkdir", "rmdir", "link", "copy_file_range", "sendfile", "open",
)  # fmt: skip
_SERVER = ("execute", "executemany", "fetch", "fetchrow", "fetchval", "copy_records_to_table")

_EPOCH = ((Store, ("save", "load")), (Sink, ("prepare", "commit", "discard")))

KINDS = ("epoch", "disk", "sqlite", "postgres")
"""Steps of an epoch, calls of the system that change files, statements of SQLite and PostgreSQL."""


@dataclass(frozen=True)
class Point:
    """The moment of death: this call of its kind, counted from 1, and on which side of it."""

    kind: str
    number: int
    side: Side


def die() -> None:
    """As `kill -9` by somebody else."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Points:
    """Counts the calls of each kind, and dies at one of them.

    The writes of the sink that commits nothing are left out: there are too many.
    """

    at: Point | None = None
    counts: Counter[str] = field(default_factory=Counter[str])

    def install(self, *, postgres: bool) -> None:
        """Stand before and behind all these calls of this process, from now on."""
        for name in _SYSTEM:
            original = getattr(os, name, None)
            if original is not None:
                setattr(os, name, self._around(original, name))
        sqlite3.connect = self._connecting(sqlite3.connect)
        if postgres:
            connection = importlib.import_module("asyncpg.connection").Connection
            for name in _SERVER:
                setattr(connection, name, self._awaited(getattr(connection, name), "postgres"))
        for base, names in _EPOCH:
            for kind in _below(base):
                for name in names:
                    if name in vars(kind):
                        setattr(kind, name, self._awaited(getattr(kind, name), "epoch"))

    def reached(self, kind: str, side: Side) -> bool:
        """Whether this is the moment of death."""
        point = self.at
        return (
            point is not None
            and (point.kind, point.number) == (kind, self.counts[kind])
            and (point.side == side)
        )

    def _around(self, original: Callable[..., Any], name: str) -> Callable[..., Any]:
        @wraps(original)
        def call(*given: Any, **options: Any) -> Any:
            if name == "write" and len(given[1]) < 200:
                return original(*given, **options)
            if name == "open" and not given[1] & (os.O_CREAT | os.O_TRUNC):
                return original(*given, **options)
            self.counts["disk"] += 1
            if self.reached("disk", "before"):
                die()
            if name in ("write", "pwrite") and self.reached("disk", "within"):
                data = memoryview(given[1])
                original(given[0], data[: len(data) // 2], *given[2:], **options)
                die()
            result = original(*given, **options)
            if self.reached("disk", "after") or self.reached("disk", "within"):
                die()
            return result

        return call

    def _connecting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        points = self

        class Connection(sqlite3.Connection):
            """One whose statements are points."""

            def execute(self, *given: Any) -> sqlite3.Cursor:
                with points.sqlite():
                    return super().execute(*given)

            def executemany(self, *given: Any) -> sqlite3.Cursor:
                with points.sqlite():
                    return super().executemany(*given)

        @wraps(original)
        def connect(*given: Any, **options: Any) -> Any:
            return original(*given, **{"factory": Connection, **options})

        return connect

    def sqlite(self) -> _Block:
        """A block around one statement."""
        return _Block(self, "sqlite")

    def _awaited(
        self, original: Callable[..., Awaitable[Any]], kind: str
    ) -> Callable[..., Awaitable[Any]]:
        @wraps(original)
        async def call(*given: Any, **options: Any) -> Any:
            with _Block(self, kind):
                return await original(*given, **options)

        return call


@dataclass(frozen=True)
class _Block:
    points: Points
    kind: str

    def __enter__(self) -> None:
        self.points.counts[self.kind] += 1
        if self.points.reached(self.kind, "before"):
            die()

    def __exit__(self, *_: object) -> None:
        points = self.points
        if points.reached(self.kind, "after") or points.reached(self.kind, "within"):
            die()


def _below(base: type[Any]) -> Iterator[type[Any]]:
    for one in base.__subclasses__():
        yield one
        yield from _below(one)
