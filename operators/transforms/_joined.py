"""What a join makes, and how two streams become the one that it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ...runtime.contracts import Duration, in_seconds

if TYPE_CHECKING:
    from ...runtime.contracts import Stream

__all__ = ["LEFT", "Joined", "Sided", "both_sides", "checked_how", "checked_on", "checked_within"]

LEFT, RIGHT = 0, 1

Sided = tuple[int, tuple[Any, Any]]
"""A pair of key and record, and from which side it comes."""


class Joined(NamedTuple):
    """Two records that belong together; None stands for one that is not there.

    >>> Joined("a", {"n": 1}, None).left
    {'n': 1}
    """

    key: Any
    left: Any
    right: Any


def both_sides(
    name: str, left: Stream[tuple[Any, Any]], right: Stream[tuple[Any, Any]]
) -> Stream[Sided]:
    """The records of both streams in one, each with its side.

    A union: it keeps the order of each, aligns barriers, and its watermark is the lesser one.
    """
    one: Stream[Sided] = left.map(lambda pair: (LEFT, pair), name=f"{name}.left")
    other: Stream[Sided] = right.map(lambda pair: (RIGHT, pair), name=f"{name}.right")
    return one.union(other)


def checked_how(how: str, known: tuple[str, ...], instead: str) -> None:
    """Raise ValueError for a kind of join that there is not."""
    if how not in known:
        listed = ", ".join(f'"{one}"' for one in known)
        raise ValueError(f"how is one of {listed}, not {how!r}: {instead}")


def checked_within(within: Duration | tuple[Duration, Duration]) -> tuple[float, float]:
    """How much earlier and how much later, in seconds. Raises ValueError for anything else."""
    pair = within if isinstance(within, tuple) else (within, within)
    if len(pair) != 2:
        raise ValueError(f"within is a length of time or a pair of them, not {within!r}")
    before, after = (in_seconds(one, "within") for one in pair)
    return before, after


def checked_on(on: str | Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """The names by which is joined, each with the other side's. Raises ValueError for none."""
    if not isinstance(on, Mapping):
        on = {name: name for name in ((on,) if isinstance(on, str) else on)}
    if not on:
        raise ValueError("on names no field by which to join")
    return dict(on)
