"""The actor of an `Operator`: serial, with memory, timers and signals."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import islice, repeat
from typing import cast

from ..batch import Batch, Records
from ..checkpoints.parts import Part
from ..contracts import Operator
from ..errors import LateError, RuntimeFault
from ..memory import Kept, Memory
from ..nodes import LATE, Node, overrides
from ..origins import Origins
from ..piling import ENOUGH, Piling
from ..receipt import Receipt
from ..signals import End, LanesLeft, Signal, Trigger, Watermark
from ..stores import Segment
from ..trail import Trail
from .slicing_actor import SlicingActor
from .surroundings import Surroundings

__all__ = ["OperatorActor", "Times"]

Times = Sequence[float] | None
"""The time of each record of a batch; None for an operator that does not ask."""


class _Made:
    """What came of one batch so far: output with the index of its record, bad and late ones.

    The indices are a range for as long as each record has made one: most operators never need more.
    """

    __slots__ = ("bad", "late", "out", "places")

    def __init__(self) -> None:
        self.out: Records = []
        self.places: list[int] | range = []
        self.bad: list[tuple[int | None, object, Exception, Trail | None]] = []
        self.late: list[int] = []

    def each_made_one(self, start: int, stop: int) -> None:
        """The records from `start` to `stop` have made one each."""
        places = self.places
        if not places:
            self.places = range(start, stop)
        elif isinstance(places, range) and places.stop == start:
            self.places = range(places.start, stop)
        else:
            self.scattered().extend(range(start, stop))

    def scattered(self) -> list[int]:
        """The indices as a list, to be added to."""
        places = self.places
        if not isinstance(places, list):
            places = self.places = list(places)
        return places


class OperatorActor(SlicingActor):
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
        self._memory = Memory(nodes[0].name, self._operator)
        keeper = around.checkpoints
        self._was_ended = keeper is not None and keeper.restored.ended(nodes[0].name)
        self._reached = -math.inf
        self._timed = bool(overrides(self._operator, Operator, "process_at"))
        hook = "process_each_at" if self._timed else "process_each"
        self._looping = bool(overrides(self._operator, Operator, hook))

    async def open(self) -> None:
        """Open the operator, and let it remember what was saved of it."""
        # Before open: what open creates is the operator's own, what it declared is the runtime's.
        keeper = self.around.checkpoints
        self._memory.begin(self.around.clock.now, saved=keeper is not None)
        await self._operator.open(self.around.context(self.name))
        if keeper is not None and not self._was_ended:
            restored, node = keeper.restored, self.nodes[0].name
            self._memory.look()
            self._memory.restore(restored.memory(node), restored.versions(node))

    async def close(self) -> None:
        """Close the operator."""
        await self._operator.close()

    @property
    def kept(self) -> Kept | None:
        """How much the operator has in its keyed memory; None where it has none."""
        return self._memory.kept()

    async def save(self, epoch: int) -> Part:
        """What the operator remembers, in its own turn: nothing is half processed now."""
        segments: list[Segment] = []
        for segment in self._memory.save(epoch):
            if segment is not None:
                segments.append(segment)
            elif self.tired():
                await self.rest()
        return Part(segments)

    async def work(self) -> None:
        """Read, process and emit until the end."""
        while True:
            item = await self.receive(self._until_wake())
            self._memory.look()
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

    async def receive(self, seconds: float | None = None) -> Batch | Signal | None:
        """The next item. While each turn of the others brings more of them, it is waited for."""
        inbox = self.inbox
        if isinstance(inbox, Piling):
            if not inbox.ready():
                await self.await_input(seconds)
            held = inbox.held()
            while 0 < held < ENOUGH:
                await self.rest()
                before, held = held, inbox.held()
                if held == before:
                    break
            return inbox.take()
        return await super().receive(seconds)

    def _until_wake(self) -> float | None:
        at = None if self._was_ended else self._operator.wake_at()
        return None if at is None else max(0.0, at - self.around.clock.now())

    async def _wake_if_due(self) -> None:
        if self._was_ended:
            return  # It has emitted its last, before the restart.
        at, now = self._operator.wake_at(), self.around.clock.now()
        if at is not None and at <= now:
            await self._emit_unowed(self._operator.on_wake(now))

    async def _heed(self, signal: Signal) -> None:
        if isinstance(signal, LanesLeft) and self._remembers:
            return  # What memory makes is a strand of its own.
        if isinstance(signal, Watermark):
            # One that only says that all is quiet above, or no longer, is none for the operator.
            if signal.at > self._reached:
                self._reached = signal.at
                await self._emit_unowed(self._operator.on_watermark(signal.at))
        elif isinstance(signal, Trigger):
            await self._emit_unowed(self._operator.on_trigger(signal.number))
        elif isinstance(signal, End) and not self._was_ended:
            await self._emit_unowed(self._operator.on_end())
        await self.forward(signal)

    async def _process(self, batch: Batch) -> None:
        counts, records = self.each[0], batch.records
        count, origins = len(records), batch.came_from()
        counts.records_in += count
        known: Times = origins.times() if self._timed and origins is not None else None
        made, start = _Made(), 0
        while start < count:
            stop = min(start + self._slice, count)
            began = self.monotonic()
            self._memory.look()
            times = self._times(known, start, stop) if self._timed else None
            if self._looping:
                self._run_loop(made, records, times, start, stop)
            else:
                await self._run_singly(made, batch, times, start, stop)
            self._pace(self.monotonic() - began, stop - start)
            await self._emit_full(made, batch)
            start = stop
            if self.tired():
                await self.rest()
        if made.bad:
            batch.receipt.fork()
            await self.give_up(counts, made.bad, batch, receipt=batch.receipt, count=count)
        else:
            counts.streak = 0
        await self._send_late(batch, made.late, origins)
        if made.out:
            await self._emit_owed(batch, made.out, made.places)
        batch.receipt.settle()

    def _times(self, known: Times, start: int, stop: int) -> Times:
        """The times of the records from `start` to `stop`, by the clock that the operator asks."""
        if self._operator.clock == "processing":
            return [self.around.clock.now()] * (stop - start)
        if known is None:
            raise RuntimeFault(f"the times of the records have been lost above {self.name!r}")
        return known if stop - start == len(known) else known[start:stop]

    async def _run_singly(
        self, made: _Made, batch: Batch, times: Times, start: int, stop: int
    ) -> None:
        """Call `process`, or `process_at`, for each of these records."""
        limit, name = self.around.limit, self.each[0].node
        operator, records = self._operator, batch.records
        for index in range(start, stop):
            record, out = records[index], made.out
            before = len(out)
            try:
                if times is None:
                    results: Iterable[object] = operator.process(record)
                else:
                    results = operator.process_at(record, times[index - start])
                some = cast("Sequence[object]", results)
                if type(results) in (list, tuple) and before + len(some) < limit:
                    out += some
                else:
                    rest = iter(_results(results, name))
                    while True:
                        out.extend(islice(rest, limit - len(out)))
                        if len(out) < limit:
                            break
                        made.scattered().extend([index] * (len(out) - before))
                        await self._emit_owed(batch, out, made.places)
                        out = made.out = []
                        made.places, before = [], 0
            except Exception as error:
                if len(out) < before:
                    raise
                self._refuse(made, index, record, error)
            if len(out) > before:
                made.scattered().extend([index] * (len(out) - before))

    def _run_loop(self, made: _Made, records: Records, times: Times, start: int, stop: int) -> None:
        """Have the operator work through these records in a loop of its own."""
        out, operator = made.out, self._operator
        marks: list[int] = []
        whole = records if stop - start == len(records) else records[start:stop]
        source: Iterator[object] = iter(whole)
        if times is not None:
            source = zip(whole, times, strict=True)
        source = _marked(source, out, marks)
        run = operator.process_each if times is None else operator.process_each_at
        work = cast("Callable[[Iterator[object], Callable[[object], object]], None]", run)
        first = len(out)
        while True:
            taken = len(marks)
            try:
                work(source, out.append)
            except Exception as error:
                if len(marks) == taken:
                    raise  # It had no record in its hands: nobody's fault but its own.
                self._refuse(made, start + len(marks) - 1, whole[len(marks) - 1], error)
                continue
            if len(marks) < len(whole):
                raise RuntimeFault(
                    f"{self.name!r} has taken {len(marks)} of {len(whole)} records: its loop must "
                    "go on to the end"
                )
            break
        marks.append(len(out))
        if len(out) - first == len(whole) and marks == [*range(first, len(out) + 1)]:
            made.each_made_one(start, stop)
            return
        for index in range(len(whole)):
            some = marks[index + 1] - marks[index]
            if some:
                made.scattered().extend(repeat(start + index, some))

    def _refuse(self, made: _Made, index: int, record: object, error: Exception) -> None:
        if isinstance(error, LateError) and LATE in self.outlets:
            made.late.append(index)
        else:
            made.bad.append((index, record, error, None))

    async def _send_late(self, batch: Batch, late: list[int], origins: Origins | None) -> None:
        """Count the records that came too late, and send them to their port if it goes anywhere."""
        if not late:
            return
        self.each[0].late += len(late)
        if self.outlets[LATE].wired:
            batch.receipt.fork()
            records = [batch.records[index] for index in late]
            where = origins.take(late) if origins is not None else None
            await self.emit(Batch(records, batch.receipt, where, batch.born), LATE)

    async def _emit_full(self, made: _Made, batch: Batch) -> None:
        """Emit what fills whole batches."""
        limit = self.around.limit
        if len(made.out) == limit:
            out, places, made.out, made.places = made.out, made.places, [], []
            await self._emit_owed(batch, out, places)
        while len(made.out) >= limit:
            out, places = made.out[:limit], made.places[:limit]
            made.out, made.places = made.out[limit:], made.places[limit:]
            await self._emit_owed(batch, out, places)

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


def _marked(source: Iterator[object], out: Records, marks: list[int]) -> Generator[object]:
    """The records of `source`; notes in `marks` how much had been made when each was taken."""
    mark = marks.append
    for record in source:
        mark(len(out))
        yield record
