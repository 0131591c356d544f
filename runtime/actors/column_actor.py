"""The actor of a `ColumnOperator`: many rows at once, in a thread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from ..batch import Batch, Records
from ..columns import Columns, Late
from ..context import Context
from ..contracts import ColumnOperator
from ..errors import MisconfiguredError
from ..gathering import Gathering
from ..nodes import LATE, Node
from ..receipt import Receipt
from .operator_actor import OperatorActor
from .rejection import Refused
from .surroundings import Surroundings

__all__ = ["ColumnActor"]

_FEW = 256
"""Rows: so many are worked on in the actor's own turn, since a thread would take longer."""


class ColumnActor(OperatorActor):
    """Runs an operator over columns, and its timers and signals in between.

    The work is done in a thread of the job, where the libraries that do it let others run; only
    one call is under way at any time. Rows that raise are halved until the bad ones stand alone.
    """

    def __init__(
        self, name: str, nodes: Sequence[Node], around: Surroundings, *, remembers: bool
    ) -> None:
        super().__init__(name, nodes, around, remembers=remembers)
        self._columns = cast("ColumnOperator", nodes[0].work)
        self._gathering = Gathering()
        self._context: Context = around.context(name)

    async def _process(self, batch: Batch) -> None:
        counts, count = self.each[0], len(batch.records)
        counts.records_in += count
        columns, places, bad = batch.columns, None, list[Refused]()
        if columns is None:
            columns, places, bad = self._gathered(batch.records)
        made: list[Columns] = []
        if len(columns):
            made = await self._made_of(columns, places, bad, batch)
        if bad:
            bad.sort(key=lambda one: cast("int", one[0]))
            batch.receipt.fork()
            await self.give_up(counts, bad, batch, receipt=batch.receipt, count=count)
        else:
            counts.streak = 0
        whole = batch.came_from()
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
            if whole is not None and (self._remembers or len(one) != count):
                origins = whole.blur(len(one))
            port = LATE if late else "out"
            await self.emit(Batch.of_columns(one, receipt, origins, batch.born), port)
        batch.receipt.settle()

    def _gathered(self, records: Records) -> tuple[Columns, list[int], list[Refused]]:
        """Records as columns, with the index of each row, and those that are no row."""
        began = self.monotonic()
        columns, refused = self._gathering.of(records)
        self.each[0].converting += self.monotonic() - began
        self.each[0].converted += len(columns)
        places = [at for at in range(len(records)) if at not in refused]
        return columns, places, [(at, records[at], error, None) for at, error in refused.items()]

    async def _made_of(
        self, columns: Columns, places: list[int] | None, bad: list[Refused], batch: Batch
    ) -> list[Columns]:
        """What the rows make; those that cannot be worked on join `bad`."""
        made: list[Columns] = []
        left = [(0, len(columns))]
        while left:
            start, stop = left.pop()
            piece = columns if stop - start == len(columns) else columns[start:stop]
            try:
                made += await self._run(piece)
            except MisconfiguredError:
                raise  # No row could pass.
            except Exception as error:
                if stop - start > 1:
                    middle = (start + stop) // 2
                    left += [(middle, stop), (start, middle)]
                    continue
                at = start if places is None else places[start]
                bad.append((at, batch.records[at], error, None))
        return made

    async def _run(self, columns: Columns) -> list[Columns]:
        work = self._columns.process_columns
        if len(columns) <= _FEW:
            return list(work(columns))
        return await self._context.compute(lambda: list(work(columns)))

    async def _emit_unowed(self, results: Iterable[object]) -> None:
        """Emit what comes of memory, not of a record: no source waits for it."""
        if isinstance(results, tuple) and not results:
            return
        source = iter(cast("Iterable[Columns]", results))
        while (one := await self._context.compute(lambda: next(source, None))) is not None:
            if len(one):
                self.each[0].records_out += len(one)
                await self.emit(Batch.of_columns(one, Receipt(), None, self.monotonic()))
