"""`State`: where a job keeps its epochs, and how often it takes one."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..nodes import is_count
from ..stores import Store

__all__ = ["State"]


class State:
    """Where a job keeps its state, and how often it saves it.

    >>> from thalweg import Graph, State
    >>> from thalweg.operators import sinks, sources
    >>> graph, out = Graph("kept"), []
    >>> graph.read("n", sources.records(range(3))).to("out", sinks.collect(out)) and None
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     graph.run(state=State(folder, interval=0.2)).state
    'ended'

    Parameters:

    - `location`: a folder, which is made (each job has a database of its own in it), the URL of a
      PostgreSQL database, for jobs that may be started again elsewhere, or a `Store`.
    - `interval`: seconds from one epoch to the next (1.0). `batches`: an epoch is taken as well
      when the sources have handed over so many batches since the last one (None: only by time).
    - `keep`: how many epochs stay in the store (2), so that one can be gone back to.
    - `patience`: seconds for which a store that cannot be reached, or has no room, is tried again
      before the job fails (300). Records flow on meanwhile; nothing is committed.
    - `from_epoch`: go on from this epoch, aloud: what was committed after it may come again.
    - `forget`: names of operators whose memory, of sources whose position and of sinks whose
      prepared work is forgotten at this start.

    Raises ValueError for values that make no sense.
    """

    __slots__ = ("batches", "forget", "from_epoch", "interval", "keep", "location", "patience")

    def __init__(
        self,
        location: str | os.PathLike[str] | Store,
        *,
        interval: float = 1.0,
        batches: int | None = None,
        keep: int = 2,
        patience: float = 300.0,
        from_epoch: int | None = None,
        forget: Iterable[str] = (),
    ) -> None:
        if not interval > 0:
            raise ValueError(f"interval is a number of seconds above 0, not {interval!r}")
        for option, value in (("batches", batches), ("from_epoch", from_epoch)):
            if value is not None and not is_count(value):
                raise ValueError(f"{option} is 1 or more, or None, not {value!r}")
        if not is_count(keep):
            raise ValueError(f"keep is 1 or more, not {keep!r}")
        if not patience >= 0:
            raise ValueError(f"patience is a number of seconds, 0 or more, not {patience!r}")
        if isinstance(forget, str):
            raise ValueError(f"forget is a list of names, not {forget!r}")
        self.location = location
        self.interval = interval
        self.batches = batches
        self.keep = keep
        self.patience = patience
        self.from_epoch = from_epoch
        self.forget = frozenset(forget)

    def store(self) -> Store:
        """The store at this location. Raises ValueError for one that is no location."""
        if isinstance(self.location, Store):
            return self.location
        from ..stores.locate import store_at

        return store_at(self.location)
