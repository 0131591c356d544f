"""What an operator is given when it opens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

from .counters import Counter, Counters

if TYPE_CHECKING:
    from pathlib import Path

    from .tables.tables import Tables

__all__ = ["Context", "Fence"]

P = ParamSpec("P")
T = TypeVar("T")


class ThreadHost(Protocol):
    """Runs a plain function in a thread; `limit` is how many at once."""

    def __call__(self, function: Callable[[], T], /) -> Awaitable[T]: ...


class Fence(Protocol):
    """What a sink that commits needs to know of the state that its job goes on from.

    `lineage` names that state: a job that begins anew, with epoch 1, has another. `token` grows
    with each start on it, so that a target can refuse what an older copy of the job still sends.
    """

    @property
    def lineage(self) -> str:
        """The name of the state, made when a job first began on it."""
        ...

    @property
    def token(self) -> int:
        """Larger for each later start of the job."""
        ...

    async def check(self) -> None:
        """Raise `StateLost` if another copy of the job has taken over."""
        ...


class Context:
    """What an operator may ask of the runtime: its name, a thread, a counter.

    `graph` and `node` are the names it stands under. `fence` is there when the job has a store,
    and None when it has none: then nothing will ever be prepared or committed. `folder` is one
    beside the state, for what is too large for it; None where the state has none. `tables` are
    those of the job.

    >>> from thalweg.testing import context
    >>> given = context(graph="iris", node="score")
    >>> given.counter("pages_read", "Pages that were read").add(3)
    >>> given.graph, given.node
    ('iris', 'score')
    """

    __slots__ = ("_compute", "_counters", "_thread", "fence", "folder", "graph", "node", "tables")

    def __init__(
        self,
        graph: str,
        node: str,
        *,
        thread: ThreadHost,
        counters: Counters,
        fence: Fence | None = None,
        compute: ThreadHost | None = None,
        folder: Path | None = None,
        tables: Tables | None = None,
    ) -> None:
        self.graph = graph
        self.node = node
        self.fence = fence
        self.folder = folder
        if tables is None:
            from .tables.tables import Tables  # Few need them, and all import this.

            tables = Tables()
        self.tables = tables
        self._thread = thread
        self._compute = thread if compute is None else compute
        self._counters = counters

    async def in_thread(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a plain function that blocks or computes in a thread of the job, and await it.

        When the caller is cancelled the thread's result is dropped: a thread cannot be stopped.
        """
        return await self._thread(lambda: function(*args, **kwargs))

    async def compute(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As `in_thread`, for what keeps a processor busy and lets others run, as Arrow does.

        No more of it is done at once than there are processors: it must not wait for anything.
        """
        return await self._compute(lambda: function(*args, **kwargs))

    def counter(self, name: str, help: str, **labels: str) -> Counter:  # noqa: A002
        """A counter of the operator's own, exported as `thalweg_<name>_total`.

        Keep what this returns and `add` to it once per batch. A name has at most 1,000 sets of
        label values; what is beyond is counted under the label values `_other`.
        """
        return self._counters.counter(self.node, name, help, labels)
