"""The actor of `event_time` by the name of a column: rows stay in columns, or become columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any, cast

from ..batch import Batch
from ..column_times import as_times, seconds_of, values_of
from ..columns import Columns
from ..errors import MisconfiguredError
from ..gathering import Gathering
from ..nodes import LATE, Node
from ..origins import Origins
from .event_time_actor import Errors, EventTimeActor
from .gathered import gathered
from .rejection import Refused
from .surroundings import Surroundings

__all__ = ["ColumnTimeActor"]


class ColumnTimeActor(EventTimeActor):
    """As `EventTimeActor`, for many rows at once. Where one of them is no time, each is asked."""

    def __init__(self, name: str, nodes: Sequence[Node], around: Surroundings) -> None:
        super().__init__(name, nodes, around)
        self._gathering = Gathering()

    async def _process(self, batch: Batch) -> None:
        counts, count = self.each[0], len(batch.records)
        counts.records_in += count
        origins = batch.came_from() or Origins.nowhere(count)
        columns, bad = batch.columns, list[Refused]()
        places: Sequence[int] = range(count)
        if columns is None:
            columns, places, bad = gathered(self._gathering, batch.records, counts, self.monotonic)
            if bad:
                origins = origins.take(places)
        late = list[int]()
        if len(columns):
            times, seconds, errors = self._times_in(columns, origins)
            bad += [(places[at], batch.records[places[at]], errors[at], None) for at in errors]
            late = self._late(origins, times, seconds, errors)
            origins = origins.timed(times)
            awoken = self.lanes.awoken()
            if awoken is not None:
                await self.forward(awoken)
        else:
            errors = {}
        if bad:
            bad.sort(key=lambda one: cast("int", one[0]))
            batch.receipt.fork()
            await self.give_up(counts, bad, batch, receipt=batch.receipt, count=count)
        else:
            counts.streak = 0
        if late:
            await self._send_late_columns(batch, columns, late, origins)
        if late or errors:
            gone = {*late, *errors}
            left = [index for index in range(len(columns)) if index not in gone]
            columns, origins = columns.take(left), origins.take(left)
        counts.records_out += len(columns)
        if len(columns):
            await self.emit(Batch.of_columns(columns, batch.receipt, origins, batch.born))
        else:
            batch.receipt.settle()
        await self._tell_in_time(count)

    def _times_in(self, columns: Columns, origins: Origins) -> tuple[Sequence[float], Any, Errors]:
        """The time of each row; the same as an array, where all are times; what was refused."""
        spec, name = self._spec, cast("str", self._spec.column)
        if name not in columns.names:
            raise MisconfiguredError(
                f"event_time asks for the column {name!r}, and there are {list(columns.names)}"
            )
        column = columns.table.column(name)
        most = math.inf
        if spec.max_ahead is not None:
            most = self.around.clock.now() + spec.max_ahead
        seconds = seconds_of(column, spec.stamps, most)
        if seconds is not None:
            return as_times(seconds), seconds, {}
        errors: Errors = {}
        return self._times_of(values_of(column).to_pylist(), errors, origins), None, errors

    def _late(
        self, origins: Origins, times: Sequence[float], seconds: Any, errors: Errors
    ) -> list[int]:
        """The indices of the rows that are late, each judged in its own lane."""
        if seconds is None:
            return self._judge(origins, [*times], errors)
        late: list[int] = []
        start = 0
        for lane, parts in groupby(origins.lanes(), lambda part: part[:2]):
            count = sum(part[2] for part in parts)
            found = self.lanes.judge_column(lane, seconds.slice(start, count))
            late += [start + at for at in found]
            start += count
        return late

    async def _send_late_columns(
        self, batch: Batch, columns: Columns, late: list[int], origins: Origins
    ) -> None:
        self.each[0].late += len(late)
        if self.outlets[LATE].wired:
            batch.receipt.fork()
            rows, where = columns.take(late), origins.take(late)
            await self.emit(Batch.of_columns(rows, batch.receipt, where, batch.born), LATE)
