"""The actor of `split`: each record goes one of two ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from ..batch import Batch
from ..fusion import Function, Stage, refuse_coroutine
from ..nodes import Node
from ..signals import End
from ..stages import Segment
from ..trail import Trail
from .slicing_actor import SlicingActor
from .surroundings import Surroundings

__all__ = ["SplitActor"]


class SplitActor(SlicingActor):
    """Sends each record to `matching` or to `rest`."""

    def __init__(self, name: str, nodes: Sequence[Node], around: Surroundings) -> None:
        super().__init__(name, nodes, around)
        function = cast("Function", nodes[0].work)
        counts = self.each[0]

        def ask(record: object) -> object:
            return bool(refuse_coroutine(stage, function(record)))

        stage = Stage("map", ask, counts)
        self._segment = Segment([stage], exact=True)

    async def work(self) -> None:
        """Read, ask and emit until the end."""
        while True:
            item = await self.receive()
            if item is None:
                continue
            if not isinstance(item, Batch):
                await self.forward(item)
                if isinstance(item, End):
                    return
                continue
            self._batch = item
            await self._divide(item)
            self._batch = None

    async def _divide(self, batch: Batch) -> None:
        records, counts = batch.records, self.each[0]
        ports: dict[str, list[int]] = {"matching": [], "rest": []}
        bad: list[tuple[int, object, Exception, Trail | None]] = []
        start = 0
        while start < len(records):
            part = records[start : start + self._slice]
            began = self.monotonic()
            answers, indices, refused = self._segment.run(part)
            self._pace(self.monotonic() - began, len(part))
            taken = range(len(part)) if indices is None else indices
            for index, answer in zip(taken, answers, strict=True):
                ports["matching" if answer else "rest"].append(start + index)
            for one in refused or ():
                assert one.index is not None  # No batch function stands before this one.
                bad.append((start + one.index, one.record, one.error, None))
            start += len(part)
            if self.tired():
                await self.rest()
        if bad:
            batch.receipt.fork()
            await self.give_up(counts, bad, batch, receipt=batch.receipt, count=len(records))
        else:
            counts.streak = 0
        for port, places in ports.items():
            if places:
                batch.receipt.fork()
                whole = batch.came_from()
                origins = whole.take(places) if whole is not None else None
                chosen = [records[index] for index in places]
                await self.emit(Batch(chosen, batch.receipt, origins, batch.born), port)
        batch.receipt.settle()
