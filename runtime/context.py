"""What an operator is given when it opens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ParamSpec, Protocol, TypeVar

from .counters import Counter, Counters

__all__ = ["Context"]

P = ParamSpec("P")
T = TypeVar("T")


class ThreadHost(Protocol):
    """Runs a plain function in a thread; `limit` is how many at once."""

    def __call__(self, function: Callable[[], T], /) -> Awaitable[T]: ...


class Context:
    """What an operator may ask of the runtime: its name, a thread, a counter.

    `graph` and `node` are the names it stands under.

    >>> from thalweg.testing import context
    >>> given = context(graph="iris", node="score")
    >>> given.counter("pages_read", "Pages that were read").add(3)
    >>> given.graph, given.node
    ('iris', 'score')
    """

    __slots__ = ("_counters", "_thread", "graph", "node")

    def __init__(self, graph: str, node: str, *, thread: ThreadHost, counters: Counters) -> None:
        self.graph = graph
        self.node = node
        self._thread = thread
        self._counters = counters

    async def in_thread(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a plain function that blocks or computes in a thread of the job, and await it.

        When the caller is cancelled the thread's result is dropped: a thread cannot be stopped.
        """
        return await self._thread(lambda: function(*args, **kwargs))

    def counter(self, name: str, help: str, **labels: str) -> Counter:  # noqa: A002
        """A counter of the operator's own, exported as `thalweg_<name>_total`.

        Keep what this returns and `add` to it once per batch. A name has at most 1,000 sets of
        label values; what is beyond is counted under the label values `_other`.
        """
        return self._counters.counter(self.node, name, help, labels)
