"""The actor of `event_time`: it tells each record's time, and up to when all have come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from typing import cast

from ..batch import Batch, Records
from ..errors import DataError, MisconfiguredError
from ..event_time import EventTime
from ..nodes import Node
from ..origins import Origins
from ..signals import Signal, Watermark
from ..timestamps import Mistyped, utc
from .actor import TURN_RECORDS, Surroundings
from .operator_actor import OperatorActor

__all__ = ["EventTimeActor"]

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
        if self.inbox is not None and not self.inbox.ready():
            await self._tell()

    async def _heed(self, signal: Signal) -> None:
        if isinstance(signal, Watermark):
            return  # It was of another time, or of what has been read anew.
        await self._tell()
        await self.forward(signal)

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
        times, errors = await self._tell_times(batch, origins)
        late = self._judge(origins, times, errors)
        awoken = self._spec.lanes.awoken()
        if awoken is not None:
            await self.forward(awoken)
        if errors:
            batch.receipt.fork()
            bad = [(index, records[index], errors[index], 1) for index in sorted(errors)]
            await self.give_up(counts, bad, batch, receipt=batch.receipt, count=count)
        else:
            counts.streak = 0
        timed = origins.timed(times)
        await self._send_late(batch, late, timed)
        out = records
        if late or errors:
            gone = {*late, *errors}
            places = [index for index in range(count) if index not in gone]
            out = [records[index] for index in places]
            timed = timed.take(places)
        counts.records_out += len(out)
        if out:
            await self.emit(Batch(out, batch.receipt, timed, batch.born))
        else:
            batch.receipt.settle()
        self._untold += count
        if self._untold >= TURN_RECORDS or (self.inbox is not None and not self.inbox.ready()):
            await self._tell()

    async def _tell_times(self, batch: Batch, origins: Origins) -> tuple[list[float], Errors]:
        """The time of each record, NaN for one that has none, and what was refused."""
        values, errors = await self._ask(batch.records)
        spec, most = self._spec, math.inf
        if spec.max_ahead is not None:
            most = self.around.clock.now() + spec.max_ahead
        if not errors:
            whole = spec.stamps.all_numbers(values)
            if whole is not None and max(whole) <= most:
                return whole, errors
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
        return times, errors

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
        """What the function returns for each record, and what it raised."""
        function = self._spec.function
        source = iter(records)
        values: Records = []
        errors: Errors = {}
        while len(values) < len(records):
            before, began = len(values), self.monotonic()
            try:
                values.extend(map(function, islice(source, self._slice)))
            except Exception as error:
                # What came before it is there, and the iterator stands behind it.
                errors[len(values)] = error
                values.append(None)
            self._pace(self.monotonic() - began, len(values) - before)
            if self.tired():
                await self.rest()
        return values, errors

    def _judge(self, origins: Origins, times: list[float], errors: Errors) -> list[int]:
        """The indices of the records that are late, each judged in its own lane."""
        lanes = self._spec.lanes
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
