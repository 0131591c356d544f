"""What became of the settings that a controller measured: counted, for metrics, and told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Literal, get_args

from .trial import Measured

__all__ = ["OUTCOMES", "Decisions", "Outcome"]

Outcome = Literal["kept", "slower", "over_bound", "confirmed", "changed", "starved", "failed"]
"""A step was kept, or was no faster, or broke the bound; the setting in force does what it did
before (or is measured for the first time), or does no longer; too little came to judge it; too many
calls came to nothing."""

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


class Decisions:
    """The outcomes of a controller's trials, and how often it drew back after a refusal.

    >>> from thalweg.runtime.tuning.dials import Dials
    >>> heard: list[str] = []
    >>> decisions = Decisions(lambda measured, outcome: heard.append(outcome))
    >>> decisions.note(Measured(Dials(8, 64), 900.0, 0.1, 0.2, 24, 0, 1.0, 8.0), "kept")
    >>> decisions.trials["kept"], heard
    (1, ['kept'])

    `told` hears of each trial as it is judged.
    """

    __slots__ = ("_told", "best", "refusals", "trials")

    def __init__(self, told: Callable[[Measured, Outcome], None] | None = None) -> None:
        self._told = told
        self.trials: Counter[Outcome] = Counter()
        self.refusals = 0
        self.best: Measured | None = None
        """The last measurement of a setting that was kept, or confirmed."""

    def note(self, measured: Measured, outcome: Outcome) -> None:
        """A trial has ended so."""
        self.trials[outcome] += 1
        if outcome in ("kept", "confirmed", "changed"):
            self.best = measured
        if self._told is not None:
            self._told(measured, outcome)
