"""Run one operator without a graph."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import field
from typing import Any, Generic, TypeVar, cast, overload

from ..answers import Answer
from ..contracts import BatchFunction, Operator, Sink
from ..dataclass import dataclass
from ..dead_letters import DeadLetter, dead_letter
from ..errors import LateError, RuntimeFault
from ..origins import Origin
from ..signals import Watermark
from ..trail import Trail
from .caller import Caller
from .contexts import context, instance
from .stepping import Wake, asks_for_times, record_of, step

__all__ = ["Fed", "feed"]

R = TypeVar("R")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Fed(Generic[S]):
    """What became of the records: `records` that came out, `dead_letters` of those that failed.

    `late` are those that came too late for an operator that works by their times. See `feed`,
    which returns it.
    """

    records: list[S] = field(default_factory=list[S])
    dead_letters: list[DeadLetter] = field(default_factory=list[DeadLetter])
    late: list[object] = field(default_factory=list[object])


# Over a list of records and signals mypy cannot infer a precise type; so any object will do.
@overload
async def feed(
    thing: Operator[Any, S], records: Iterable[object], *, end: bool = True
) -> Fed[S]: ...
@overload
async def feed(
    thing: BatchFunction[R, S], records: Iterable[R], *, max_batch_size: int | None = None
) -> Fed[S]: ...
@overload
async def feed(
    thing: Sink[R], records: Iterable[R], *, max_batch_size: int | None = None
) -> Fed[R]: ...
@overload
async def feed(thing: Callable[[R], Awaitable[S]], records: Iterable[R]) -> Fed[S]: ...
@overload
async def feed(thing: Callable[[R], S], records: Iterable[R]) -> Fed[S]: ...
async def feed(
    thing: object,
    records: Iterable[object],
    *,
    end: bool = True,
    max_batch_size: int | None = None,
) -> Fed[Any]:
    """Run one operator over some records as a job would, and return what came of them.

    >>> import asyncio
    >>> def halve(number: int) -> int:
    ...     if number % 2:
    ...         raise ValueError(f"{number} is odd")
    ...     return number // 2
    >>> fed = asyncio.run(feed(halve, [2, 3, 4]))
    >>> fed.records
    [1, 2]
    >>> print(fed.dead_letters[0].record, fed.dead_letters[0].error.message)
    3 3 is odd

    `thing` is an `Operator`, a `BatchFunction`, a `Sink` or a function of a record, plain or
    async. A copy of it is opened with a context of its own and closed in any case. A record that
    fails becomes a dead letter with the origin `feed` and its index. A failure is raised here.

    Parameters: for an operator, `Watermark` and `Wake` may stand among the records, and `end`
    (True) says whether `on_end` is called; one that works by the times of records is fed each as
    `At(record, seconds)`. For a batch function and a sink, `max_batch_size` cuts
    the records (all in one batch); they are timed out, retried and halved as they say, and the
    pauses between take their time: use `run_virtual`. Of a sink, `records` are those delivered.
    """
    if max_batch_size is not None and max_batch_size < 1:
        raise ValueError(f"max_batch_size is 1 or more, or None, not {max_batch_size}")
    if isinstance(thing, Operator):
        return await _feed_operator(cast("Operator[object, object]", thing), records, end=end)
    plain = list(records)
    size = max_batch_size or len(plain)
    if isinstance(thing, BatchFunction):
        return await _feed_function(cast("BatchFunction[object, object]", thing), plain, size)
    if isinstance(thing, Sink):
        return await _feed_sink(cast("Sink[object]", thing), plain, size)
    if callable(thing):
        return await _feed_callable(thing, plain)
    raise TypeError(
        f"feed takes an Operator, a BatchFunction, a Sink or a function of a record, not {thing!r}"
    )


async def _feed_operator(
    prototype: Operator[object, object], records: Iterable[object], *, end: bool
) -> Fed[object]:
    fed: Fed[object] = Fed()
    operator = instance(prototype)
    try:
        await operator.open(context())
        index = 0
        for value in records:
            if isinstance(value, Watermark | Wake):
                fed.records.extend(step(operator, value))
                continue
            record = record_of(value)
            try:
                fed.records.extend(step(operator, value))
            except RuntimeFault:
                raise
            except Exception as error:
                if isinstance(error, LateError) and asks_for_times(operator):
                    fed.late.append(record)
                else:
                    fed.dead_letters.append(_dead_letter(index, record, error))
            index += 1
        if end:
            fed.records.extend(operator.on_end())
    finally:
        await operator.close()
    return fed


async def _feed_function(
    prototype: BatchFunction[object, object], records: list[object], size: int
) -> Fed[object]:
    fed: Fed[object] = Fed()
    function = instance(prototype)
    try:
        await function.open(context())
        caller = Caller(function)
        for first, batch in _cut(records, size):
            answer = await caller.call(batch)
            fed.records.extend(answer.records)
            fed.dead_letters.extend(_dead_letters(first, batch, answer))
    finally:
        await function.close()
    return fed


async def _feed_sink(prototype: Sink[object], records: list[object], size: int) -> Fed[object]:
    fed: Fed[object] = Fed()
    sink = instance(prototype)
    try:
        await sink.open(context())
        caller = Caller(sink)
        for first, batch in _cut(records, size):
            answer = await caller.call(batch)
            good = (each for index, each in enumerate(batch) if index not in answer.rejected)
            fed.records.extend(good)
            fed.dead_letters.extend(_dead_letters(first, batch, answer))
    finally:
        await sink.close()
    return fed


async def _feed_callable(
    function: Callable[[object], object], records: list[object]
) -> Fed[object]:
    fed: Fed[object] = Fed()
    for index, record in enumerate(records):
        try:
            made = function(record)
            fed.records.append(await made if inspect.isawaitable(made) else made)
        except Exception as error:
            fed.dead_letters.append(_dead_letter(index, record, error))
    return fed


def _cut(records: list[object], size: int) -> Iterator[tuple[int, list[object]]]:
    for first in range(0, len(records), size or 1):
        yield first, records[first : first + size]


def _dead_letters(first: int, batch: Sequence[object], answer: Answer) -> list[DeadLetter]:
    return [
        _dead_letter(first + index, batch[index], error, trail)
        for index, (error, trail) in sorted(answer.rejected.items())
    ]


def _dead_letter(
    index: int, record: object, error: Exception, trail: Trail | None = None
) -> DeadLetter:
    given = context()
    origin = Origin("feed", "", index)
    return dead_letter(given.graph, given.node, origin, record, error, trail)
