"""Records as values that can be counted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from types import SimpleNamespace

import pytest

from thalweg import DeadLetter, Origin
from thalweg.runtime.dead_letters import Cause
from thalweg.runtime.testing.simulation.frozen import alike, frozen
from thalweg.runtime.trail import Attempt


def made(n: int) -> object:
    """An object of a class that is made anew each time, as by each load of a graph file."""

    @dataclass
    class Reading:
        n: int
        of: list[int]

    return Reading(n, [n])


class Slotted:
    __slots__ = ("n",)

    def __init__(self, n: int) -> None:
        self.n = n


class Colour(Enum):
    RED = 1
    BLUE = 2


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}, {"a": 1, "b": [3]}),
        ([1, {2, 3}], [1, {3, 2}], [1, {2, 4}]),
        (made(1), made(1), made(2)),
        (Slotted(1), Slotted(1), Slotted(2)),
        (SimpleNamespace(n=1), SimpleNamespace(n=1), SimpleNamespace(n=2)),
        (Colour.RED, Colour.RED, Colour.BLUE),
        (float("nan"), float("nan"), 0.0),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), 5),
        (1, 1, True),
        ((1,), (1,), [1]),
        (b"a", b"a", "a"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_says_the_same_is_the_same(one: object, same: object, other: object) -> None:
    assert frozen(one) == frozen(same)
    assert hash(frozen(one)) == hash(frozen(same))
    assert frozen(one) != frozen(other)


def test_a_dead_letter_is_the_same_however_often_it_was_tried() -> None:
    def letter(attempts: int, message: str = "bad") -> DeadLetter:
        origin = Origin("numbers", "", attempts)
        cause, history = Cause("ValueError", message), (Attempt(attempts, "BusyError", "", 1),)
        return DeadLetter("g", "node", origin, {"n": 1}, cause, attempts, history)

    assert frozen(letter(1)) == frozen(letter(3))
    assert frozen(letter(1)) != frozen(letter(1, "worse"))


def test_last_digits_do_not_count() -> None:
    assert alike(frozen({"p": [0.96291774511, "a"]}), frozen({"p": [0.96291774499, "a"]}))
    assert not alike(frozen({"p": 0.9629}), frozen({"p": 0.9630}))
    assert not alike(frozen({"p": 0.5}), frozen({"q": 0.5}))
    assert not alike(frozen([0.5]), frozen([0.5, 0.5]))
