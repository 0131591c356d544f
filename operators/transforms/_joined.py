"""What a join makes, and how two streams become the one that it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ...runtime.contracts import Stream

__all__ = ["LEFT", "Joined", "Sided", "both_sides", "checked_how"]

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
