"""Actors that run plain functions, a slice of a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence

from ..nodes import Node
from .actor import Actor
from .surroundings import Surroundings

__all__ = ["SlicingActor"]

_FIRST_SLICE = 32
_LONGEST_SLICE = 65_536
_QUICK = 0.001
"""Seconds: a slice that takes less may grow, one that takes four times as much shrinks."""


class SlicingActor(Actor):
    """An actor that fits the slices it works in to the speed of its functions.

    The slice grows while it takes under a millisecond, up to whole batches, and shrinks when it
    takes long, so that slow functions do not hold up the loop.
    """

    def __init__(self, name: str, nodes: Sequence[Node], around: Surroundings) -> None:
        super().__init__(name, nodes, around)
        self._slice = _FIRST_SLICE

    def _pace(self, seconds: float, count: int) -> None:
        if seconds < _QUICK:
            if count >= self._slice:
                self._slice = min(2 * self._slice, _LONGEST_SLICE)
        elif seconds > 4 * _QUICK:
            self._slice = max(1, min(self._slice, count) // 2)
