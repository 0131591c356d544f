"""The actor of a `ColumnOperator`: many rows at once, in a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import thread_time
from typing import TypeVar, cast

from ..batch import Batch
from ..columns import Columns, Late, Unread
from ..context import Context
from ..contracts import ColumnOperator
from ..errors import MisconfiguredError, RuntimeFault
from ..gathering import Gathering
from ..halving import Halving
from ..nodes import LATE, Node, overrides
from ..origins import Origins
from ..receipt import Receipt
from .actor import TURN
from .gathered import gathered
from .operator_actor import OperatorActor, Times
from .rejection import Refused
from .surroundings import Surroundings

__all__ = ["ColumnActor"]

T = TypeVar("T")

_FEW = 256
"""Rows: so many are always worked on in the actor's own turn, since a thread would take longer."""

_AT_FIRST = 1e-6
"""Seconds that a row is taken to need before any was worked on."""


class ColumnActor(OperatorActor):
    """Runs an operator over columns, and its timers and signals in between.

    What would take longer than a turn is done in a thread of the job, where the libraries that do
    it let others run; only one call is under way at any time. What is quicker is done in the turn:
    a thread would wait for a busy loop each time that a library has let go of the interpreter.
    Of rows that raise, the bad ones are found (see `Halving`).
    """

    def __init__(
        self, name: str, nodes: Sequence[Node], around: Surroundings, *, remembers: bool
    ) -> None:
        super().__init__(name, nodes, around, remembers=remembers)
        self._columns = cast("ColumnOperator", nodes[0].work)
        self._timed = bool(overrides(self._columns, ColumnOperator, "process_columns_at"))
        self._gathering = Gathering()
        self._context: Context = around.context(name)
        self._seconds_each = _AT_FIRST
        self._seconds_told = 2 * TURN  # It is not known what the first takes.

    async def _process(self, batch: Batch) -> None:
        counts, count = self.each[0], len(batch.records)
        counts.records_in += count
        columns, places, bad = batch.columns, None, list[Refused]()
        if columns is None:
            columns, places, bad = gathered(self._gathering, batch.records, counts, self.monotonic)
        whole = batch.came_from()
        made: list[Columns] = []
        if len(columns):
            times = self._times_of(whole, places, count)
            made = await self._made_of(columns, times, places, bad, batch)
        if self._columns.row_by_row and made:
            made, whole = self._each_row(made, whole, bad, count)
        if bad:
            bad.sort(key=lambda one: cast("int", one[0]))
            batch.receipt.fork()
            await self.give_up(counts, bad, batch, receipt=batch.receipt, count=count)
        else:
            counts.streak = 0
        for one in made:
            if not len(one):
                continue
            late = isinstance(one, Late)
            if late:
                counts.late += len(one)
                if not self.outlets[LATE].wired:
                    continue
            else:
                counts.records_out += len(one)
            receipt = batch.receipt
            if self._remembers and not late:
                receipt = Receipt()
            else:
                receipt.fork()
            origins = whole
            if whole is not None and (self._remembers or len(one) != len(whole)):
                origins = whole.blur(len(one))
            port = LATE if late else "out"
            await self.emit(Batch.of_columns(one, receipt, origins, batch.born), port)
        batch.receipt.settle()

    def _times_of(self, origins: Origins | None, places: Sequence[int] | None, count: int) -> Times:
        """The time of each row, for an operator that asks."""
        if not self._timed:
            return None
        times = self._times(None if origins is None else origins.times(), 0, count)
        if times is None or places is None or len(places) == count:
            return times
        return [times[place] for place in places]

    def _each_row(
        self, made: list[Columns], origins: Origins | None, bad: list[Refused], count: int
    ) -> tuple[list[Columns], Origins | None]:
        """What an operator made row by row, and where each row of it came from."""
        whole = Columns.join(made)
        if len(whole) != count - len(bad):
            raise RuntimeFault(
                f"{self.name!r} says that it works row by row, and made {len(whole)} rows of "
                f"{count - len(bad)}"
            )
        if bad and origins is not None:
            refused = {index for index, *_ in bad}
            origins = origins.take([index for index in range(count) if index not in refused])
        return [whole], origins

    async def _made_of(
        self,
        columns: Columns,
        times: Times,
        places: Sequence[int] | None,
        bad: list[Refused],
        batch: Batch,
    ) -> list[Columns]:
        """What the rows make; those that cannot be worked on join `bad`."""
        made: list[Columns] = []
        pieces = Halving(columns, times)
        for piece, at_times in pieces:
            try:
                made += await self._run(piece, at_times)
            except MisconfiguredError:
                raise  # No row could pass.
            except Exception as error:
                pieces.refuse(error)
        for place, why in pieces.bad:
            at = place if places is None else places[place]
            bad.append((at, batch.records[at], why, None))
        return made

    async def _run(self, columns: Columns, times: Times) -> list[Columns]:
        def work() -> list[Columns]:
            if times is None:
                return list(self._columns.process_columns(columns))
            return list(self._columns.process_columns_at(columns, times))

        count = len(columns)
        made, seconds = await self._worked(work, count * self._seconds_each if count > _FEW else 0)
        if count > _FEW and not isinstance(columns, Unread):  # Which says nothing of rows.
            # What another has made of them for both may be for this one to make the next time.
            self._seconds_each = max(seconds, columns.took) / count
        return made

    async def _worked(self, work: Callable[[], T], expected: float) -> tuple[T, float]:
        """What the work gives, and the seconds it took; in a thread if that is more than a turn."""

        def measured(clock: Callable[[], float]) -> tuple[T, float]:
            began = clock()
            made = work()
            return made, clock() - began

        if expected > TURN:
            # Not by the clock on the wall, which also counts how long the thread had to wait.
            return await self._context.compute(measured, thread_time)
        return measured(self.monotonic)

    async def _emit_unowed(self, results: Iterable[object]) -> None:
        """Emit what comes of memory, not of a record: no source waits for it."""
        if isinstance(results, tuple) and not results:
            return
        source = iter(cast("Iterable[Columns]", results))
        while True:
            one, seconds = await self._worked(lambda: next(source, None), self._seconds_told)
            if one is None:
                return
            self._seconds_told = seconds
            if len(one):
                self.each[0].records_out += len(one)
                await self.emit(Batch.of_columns(one, Receipt(), None, self.monotonic()))
