"""`each`: hand every record to a function."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from operator import length_hint
from types import CoroutineType
from typing import Literal, TypeVar, cast, overload

from ...runtime.contracts import Outcome, Sink

__all__ = ["Each", "KeyedEach", "each"]

R = TypeVar("R")


class Each(Sink[R]):
    """The sink that `each` makes; see there."""

    def __init__(self, function: Callable[[R], object], *, name: str | None = None) -> None:
        if not callable(function):
            raise TypeError(f"each takes a function of one record, not {function!r}")
        self._name = _name(function) if name is None else name
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
                f"each was given {self._name}, a plain function that returns a coroutine:"
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


class KeyedEach(Sink[R]):
    """The sink that `each` makes; see there, at `keyed`."""

    def __init__(self, function: Callable[[R, str | None], object]) -> None:
        def of_pair(pair: tuple[R, str | None]) -> object:
            return function(*pair)

        async def of_pair_async(pair: tuple[R, str | None]) -> None:
            await cast("Callable[[R, str | None], Awaitable[object]]", function)(*pair)

        if not callable(function):
            raise TypeError(f"each takes a function of a record and its key, not {function!r}")
        self._each = Each(of_pair_async if _is_async(function) else of_pair, name=_name(function))

    async def write(self, records: Sequence[R]) -> Outcome[None] | None:
        """Hand over records that have no key."""
        return await self.write_keyed(records, [None] * len(records))

    async def write_keyed(
        self, records: Sequence[R], keys: Sequence[str | None]
    ) -> Outcome[None] | None:
        """Hand over the records one by one, in order, each with its key."""
        return await self._each.write(list(zip(records, keys, strict=True)))


@overload
def each(function: Callable[[R], object], *, keyed: Literal[False] = False) -> Each[R]: ...
@overload
def each(function: Callable[[R, str | None], object], *, keyed: Literal[True]) -> KeyedEach[R]: ...
def each(function: Callable[..., object], *, keyed: bool = False) -> Each[R] | KeyedEach[R]:
    """Hand every record to a function, one at a time.

    >>> seen = []
    >>> sink = each(seen.append)
    >>> async def pay(order: dict[str, object], key: str | None) -> None:
    ...     ...  # asks a service that does nothing for a key that it has seen
    >>> payments = each(pay, keyed=True)

    Parameters:

    - `function`, of one record, plain or async; what it returns is dropped. A plain one must not
      block: it runs on the loop.
    - `keyed`: also give it the record's key (False). With a store a record may come again after a
      crash, and then it has the same key: a target that knows the keys it has seen can pass over
      it. The key is text: source, lane and position, and a number where one record became
      several. It is None for a record that no single record of a source made.

    Raises TypeError for what cannot be called.

    - Emits when: never; a record is delivered when the function has returned.
    - Waits when: an async function does; the next record waits for it. A batch that takes longer
      than 60 s is a failure.
    - Ends when: its input does.
    - Order: that of the input.
    - State: none; with a store too, a record is handed over at least once.
    - On error: a record for which the function raises is rejected alone, the rest go on.
    """
    return KeyedEach(function) if keyed else Each(function)


def _is_async(function: object) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004  an object with an async __call__
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _name(function: object) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))
