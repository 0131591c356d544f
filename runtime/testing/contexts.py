"""A context and an instance for an operator that a test runs without a graph."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import TypeVar

from ..context import Context, Fence
from ..counters import Counters
from ..errors import StateLost
from ..state import KeyedState

__all__ = ["HeldFence", "context", "instance"]

T = TypeVar("T")


async def _in_thread(function: Callable[[], T]) -> T:
    return await asyncio.to_thread(function)


def context(*, graph: str = "test", node: str = "test", fence: Fence | None = None) -> Context:
    """A context as a job would give it, for an operator that a test opens by itself.

    >>> context(node="score").node
    'score'

    Threads come from the loop's default executor; counters count and are exported nowhere. With a
    `fence`, such as a `HeldFence`, it is that of a job with a store.
    """
    return Context(graph, node, thread=_in_thread, counters=Counters(), fence=fence)


class HeldFence:
    """A fence for `context`: it holds until it is told that another copy has taken over.

    >>> fence = HeldFence("state of today")
    >>> later = fence.taken_over()
    >>> later.lineage, later.token, fence.lost
    ('state of today', 2, True)

    Parameters: `lineage`, the name of the state; `token`, larger for each later start.
    """

    def __init__(self, lineage: str = "test", token: int = 1) -> None:
        self.lineage = lineage
        self.token = token
        self.lost = False

    def taken_over(self) -> HeldFence:
        """The fence of the copy that takes over; this one is lost from now on."""
        self.lost = True
        return HeldFence(self.lineage, self.token + 1)

    async def check(self) -> None:
        """Raise `StateLost` once another copy has taken over."""
        if self.lost:
            raise StateLost(f"another copy has taken over the state {self.lineage!r}")


def instance(prototype: T) -> T:
    """What a job makes of a prototype: a shallow copy, with keyed memory of its own."""
    made = copy.copy(prototype)
    for name, value in vars(made).items() if hasattr(made, "__dict__") else ():
        if isinstance(value, KeyedState):
            setattr(made, name, value.fresh())
    return made
