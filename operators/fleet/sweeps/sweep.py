"""One pass over all targets: what is still open in it, and how that is written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, cast

import orjson

from ....runtime.contracts import dataclass

__all__ = ["Pairs", "Sweep"]

Pairs = dict[str, list[str]]
"""The probes of each target, by their names."""


_KINDS = [int, int, float, float, float, int, dict, dict]
"""Of what kind the fields of a sweep are."""


@dataclass(slots=True)
class Sweep:
    """A sweep that has begun: `left` is what no result has been handed over for.

    `number` counts sweeps from 1. `first` is when the first of them began, in Unix seconds, and
    `began` when this one did, which its `id` may be ahead of: no two sweeps have the same. `last`
    is when a result was handed over at last. `of` is the number of its results. In single-shot mode
    `answered` is what will not be asked again.

    >>> sweep = Sweep.begin({"lab01": ["uptime"]}, now=1081948390.2, before=None)
    >>> sweep.hand_over("lab01", "uptime", now=1081948391.5)
    >>> sweep.id, sweep.of, sweep.left
    (1081948390, 1, {})
    """

    id: int
    number: int
    first: float
    began: float
    last: float
    of: int
    left: Pairs
    answered: Pairs = field(default_factory=Pairs)

    @classmethod
    def begin(cls, pairs: Mapping[str, list[str]], *, now: float, before: Sweep | None) -> Sweep:
        """One that asks all of these but what is answered already.

        Its id is the time, unless the clock went back.
        """
        answered: Pairs = {} if before is None else before.answered
        left: Pairs = {}
        for target, probes in pairs.items():
            known = answered.get(target, ())
            asked = [probe for probe in probes if probe not in known]
            if asked:
                left[target] = asked
        return cls(
            id=int(now) if before is None else max(int(now), before.id + 1),
            number=1 if before is None else before.number + 1,
            first=now if before is None else before.first,
            began=now,
            last=now,
            of=sum(map(len, left.values())),
            left=left,
            answered=answered,
        )

    def hand_over(self, target: str, probe: str, *, now: float, answer: bool = False) -> None:
        """A result has gone into the graph; `answer` says that it need not be asked again."""
        self.last = now
        probes = self.left.get(target)
        if probes is not None:
            if probe in probes:
                probes.remove(probe)
            if not probes:
                del self.left[target]
        if answer:
            self.answered.setdefault(target, []).append(probe)

    def written(self) -> str:
        """All of it, as text."""
        times = (self.first, self.began, self.last)
        return orjson.dumps(
            [self.id, self.number, *times, self.of, self.left, self.answered]
        ).decode()

    @classmethod
    def read(cls, text: str) -> Sweep:
        """What `written` wrote. Raises ValueError for anything else."""
        fields = cast("Sequence[object]", orjson.loads(text))
        if not isinstance(cast(object, fields), list) or [type(one) for one in fields] != _KINDS:
            raise ValueError("this is no sweep that was written down")
        return cls(*cast("Sequence[Any]", fields))
