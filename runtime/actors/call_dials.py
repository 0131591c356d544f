"""The settings of a node that calls while it runs: set by hand, or by a controller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..concurrency import Concurrency
from ..tuning.controller import Controller
from ..tuning.decisions import Decisions
from ..tuning.dials import Dials
from ..tuning.meter import CallMeter
from ..tuning.objective import Throughput
from .crew import Crew

if TYPE_CHECKING:
    from .regroup_actor import RegroupActor

__all__ = ["CallDials"]

_LOOKS = 0.1
"""Seconds between two looks of the controller."""


class CallDials:
    """How many calls at once, and how the `batch` before the node cuts: `feeder`, if there is one.

    With a `goal` a controller turns them while the node runs. `resized` is told of a new number of
    calls at once.
    """

    def __init__(
        self,
        crew: Crew,
        *,
        permits: Concurrency | None,
        meter: CallMeter,
        goal: Throughput | None,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        resized: Callable[[int], None],
    ) -> None:
        self.feeder: RegroupActor | None = None
        self.controller: Controller | None = None
        self.decisions = None if goal is None else Decisions()
        """What a controller has decided, also where it was told to leave the node alone since."""
        self._crew = crew
        self._permits = permits
        self._meter = meter
        self._goal = goal
        self._loop = loop
        self._clock = clock
        self._resized = resized
        self._timer: asyncio.TimerHandle | None = None

    @property
    def now(self) -> Dials:
        """The settings in force."""
        rule = None if self.feeder is None else self.feeder.rule
        if rule is None:
            return Dials(self._crew.size)
        return Dials(self._crew.size, rule.max_batch_size, rule.linger)

    def set(self, dials: Dials) -> None:
        """Work with these from now on."""
        size = dials.max_in_flight
        if size != self._crew.size:
            if self._permits is not None:
                self._permits.most = size
            self._crew.size = size
            self._resized(size)
        if self.feeder is not None:
            self.feeder.adjust(dials.max_batch_size, dials.linger)

    def start(self) -> None:
        """Have the controller begin, where there is a goal."""
        if self._goal is None:
            return
        self.controller = Controller(self._goal, self.now, self.set, self._clock, self.decisions)
        self._meter.listener = self.controller
        self._tick()

    def by_hand(self, dials: Dials) -> None:
        """Set them, and leave the controller out of it from now on."""
        self.stop()
        self._goal = None
        self._meter.listener = None
        self.controller = None
        self.set(dials)

    def stop(self) -> None:
        """No look of the controller will follow."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        if self.controller is not None:
            self.controller.look()
            self._timer = self._loop.call_later(_LOOKS, self._tick)
