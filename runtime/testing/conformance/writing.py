"""A sink under test: how it is opened, written to and read back."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Generic, Literal, TypeVar

from ...contracts import Sink
from ...dataclass import dataclass
from ..caller import Caller
from ..contexts import context, instance
from .expecting import in_time

__all__ = ["SinkCase", "held", "opened", "write"]

R = TypeVar("R")


# Without slots: on Python 3.11, `Case[int](…)` fails for a frozen generic class that has them.
@dataclass(frozen=True)
class SinkCase(Generic[R]):
    """A sink, what it is given, and how to read it back.

    `make` returns a new prototype that writes to the target; `read_back`, plain or async, returns
    the records that the target shows to anybody now. Each check needs a target of its own, new
    and empty. `bad` are records that must be rejected alone. `again` says what a second job does
    with what the first one wrote: "replaces" or "appends". `delivered` says when a record can be
    read in a job without a store: after its "write", or, of a file that can only be read when it
    is whole, after the "close". `patience` limits each step that is no write, in seconds of the
    loop's time (10).

    >>> import asyncio
    >>> from thalweg.operators import sinks
    >>> from thalweg.testing import SINK_CHECKS
    >>> async def run(check):
    ...     held = []
    ...     await check(SinkCase(lambda: sinks.collect(held), range(30), lambda: held,
    ...                          again="appends"))
    >>> for check in SINK_CHECKS:
    ...     asyncio.run(run(check))
    """

    make: Callable[[], Sink[R]]
    records: Sequence[R]
    read_back: Callable[[], Sequence[R] | Awaitable[Sequence[R]]]
    bad: Sequence[object] = ()
    again: Literal["replaces", "appends"] = "replaces"
    patience: float = 10.0
    delivered: Literal["write", "close"] = "write"

    def __post_init__(self) -> None:
        if self.again not in ("replaces", "appends"):
            raise ValueError(f"again is 'replaces' or 'appends', not {self.again!r}")
        if self.delivered not in ("write", "close"):
            raise ValueError(f"delivered is 'write' or 'close', not {self.delivered!r}")


@asynccontextmanager
async def opened(case: SinkCase[Any]) -> AsyncGenerator[Sink[Any]]:
    """A sink as in a job without a store, which is closed in any case."""
    sink = instance(case.make())
    try:
        await in_time(sink.open(context()), case.patience, "open")
        yield sink
    finally:
        await in_time(sink.close(), case.patience, "close")


async def write(sink: Sink[Any], records: Sequence[object]) -> None:
    """Write records that are good."""
    answer = await Caller(sink).call(records)
    for index, (error, _) in answer.rejected.items():
        raise AssertionError(
            f"{records[index]!r} was rejected with {error!r}: the case calls it good"
        ) from error


async def held(case: SinkCase[Any]) -> list[object]:
    """What the target shows now."""
    found = case.read_back()
    return list(await found if inspect.isawaitable(found) else found)
