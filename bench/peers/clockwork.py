"""The graph that `restart.py` kills: a keyed count of records that the clock brings.

Record `n` is there from `began + n / rate` on, whoever may be running then: so the source has its
backlog to read after a restart, as one on a file that grows would have.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from typing import Any

from thalweg import Graph, setting
from thalweg.operators import fold, sinks
from thalweg.runtime.contracts import Bookmark, Context, Source

name: str = setting("name", default="clockwork", help="the name of the job")
keys: int = setting("keys", default=100_000, help="how many keys there are")
rate: float = setting("rate", default=2000.0, help="records a second")
began: float = setting("began", default=0.0, help="seconds since 1970: when record 0 was there")
out: str = setting("out", default="out/clockwork", help="the file that gets them")


class Clockwork(Source[dict[str, Any]]):
    """The records that are there by now."""

    async def open(self, context: Context) -> None:
        self._next = 0

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        self._next = bookmarks[""].last + 1

    async def read(self, limit: int) -> list[dict[str, Any]]:
        there = self._there()
        while there <= 0:
            await asyncio.sleep(0.001)
            there = self._there()
        first = self._next
        self._next += min(there, limit)
        return [{"n": n, "user": f"user-{n % keys:06d}"} for n in range(first, self._next)]

    def _there(self) -> int:
        """How many are there that were not read."""
        return int((time.time() - began) * rate) - self._next


Seen = tuple[int, int]
"""The last record of a key, and how often the key has come."""

_file = -1


def nothing() -> Seen:
    """What is known of a key that has not come."""
    return -1, 0


def one_more(seen: Seen, record: dict[str, Any]) -> Seen:
    """What is known with one record more."""
    return record["n"], seen[1] + 1


def note(item: tuple[str, Seen]) -> None:
    """Write down which record it was, and how often its key has come, where others see it."""
    global _file
    if _file < 0:
        _file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    number, count = item[1]
    os.write(_file, number.to_bytes(8, "little") + count.to_bytes(8, "little"))


graph = Graph(name)
users = graph.read("clock", Clockwork()).key_by(lambda record: record["user"])
users.via("count", fold(nothing, one_more)).to("noted", sinks.each(note))
