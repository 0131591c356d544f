"""What the checks of all suites expect, and in which words they say that it is not so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from operator import eq
from typing import TypeVar

__all__ = ["expect", "in_time"]

T = TypeVar("T")


def expect(
    found: Sequence[T],
    expected: Sequence[T],
    what: str,
    same: Callable[[T, T], bool] = eq,
) -> None:
    """Raise AssertionError, naming the first difference, unless both are the same."""
    for index, (one, other) in enumerate(zip(found, expected, strict=False)):
        if not same(one, other):
            raise AssertionError(f"{what}: number {index} is {one!r}, not {other!r}")
    if len(found) > len(expected):
        extra = found[len(expected)]
        raise AssertionError(
            f"{what}: {len(found)} came, not {len(expected)}; the first too many is {extra!r}"
        )
    if len(found) < len(expected):
        missing = expected[len(found)]
        raise AssertionError(
            f"{what}: {len(found)} came, not {len(expected)}; the first that is missing is "
            f"{missing!r}"
        )


async def in_time(awaitable: Awaitable[T], patience: float, what: str) -> T:
    """Await something, but no longer than `patience` seconds by the loop's time."""
    limit = asyncio.timeout(patience)
    try:
        async with limit:
            return await awaitable
    except TimeoutError:
        if not limit.expired():
            raise
        raise AssertionError(
            f"{what} has not returned within {patience:g} s: let it return, or give the case a "
            "longer `patience`"
        ) from None
