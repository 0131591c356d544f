"""What a server does wrong, or slowly, on purpose: to rehearse what a client makes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, cast

from ...runtime.dataclass import dataclass
from ...runtime.did_you_mean import did_you_mean
from ...runtime.durations import in_seconds
from ...runtime.errors import ThalwegError

__all__ = ["Faults", "FaultsError"]

_DURATIONS = frozenset(("latency", "jitter", "per_row", "retry_after"))
_COUNTS = frozenset(("workers", "queue", "seed"))
_LIMITS = {"status": (400, 599), "queue": (-1, math.inf), "seed": (-math.inf, math.inf)}
_CHANCES = (
    "busy",
    "reset",
    "hang",
    "error",
    "html",
    "truncated",
    "cut",
    "short_rows",
    "long_rows",
)


class FaultsError(ThalwegError):
    """Faults that make no sense; the message names those that do."""


@dataclass(frozen=True, slots=True)
class Faults:
    """How a scoring server behaves on purpose, in requests for scores.

    >>> Faults.parsed("latency=5ms,per_row=20us,workers=8,error=0.01")
    Faults(latency=0.005, per_row=2e-05, workers=8, error=0.01)

    Time: each request keeps a worker busy for `latency` + `per_row` times its rows, + up to
    `jitter` more, evenly distributed (seconds, 0). The model's own computing is part of that time,
    and adds to it only where it takes longer. `workers` work at once and the others wait in the
    order they came (0: as many as there are requests); up to `queue` wait, and who comes then is
    answered as busy (-1: no limit). `rate` requests a second are taken, with bursts of a second's
    worth, and the others are answered as busy (0: no limit).

    Chances, from 0 to 1, of which at most one happens to a request: `busy` answers 429 with
    `retry_after` (seconds, 1); `reset` breaks the connection; `hang` keeps it and never answers;
    `error` answers `status` (500); `html` answers 200 with a page; `truncated` answers half of the
    JSON as if it were all; `cut` ends the connection in the middle of the answer; `short_rows` and
    `long_rows` answer one row less, or more. The first three need no worker, the others take as
    long as an answer. Which request gets what depends on `seed` (0) and its turn alone.

    Raises FaultsError for values that make no sense.
    """

    latency: float = 0.0
    jitter: float = 0.0
    per_row: float = 0.0
    workers: int = 0
    queue: int = -1
    rate: float = 0.0
    busy: float = 0.0
    retry_after: float = 1.0
    reset: float = 0.0
    hang: float = 0.0
    error: float = 0.0
    status: int = 500
    html: float = 0.0
    truncated: float = 0.0
    cut: float = 0.0
    short_rows: float = 0.0
    long_rows: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            self._check(field.name, getattr(self, field.name))
        if sum(self.chances.values()) > 1 + 1e-9:
            told = ", ".join(f"{name} {chance:g}" for name, chance in self.chances.items())
            raise FaultsError(f"one fault at most happens to a request, but {told} are above 1")
        if self.queue >= 0 and not self.workers:
            raise FaultsError("queue goes with workers: without them nobody waits")

    def __repr__(self) -> str:
        """Only what is not as always."""
        told = ", ".join(f"{name}={value!r}" for name, value in self._unusual().items())
        return f"Faults({told})"

    @property
    def chances(self) -> dict[str, float]:
        """The chance of each fault that has one."""
        every = {name: cast(float, getattr(self, name)) for name in _CHANCES}
        return {name: chance for name, chance in every.items() if chance}

    def as_dict(self) -> dict[str, float]:
        """All of them, as JSON tells them: times in seconds."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def changed(self, said: Mapping[str, object]) -> Faults:
        """These faults with others in their place, as JSON says them: `{"latency": "10ms"}`.

        Times are seconds or text with a unit. Raises FaultsError for what is unknown or wrong.
        """
        read: dict[str, Any] = {name: _read(name, value) for name, value in said.items()}
        return replace(self, **read)

    @classmethod
    def parsed(cls, text: str) -> Faults:
        """The faults that a text says, as `latency=20ms,error=0.01`; times have a unit.

        Raises FaultsError for what is unknown, wrong, or said twice.
        """
        said: dict[str, object] = {}
        for part in text.split(","):
            name, equals, value = (word.strip() for word in part.partition("="))
            if not equals or not value:
                raise FaultsError(f"faults are NAME=VALUE,…, such as latency=20ms, not {part!r}")
            if name in said:
                raise FaultsError(f"the fault {name} is said twice")
            said[name] = _number(name, value)
        return cls().changed(said)

    def _unusual(self) -> dict[str, float]:
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }

    def _check(self, name: str, value: object) -> None:
        """Options are given unchecked, as to any function."""
        whole = name in _COUNTS or name == "status"
        kind = int if whole else int | float
        if not isinstance(value, kind) or isinstance(value, bool) or not math.isfinite(value):
            raise FaultsError(f"{name} is {_what(name)}, not {value!r}")
        low, high = _LIMITS.get(name, (0, 1 if name in _CHANCES else math.inf))
        if not low <= value <= high:
            raise FaultsError(f"{name} is {_what(name)}, not {value!r}")


def _read(name: str, value: object) -> object:
    """A value as JSON has it. `Faults` checks what it is worth."""
    names = [field.name for field in fields(Faults)]
    if name not in names:
        meant = did_you_mean(name, names)
        raise FaultsError(f"there is no fault {name!r}{meant}; there are {', '.join(names)}")
    if name in _DURATIONS and isinstance(value, str):
        try:
            return round(in_seconds(value, name), 12)
        except ValueError:
            raise FaultsError(f"{name} is {_what(name)}, not {value!r}") from None
    return value


def _number(name: str, text: str) -> object:
    """A value as it stands in a text: a number, or what is left as it is for `_read` to judge."""
    if name in _DURATIONS and text != "0" and name != "retry_after":
        return text  # A number without a unit could be seconds or milliseconds: not guessed.
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _what(name: str) -> str:
    if name == "retry_after":
        return "a time such as 200ms, or a number of seconds, 0 or more"
    if name in _DURATIONS:
        return "a time with its unit such as 20ms or 50us, 0 or more"
    if name in _CHANCES:
        return "a chance from 0 to 1"
    return {
        "status": "an HTTP status from 400 to 599",
        "rate": "a number of requests a second, 0 or more (0: no limit)",
        "queue": "a whole number, 0 or more (-1: no limit)",
        "workers": "a whole number, 0 or more (0: no limit)",
        "seed": "a whole number",
    }[name]
