"""Lanes in event time: how far each has come, which of them are heard from, and the watermark."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

from .seen_times import SeenTimes
from .signals import Watermark

__all__ = ["Lane", "Lanes"]

Lane = tuple[str, str]
"""A source and a lane of it."""

_UNHEARD: Lane = ("", "\0")
"""Stands for the lanes that nobody has heard from yet, until the first one is."""

_LOOKS = 8


class Lanes:
    """Judges which records are late, lane by lane, and knows the watermark of all together.

    A record is late when it is more than `lateness` seconds older than the newest one before it in
    its own lane. So what is late does not depend on how lanes are mixed or batches are cut.

    The watermark is the least of all lanes' newest, less `lateness`; it never goes back. A lane
    that is not heard from for `idle_after` seconds is left out, until it is heard from again.
    These seconds are counted by looks, each for no more than an eighth of them: of the time in
    which nobody could look, since the process stood still, most is not counted.

    Where a source says which of its lanes are `left`, the watermark stands still until all of them
    have been heard from, however long that takes; and one that has ended is left out at once.
    """

    __slots__ = (
        "_awake",
        "_changed",
        "_heard",
        "_idle_after",
        "_lateness",
        "_least",
        "_looked",
        "_quiet",
        "_resting",
        "_to_come",
        "_told",
        "known",
        "seen",
    )

    def __init__(self, lateness: float, idle_after: float | None) -> None:
        self._lateness = lateness
        self._idle_after = idle_after
        self._awake: dict[Lane, float] = {_UNHEARD: -math.inf}
        """The newest of each lane, the one first that was heard from longest ago."""
        self._heard: dict[Lane, float] = {_UNHEARD: 0.0}
        self._resting: dict[Lane, float] = {}
        self._to_come: set[Lane] = set()
        """Those that were told to be left, and that nobody has heard from."""
        self._quiet = 0.0
        self._looked: float | None = None
        self._least: Lane | None = None
        self._changed = True
        self._told = Watermark(-math.inf)
        self.known = False
        """Whether a record of any lane has been judged."""
        self.seen: SeenTimes | None = None
        """What the times were, for whoever wants to know; None while nobody does."""

    def judge(self, lane: Lane, times: Sequence[float]) -> list[int]:
        """Take in the next records of a lane; return the indices of those that are late."""
        if self.seen is not None:
            self.seen.note(times)
        latest = max(times)
        newest = self._heard_from(lane, latest)
        latest, lateness = max(newest, latest), self._lateness
        if min(times) >= latest - lateness:
            return []
        if times[0] >= newest - lateness and times == sorted(times):
            return []  # As they mostly come: none is older than the one before it.
        before = accumulate(times, max, initial=newest)
        return [
            index
            for index, (at, high) in enumerate(zip(times, before, strict=False))
            if at < high - lateness
        ]

    def judge_column(self, lane: Lane, seconds: Any) -> list[int]:
        """As `judge`, for times that stand in an array of Arrow."""
        from .column_times import as_times, bounds, late_among

        if self.seen is not None:
            self.seen.note(as_times(seconds))
        least, latest = bounds(seconds)
        newest = self._heard_from(lane, latest)
        if least >= max(newest, latest) - self._lateness:
            return []
        return late_among(seconds, newest, self._lateness)

    def _heard_from(self, lane: Lane, latest: float) -> float:
        """Note how far a lane has come; return how far it had come before."""
        awake, newest = self._awake, self._awake.pop(lane, None)
        if newest is None:
            newest = self._resting.pop(lane, -math.inf)
            awake.pop(_UNHEARD, None)
            self._to_come.discard(lane)
            self._changed = self.known = True
        elif lane == self._least:
            self._changed = True
        awake[lane] = max(newest, latest)
        self._heard[lane] = self._quiet
        return newest

    def left(self, source: str, lanes: Iterable[str] | None) -> None:
        """Wait for these lanes of a source, and for no others; None: for those that are heard."""
        self._to_come = {lane for lane in self._to_come if lane[0] != source}
        self._changed = True
        if lanes is None:
            return
        left = {(source, lane) for lane in lanes}
        for known in (self._awake, self._resting):
            for lane in [one for one in known if one[0] == source and one not in left]:
                del known[lane], self._heard[lane]
        self._to_come |= left - self._awake.keys() - self._resting.keys()

    def look(self, now: float) -> None:
        """Count the time since the last look, and leave out the lanes that it is too long for."""
        if self._idle_after is None:
            return
        if self._looked is not None:
            self._quiet += min(now - self._looked, self._idle_after / _LOOKS)
        self._looked = now
        over = self._quiet - self._idle_after
        while self._awake and self._heard[lane := next(iter(self._awake))] <= over:
            newest = self._awake.pop(lane)
            if lane != _UNHEARD:
                self._resting[lane] = newest
            self._changed = True

    def patience(self) -> float | None:
        """Seconds until somebody should look again; None when nothing would come of it."""
        if self._idle_after is None or not self._awake:
            return None
        return self._idle_after / _LOOKS

    def awoken(self) -> Watermark | None:
        """What must be told before the next record, after all were idle."""
        if not self._told.idle or not (self._awake or self._to_come):
            return None
        self._told = Watermark(self._told.at)
        return self._told

    @property
    def changed(self) -> bool:
        """Whether there may be news."""
        return self._changed

    def news(self) -> Watermark | None:
        """The watermark, if there is anything new to be told of it."""
        if not self._changed:
            return None
        self._changed = False
        awake, told = self._awake, self._told
        if self._to_come:
            self._least, mark = None, Watermark(told.at)
        elif not awake:
            self._least, mark = None, Watermark(told.at, idle=True)
        else:
            self._least = min(awake, key=awake.__getitem__)
            mark = Watermark(max(told.at, awake[self._least] - self._lateness))
        if mark == told:
            return None
        self._told = mark
        return mark

    def told(self) -> Watermark | None:
        """What was told last; None when nothing was, or nothing of use."""
        return self._told if self._told.at > -math.inf else None

    def snapshot(self) -> bytes:
        """All that must be remembered, as bytes."""
        lanes = [[*lane, at] for lane, at in {**self._resting, **self._awake}.items()]
        known = [one for one in lanes if one[1] != _UNHEARD[1]]
        saved = {"watermark": self._told.at, "lanes": known, "to_come": sorted(self._to_come)}
        return json.dumps(saved).encode()

    def restore(self, data: bytes) -> None:
        """Remember this; every lane counts as just heard from, so that none is left out too soon.

        What piled up in one lane while nothing ran may be read later than that of another.
        """
        saved = json.loads(data)
        lanes = {(source, lane): at for source, lane, at in saved["lanes"]}
        if lanes:
            self._awake, self.known = lanes, True
            self._heard = dict.fromkeys(lanes, self._quiet)
        self._to_come = {(source, lane) for source, lane in saved.get("to_come", ())}
        self._told = Watermark(saved["watermark"])
