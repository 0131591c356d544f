"""The actor of `event_time`: it tells each record's time, and up to when all have come."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import cast

from ..batch import Batch, Records
from ..errors import DataError, MisconfiguredError
from ..event_time import EventTime
from ..lanes import Lanes
from ..nodes import Node
from ..origins import Origins
from ..signals import LanesLeft, Signal, Watermark
from ..timestamps import Mistyped, utc
from .actor import TURN_RECORDS
from .operator_actor import OperatorActor
from .surroundings import Surroundings

__all__ = ["Errors", "EventTimeActor"]

_SMALL = 32
"""Records: so many are asked for their times in one go."""

Errors = dict[int, Exception]
"""What was refused, by its place in the batch."""


class EventTimeActor(OperatorActor):
    """Puts the time beside each record, sends late ones to their port, and makes the watermark.

    A watermark that comes later than it could does no harm, so it is told when there is nothing
    more to read, or after a turn's worth of records: not once for each small batch.
    """

    def __init__(self, name: str, nodes: Sequence[Node], around: Surroundings) -> None:
        super().__init__(name, nodes, around, remembers=False)
        self._spec = cast("EventTime", nodes[0].work)
        self._untold = 0

    @property
    def lanes(self) -> Lanes:
        """How far each lane has come, and the watermark."""
        return self._spec.lanes

    async def work(self) -> None:
        """Read, judge and emit until the end."""
        self._spec.lanes.look(self.monotonic())
        told = self._spec.lanes.told()
        if told is not None:
            await self.forward(told)  # Who reads several streams would wait for the next one.
        await super().work()

    def _until_wake(self) -> float | None:
        return self._spec.lanes.patience()

    async def _wake_if_due(self) -> None:
        lanes = self._spec.lanes
        lanes.look(self.monotonic())
        if lanes.changed and self.inbox is not None and not self.inbox.ready():
            await self._tell()

    async def _heed(self, signal: Signal) -> None:
        if isinstance(signal, Watermark):
            return  # It was of another time, or of what has been read anew.
        await self._tell()
        if isinstance(signal, LanesLeft):
            await self._wait_for(signal)
        await self.forward(signal)

    async def _wait_for(self, left: LanesLeft) -> None:
        lanes = self._spec.lanes
        lanes.left(left.source, left.lanes)
        awoken = lanes.awoken()
        if awoken is not None:
            await self.forward(awoken)
        if self.inbox is not None and not self.inbox.ready():
            await self._tell()

    async def _tell(self) -> None:
        self._untold = 0
        mark = self._spec.lanes.news()
        if mark is not None:
            await self.forward(mark)

    async def _process(self, batch: Batch) -> None:
        records, counts = batch.records, self.each[0]
        count = len(records)
        counts.records_in += count
        origins = batch.came_from() or Origins.nowhere(count)
        if count <= _SMALL:
            values, errors = self._ask_now(records)
        else:
            values, errors = await self._ask(records)
        times = self._times_of(values, errors, origins)
        late = self._judge(origins, times, errors)
        awoken = self._spec.lanes.awoken()
        if awoken is not None:
            await self.forward(awoken)
        if errors:
            batch.receipt.fork()
            bad = [(index, records[index], errors[index], None) for index in sorted(errors)]
            await self.give_up(counts, bad, batch, receipt=batch.receipt, count=count)
        else:
            counts.streak = 0
        timed = origins.timed(times)
        out = records
        if late or errors:
            await self._send_late(batch, late, timed)
            gone = {*late, *errors}
            places = [index for index in range(count) if index not in gone]
            out = [records[index] for index in places]
            timed = timed.take(places)
        counts.records_out += len(out)
        if out:
            await self.emit(Batch(out, batch.receipt, timed, batch.born))
        else:
            batch.receipt.settle()
        await self._tell_in_time(count)

    async def _tell_in_time(self, count: int) -> None:
        """Tell the watermark after so many records more, or when there is nothing to read."""
        self._untold += count
        if self._untold >= TURN_RECORDS or (self.inbox is not None and not self.inbox.ready()):
            await self._tell()

    def _times_of(self, values: Records, errors: Errors, origins: Origins) -> list[float]:
        """The time of each record, NaN for one that has none; what is refused joins `errors`."""
        spec, most = self._spec, math.inf
        if spec.max_ahead is not None:
            most = self.around.clock.now() + spec.max_ahead
        if not errors:
            whole = spec.stamps.all_numbers(values)
            if whole is not None and max(whole) <= most:
                return whole
        known = spec.lanes.known
        times: list[float] = []
        for index, value in enumerate(values):
            at = math.nan
            if index not in errors:
                try:
                    at = self._time_of(value, most)
                    known = True
                except Mistyped as error:
                    if not known:
                        wrong = MisconfiguredError(str(error))
                        where = origins.take([index])
                        raise self.failure(wrong, "cannot tell the time", where) from None
                    errors[index] = error
                except DataError as error:
                    errors[index] = error
            times.append(at)
        return times

    def _time_of(self, value: object, most: float) -> float:
        at = self._spec.stamps.seconds(value)
        if at > most:
            ahead = at - self.around.clock.now()
            raise DataError(
                f"{utc(at)} is {ahead:,.0f} s ahead of the clock of this machine: are the unit and "
                f"the zone right? Up to max_ahead={self._spec.max_ahead:g} s is taken"
            )
        return at

    async def _ask(self, records: Records) -> tuple[Records, Errors]:
        """What the function returns for each record, and what it raised; others get their turns."""
        source = iter(records)
        values: Records = []
        errors: Errors = {}
        while len(values) < len(records):
            before, began = len(values), self.monotonic()
            self._ask_for(islice(source, self._slice), values, errors)
            self._pace(self.monotonic() - began, len(values) - before)
            if self.tired():
                await self.rest()
        return values, errors

    def _ask_now(self, records: Records) -> tuple[Records, Errors]:
        """As `_ask`, for a few records."""
        source = iter(records)
        values: Records = []
        errors: Errors = {}
        while len(values) < len(records):
            self._ask_for(source, values, errors)
        return values, errors

    def _ask_for(self, source: Iterator[object], values: Records, errors: Errors) -> None:
        """Ask for as many of these records as go well, and for one that does not."""
        try:
            values.extend(map(self._spec.function, source))
        except Exception as error:
            # What came before it is there, and the iterator stands behind it.
            errors[len(values)] = error
            values.append(None)

    def _judge(self, origins: Origins, times: list[float], errors: Errors) -> list[int]:
        """The indices of the records that are late, each judged in its own lane."""
        lanes = self._spec.lanes
        if len(origins.parts) == 1 and not errors:
            part = origins.parts[0]
            return lanes.judge((part.source, part.lane), times)
        late: list[int] = []
        start = 0
        for source, lane, count in origins.lanes():
            stop = start + count
            if not errors:
                late += [start + at for at in lanes.judge((source, lane), times[start:stop])]
            else:
                good = [index for index in range(start, stop) if index not in errors]
                if good:
                    found = lanes.judge((source, lane), [times[index] for index in good])
                    late += [good[at] for at in found]
            start = stop
        return late
