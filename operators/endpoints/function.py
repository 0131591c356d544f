"""A Python callable as a model."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, cast

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

_MOST_WORKERS = 64
"""Each is waited for by a thread, and a job has so many."""

_TYPED = (BusyError, DataError, MisconfiguredError, MissingExtra, UnavailableError)


class Function(Endpoint):
    """See `function`."""

    def __init__(
        self,
        call: Callable[[Rows], Sequence[Any] | Awaitable[Sequence[Any]]],
        *,
        name: str,
        is_async: bool,
    ) -> None:
        self._call = call
        self._name = name
        self._is_async = is_async

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


def function(
    call: Callable[[Rows], Sequence[Any] | Awaitable[Sequence[Any]]],
    *,
    where: Literal["loop", "thread", "process"] | None = None,
    workers: int = 1,
) -> Endpoint:
    """A Python callable as a model.

    >>> def longest(flowers):
    ...     return [flower["length"] > 5.0 for flower in flowers]
    >>> function(longest)
    function(longest)
    >>> from statistics import mean
    >>> function(mean, where="process", workers=4)
    function(mean, where='process', workers=4)

    It takes a list of dicts of model fields and returns one result for each, in their order: a
    dict of answer fields, or a value, which becomes the field `prediction`. A field that only some
    results have is None in the others. What it raises blames the data: the batch is halved until
    the bad record stands alone. So does a wrong number of results.

    An async callable runs on the loop, a plain one in a thread, several calls side by side. In a
    process it computes beside the job, keeps no thread of it waiting for Python's lock, and can
    take no more than its own process with it: one that dies is replaced, and the call repeated; so
    is one whose call takes longer than the timeout of `score`, and that process is killed. Each
    process imports the callable by its name, so that it stands at the top of a module that can be
    imported; what it returns has to be something that pickle takes. Calls beyond the number of
    workers wait, and are timed while they do: let `max_in_flight` of `score` be about `workers`.

    Parameters: `call`, the callable; `where`, "loop" for an async one, "thread" or "process" for a
    plain one ("loop" or "thread", as it is); `workers`, the number of processes, 64 at most (1).
    Raises TypeError for what cannot be called or imported, ValueError for a wrong option. At the
    start, MisconfiguredError where a process cannot import it.
    """
    if not callable(call):
        raise TypeError(f"function() takes a callable, not a {type(call).__name__}")
    name = str(getattr(call, "__qualname__", type(call).__qualname__))
    is_async = inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(
        getattr(call, "__call__", None)  # noqa: B004
    )
    if where is not None and where not in ("loop", "thread", "process"):
        raise ValueError(f"where is 'loop', 'thread' or 'process', not {where!r}")
    if is_async and where not in (None, "loop"):
        raise ValueError(f"{name} is async, and runs on the loop: leave out where={where!r}")
    if not is_async and where == "loop":
        raise ValueError(
            f"{name} is not async, and would hold up the loop: say where='thread' or 'process'"
        )
    if not isinstance(cast(object, workers), int) or not 1 <= workers <= _MOST_WORKERS:
        raise ValueError(f"workers is a number from 1 to {_MOST_WORKERS}, not {workers!r}")
    if where != "process":
        if workers != 1:
            raise ValueError("workers is the number of processes: say where='process' with it")
        return Function(call, name=name, is_async=is_async)
    from .process_function import ProcessFunction  # it loads multiprocessing

    return ProcessFunction(call, name=name, workers=workers)
