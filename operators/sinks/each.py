"""`each`: hand every record to a function."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from operator import length_hint
from types import CoroutineType
from typing import TypeVar, cast

from ...runtime.contracts import Outcome, Sink

__all__ = ["Each", "each"]

R = TypeVar("R")


class Each(Sink[R]):
    """The sink that `each` makes; see there."""

    def __init__(self, function: Callable[[R], object]) -> None:
        if not callable(function):
            raise TypeError(f"each takes a function of one record, not {function!r}")
        self._function = function
        self._awaited = _is_async(function)
        self.function = None if self._awaited else function

    async def write(self, records: Sequence[R]) -> Outcome[None] | None:
        """Hand over the records one by one, in order."""
        rejected = await self._call_async(records) if self._awaited else self._call(records)
        return None if rejected is None else Outcome([], rejected)

    def _call(self, records: Sequence[R]) -> dict[int, Exception] | None:
        function = self._function
        rejected: dict[int, Exception] | None = None
        result: object = None
        # A list's iterator knows how many are left, so the good path need not count.
        iterator = iter(records if isinstance(records, list) else list(records))
        while True:
            try:
                for record in iterator:
                    result = function(record)
                break
            except Exception as error:
                rejected = {} if rejected is None else rejected
                rejected[len(records) - length_hint(iterator) - 1] = error
        if isinstance(result, CoroutineType):
            result.close()
            raise TypeError(
                f"each was given {_name(function)}, a plain function that returns a coroutine:"
                " give the async function itself, or an async def around it"
            )
        return rejected

    async def _call_async(self, records: Sequence[R]) -> dict[int, Exception] | None:
        function = cast("Callable[[R], Awaitable[object]]", self._function)
        rejected: dict[int, Exception] = {}
        for index, record in enumerate(records):
            try:
                await function(record)
            except Exception as error:
                rejected[index] = error
        return rejected or None


def each(function: Callable[[R], object]) -> Each[R]:
    """Hand every record to a function, one at a time.

    >>> seen = []
    >>> sink = each(seen.append)

    Parameters: `function`, of one record, plain or async; what it returns is dropped. A plain one
    must not block: it runs on the loop.

    Raises TypeError for what cannot be called.

    - Emits when: never; a record is delivered when the function has returned.
    - Waits when: an async function does; the next record waits for it. A batch that takes longer
      than 60 s is a failure.
    - Ends when: its input does.
    - Order: that of the input.
    - State: none.
    - On error: a record for which the function raises is rejected alone, the rest go on.
    """
    return Each(function)


def _is_async(function: object) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004  an object with an async __call__
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _name(function: object) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))
