"""What a function of a batch made of it, where some of its records are bad."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Generic, TypeVar

from .dataclass import dataclass

__all__ = ["Outcome"]

S_co = TypeVar("S_co", covariant=True)


@dataclass(frozen=True)
class Outcome(Generic[S_co]):
    """What a batch function made of a batch of which some records are bad.

    `records` holds one output for each record that is not in `rejected`, in their order;
    `rejected` maps the index of each bad record to the reason.

    >>> from thalweg import DataError
    >>> outcome = Outcome(["first", "third"], rejected={1: DataError("too long")})
    >>> list(outcome.rejected)
    [1]
    """

    records: Sequence[S_co]
    rejected: Mapping[int, Exception] = field(default_factory=dict[int, Exception])
