"""How the functions that are called once are called: of a record, of a batch, a `BatchFunction`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import cast

from ..answers import Answer, checked
from ..batch import Records
from ..contracts import BatchFunction
from ..nodes import Node

__all__ = ["Invoke", "invocation"]

Invoke = Callable[[Records, "asyncio.Task[None]"], Awaitable[Answer]]
"""Calls for some records, in the task that is given."""


def invocation(node: Node) -> Invoke:
    """What calls the function of this node, whose calls are not repeated."""
    if isinstance(node.work, BatchFunction):
        return _of_batch_function(cast("BatchFunction[object, object]", node.work))
    if node.kind == "map_batch":
        return _of_batch(cast("Callable[[Records], Awaitable[Iterable[object]]]", node.work))
    return _of_record(node.kind, cast("Callable[[object], Awaitable[object]]", node.work))


def _of_batch_function(function: BatchFunction[object, object]) -> Invoke:
    async def invoke(records: Records, task: asyncio.Task[None]) -> Answer:
        outputs, rejected = checked(await function.call(records), len(records), True)
        return Answer(outputs, {index: (error, None) for index, error in rejected.items()})

    return invoke


def _of_batch(function: Callable[[Records], Awaitable[Iterable[object]]]) -> Invoke:
    async def invoke(records: Records, task: asyncio.Task[None]) -> Answer:
        return Answer(list(await function(list(records))), {})

    return invoke


def _of_record(kind: str, function: Callable[[object], Awaitable[object]]) -> Invoke:
    async def invoke(records: Records, task: asyncio.Task[None]) -> Answer:
        result = await function(records[0])
        if kind == "map":
            return Answer([result], {})
        if kind == "filter":
            return Answer(records[:1] if result else [], {})
        return Answer(list(cast("Iterable[object]", result)), {})

    return invoke
