"""A context and an instance for an operator that a test runs without a graph."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import TypeVar

from ..context import Context
from ..counters import Counters
from ..state import KeyedState

__all__ = ["context", "instance"]

T = TypeVar("T")


async def _in_thread(function: Callable[[], T]) -> T:
    return await asyncio.to_thread(function)


def context(*, graph: str = "test", node: str = "test") -> Context:
    """A context as a job would give it, for an operator that a test opens by itself.

    >>> context(node="score").node
    'score'

    Threads come from the loop's default executor; counters count and are exported nowhere.
    """
    return Context(graph, node, thread=_in_thread, counters=Counters())


def instance(prototype: T) -> T:
    """What a job makes of a prototype: a shallow copy, with keyed memory of its own."""
    made = copy.copy(prototype)
    for name, value in vars(made).items() if hasattr(made, "__dict__") else ():
        if isinstance(value, KeyedState):
            setattr(made, name, KeyedState[object, object]())
    return made
