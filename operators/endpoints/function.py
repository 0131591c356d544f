"""A Python callable as a model."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from ...runtime.contracts import (
    BusyError,
    Context,
    DataError,
    MisconfiguredError,
    MissingExtra,
    UnavailableError,
)
from .endpoint import Answer, Endpoint
from .predictions import answer_of_rows

__all__ = ["Function", "answer_of", "function"]

Rows = list[dict[str, Any]]

_TYPED = (BusyError, DataError, MisconfiguredError, MissingExtra, UnavailableError)


class Function(Endpoint):
    """See `function`."""

    def __init__(self, call: Callable[[Rows], Sequence[Any] | Awaitable[Sequence[Any]]]) -> None:
        if not callable(call):
            raise TypeError(f"function() takes a callable, not a {type(call).__name__}")
        self._call = call
        self._name = str(getattr(call, "__qualname__", type(call).__qualname__))
        self._is_async = inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(
            getattr(call, "__call__", None)  # noqa: B004
        )

    def __repr__(self) -> str:
        return f"function({self._name})"

    async def open(self, context: Context) -> None:
        self._context = context

    async def predict(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        named: Rows = [dict(zip(fields, row, strict=True)) for row in rows]
        call = cast("Callable[[Rows], Any]", self._call)
        try:
            if self._is_async:
                results = await call(named)
            else:
                results = await self._context.in_thread(call, named)
        except _TYPED:
            raise
        except Exception as error:
            told = DataError(f"{self._name} raised {type(error).__name__}: {error}")
            # The line of the user's function, not one of this file, is where it happened.
            raise told.with_traceback(error.__traceback__) from error
        return answer_of(results, len(rows), self._name)


def answer_of(results: Any, count: int, name: str) -> Answer:
    """The results of the callable `name` as an answer; DataError where they are not `count`."""
    if hasattr(results, "tolist"):
        results = results.tolist()
    try:
        return answer_of_rows(results, count)
    except ValueError as error:
        raise DataError(f"{name} returned {error}") from None


def function(call: Callable[[Rows], Sequence[Any] | Awaitable[Sequence[Any]]]) -> Endpoint:
    """A Python callable as a model.

    >>> def longest(flowers):
    ...     return [flower["length"] > 5.0 for flower in flowers]
    >>> function(longest)
    function(longest)

    It takes a list of dicts of model fields and returns one result for each, in their order: a
    dict of answer fields, or a value, which becomes the field `prediction`. A field that only some
    results have is None in the others. A plain callable runs in a thread, several calls side by
    side; an async one runs on the loop. What it raises blames the data: the batch is halved until
    the bad record stands alone. So does a wrong number of results.

    Raises TypeError for what cannot be called.
    """
    return Function(call)
