"""What goes wrong in a simulation, and when: planned by a seed before it begins."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection
from dataclasses import field

from ...dataclass import dataclass

__all__ = ["FAULTS", "Census", "Fault", "Happened", "checked_kinds", "planned"]

FAULTS = (
    "process",
    "actor",
    "suspend",
    "delay",
    "refuse",
    "answer",
    "clock",
    "store",
    "broker",
)
"""What may go wrong, by name: the process is killed; an actor is killed, which fails the job; the
job is suspended; a call to the outside takes long, or is refused, or is done and its answer lost;
the clock of the machine jumps by an hour; the store goes away, is full, or is damaged; the broker
loses its connection."""

_AT_CALLS = ("process", "delay", "refuse", "answer")
_AT_TURNS = ("process", "actor", "suspend", "clock", "store", "broker")
_WEIGHTS = {"process": 4, "actor": 2, "delay": 2, "refuse": 2, "answer": 2, "store": 2}

_OFTEN = {"write": 4, "prepare": 4, "save": 4, "commit": 4, "deliver": 2, "ack": 4}
"""How likely something goes wrong with a call of this name; the others are of opening."""

_RARE, _SELDOM = ("load", "commit"), 3
"""Calls that a run without faults makes seldom, as those of a restart, count as so many."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong: at a turn of the loop, or at the n-th call of a name.

    `seed` decides what is left open here, such as for how long.
    """

    kind: str
    seed: int
    turn: int | None = None
    call: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Happened:
    """A fault that was injected: when, in virtual seconds since the first start, and what it was.

    >>> print(Happened(1.5, "the process is killed"))
    at 1.500 s: the process is killed
    """

    at: float
    what: str

    def __str__(self) -> str:
        return f"at {self.at:,.3f} s: {self.what}"


@dataclass(slots=True)
class Census:
    """How long a run was: its turns of the loop, and its calls to the outside by name."""

    turns: int = 0
    calls: Counter[str] = field(default_factory=Counter[str])


def checked_kinds(kinds: Collection[str]) -> tuple[str, ...]:
    """These kinds in their usual order. Raises ValueError for one that is none."""
    if isinstance(kinds, str):
        raise ValueError(f"faults is a list of names, such as [{kinds!r}], not {kinds!r}")
    strange = [kind for kind in kinds if kind not in FAULTS]
    if strange:
        raise ValueError(f"faults are {', '.join(FAULTS)}, not {strange[0]!r}")
    return tuple(kind for kind in FAULTS if kind in kinds)


def planned(seed: int, census: Census, kinds: Collection[str]) -> list[Fault]:
    """The faults of a seed, for a run that without them is as long as `census` says.

    Later ones may stand behind the end of that, for the starts that follow.
    """
    chance = random.Random(f"faults {seed}")
    kinds = [kind for kind in kinds if kind != "broker" or census.calls["deliver"]]
    if not kinds:
        return []
    weights = [_WEIGHTS.get(kind, 1) for kind in kinds]
    count = min(1 + int(chance.expovariate(0.4)), 10)
    found: list[Fault] = []
    for number, kind in enumerate(chance.choices(kinds, weights, k=count)):
        own = chance.getrandbits(32)
        # The first one stands where the run without faults would be; each may make it longer.
        longer = 1.0 + 0.2 * number
        if kind in _AT_CALLS and not (kind in _AT_TURNS and chance.random() < 0.5):
            names = sorted({*census.calls, *(_RARE if number else ())})
            name = chance.choices(names, [_OFTEN.get(name, 1) for name in names])[0]
            most = int(max(census.calls[name], _SELDOM if number else 1) * longer)
            found.append(Fault(kind, own, call=(name, chance.randrange(most))))
        else:
            turn = chance.randrange(1, 1 + int(census.turns * longer))
            found.append(Fault(kind, own, turn=turn))
    return found
