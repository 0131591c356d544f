"""The actor of an `Operator`: serial, with memory, timers and signals."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import cast

from ..batch import Batch, Records
from ..contracts import Operator
from ..nodes import Node
from ..receipt import Receipt
from ..signals import Barrier, End, Signal, Watermark
from ..state import KeyedState
from .actor import Actor, Surroundings

__all__ = ["OperatorActor"]

_WHOLE = "operator"


class OperatorActor(Actor):
    """Runs an operator one record at a time, and its timers and signals in between.

    An operator with memory settles the receipts of what it takes in, since nothing tells what
    will come of it; without memory what it emits is still owed to the source.
    """

    def __init__(
        self, name: str, nodes: Sequence[Node], around: Surroundings, *, remembers: bool
    ) -> None:
        super().__init__(name, nodes, around)
        self._operator = cast("Operator[object, object]", nodes[0].work)
        self._remembers = remembers

    def _states(self) -> dict[str, KeyedState[object, object]]:
        return {
            name: value
            for name, value in vars(self._operator).items()
            if isinstance(value, KeyedState)
        }

    async def open(self) -> None:
        """Open the operator, and let it remember what was saved of it."""
        # Before open: what open creates is the operator's own, what it declared is the runtime's.
        for name in self._states():
            setattr(self._operator, name, KeyedState[object, object]())
        await self._operator.open(self.around.context(self.name))
        saved = self.around.restored.get(self.nodes[0].name, {})
        for name, state in self._states().items():
            if name in saved:
                state.restore(saved[name], pickle.loads)
        if _WHOLE in saved:
            self._operator.restore(saved[_WHOLE])

    async def close(self) -> None:
        """Close the operator."""
        await self._operator.close()

    def memory(self) -> dict[str, bytes]:
        """What the operator remembers now: its own snapshot, and each keyed state."""
        parts = {name: state.snapshot(pickle.dumps) for name, state in self._states().items()}
        whole = self._operator.snapshot()
        if whole is not None:
            parts[_WHOLE] = whole
        return parts

    async def work(self) -> None:
        """Read, process and emit until the end."""
        while True:
            item = await self.receive(self._until_wake())
            await self._wake_if_due()
            if item is None:
                continue
            if isinstance(item, Batch):
                self._batch = item
                await self._process(item)
                self._batch = None
            else:
                await self._heed(item)
                if isinstance(item, End):
                    return

    def _until_wake(self) -> float | None:
        at = self._operator.wake_at()
        return None if at is None else max(0.0, at - self.around.clock.now())

    async def _wake_if_due(self) -> None:
        at, now = self._operator.wake_at(), self.around.clock.now()
        if at is not None and at <= now:
            await self._emit_unowed(self._operator.on_wake(now))

    async def _heed(self, signal: Signal) -> None:
        if isinstance(signal, Watermark):
            await self._emit_unowed(self._operator.on_watermark(signal.at))
        elif isinstance(signal, End):
            await self._emit_unowed(self._operator.on_end())
        if isinstance(signal, Barrier):
            # In its own turn: nothing is half processed now.
            self.around.on_snapshot(signal.epoch, self.nodes[0].name, self.memory())
        await self.forward(signal)

    async def _process(self, batch: Batch) -> None:
        process, counts, limit = self._operator.process, self.each[0], self.around.limit
        counts.records_in += len(batch.records)
        bad: list[tuple[int | None, object, Exception, int]] = []
        out: Records = []
        places: list[int] = []
        for index, record in enumerate(batch.records):
            before = len(out)
            try:
                results = iter(_results(process(record), counts.node))
                while True:
                    out.extend(islice(results, limit - len(out)))
                    if len(out) < limit:
                        break
                    places.extend([index] * (len(out) - before))
                    await self._emit_owed(batch, out, places)
                    out, places, before = [], [], 0
            except Exception as error:
                if len(out) < before:
                    raise
                bad.append((index, record, error, 1))
            places.extend([index] * (len(out) - before))
            if self.tired():
                await self.rest()
        if bad:
            batch.receipt.fork()
            await self.give_up(counts, bad, batch, receipt=batch.receipt, count=len(batch.records))
        else:
            counts.streak = 0
        if out:
            await self._emit_owed(batch, out, places)
        batch.receipt.settle()

    async def _emit_owed(self, batch: Batch, out: Records, places: Sequence[int]) -> None:
        self.each[0].records_out += len(out)
        whole = batch.came_from()
        origins = whole.take(places) if whole is not None else None
        receipt = batch.receipt
        if self._remembers:
            receipt = Receipt()
        else:
            receipt.fork()
        await self.emit(Batch(out, receipt, origins, batch.born))

    async def _emit_unowed(self, results: Iterable[object]) -> None:
        """Emit what comes of memory, not of a record: no source waits for it."""
        source = iter(results)
        while out := list(islice(source, self.around.limit)):
            self.each[0].records_out += len(out)
            await self.emit(Batch(out, Receipt(), None, self.monotonic()))


def _results(made: Iterable[object] | None, node: str) -> Iterable[object]:
    """What `process` returned, with a word for the author who forgot to return anything."""
    if made is None:
        raise TypeError(
            f"process of {node!r} returned None: yield records, or return a list, () for nothing"
        )
    return made
