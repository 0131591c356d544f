"""The actor of fused plain functions."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import cast

from ..batch import Batch, Records
from ..channel import Run
from ..contracts import Sink
from ..counts import Latency
from ..fusion import Bad, Function, Stage
from ..nodes import Node
from ..stages import Chain
from .actor import TURN_RECORDS
from .slicing_actor import SlicingActor
from .surroundings import Surroundings

__all__ = ["ChainActor"]

_SMALL = 64
"""Records: batches up to this size run together when several are waiting."""


class ChainActor(SlicingActor):
    """Runs a chain of plain functions over each batch.

    A batch is worked through in slices, so that slow functions do not hold up the loop. The slice
    grows while it takes under a millisecond, up to whole batches, and shrinks when it takes long.
    """

    def __init__(
        self, name: str, nodes: Sequence[Node], around: Surroundings, *, exact: bool
    ) -> None:
        super().__init__(name, nodes, around)
        stages = [
            Stage("each" if node.kind == "sink" else node.kind, _function(node), counts)
            for node, counts in zip(nodes, self.each, strict=True)
        ]
        self._chain = Chain(stages, limit=around.limit, exact=exact)
        last = nodes[-1].work
        self._sink: Sink[object] | None = last if isinstance(last, Sink) else None
        if self._sink is not None:
            self.latency = Latency()
        self._taken: Run = deque()
        self._made: deque[Batch] = deque()
        self._made_records = 0
        self._grouped: list[Batch] = []

    @property
    def holding(self) -> int:
        """The records that were taken in, or made, and not yet handed over."""
        held = sum(len(batch.records) for batch in tuple(self._taken))
        held += sum(len(batch.records) for batch in (*self._made, *self._grouped[1:]))
        return held + super().holding

    async def open(self) -> None:
        """Open the sink, where the chain ends in one."""
        if self._sink is not None:
            await self._sink.open(self.around.context(self.nodes[-1].name))

    async def close(self) -> None:
        """Close it again."""
        if self._sink is not None:
            await self._sink.close()

    async def work(self) -> None:
        """Read, run and emit until the end."""
        assert self.inbox is not None
        inbox, last = self.inbox, self.each[-1]
        while (taken := await self.next_run()) is not None:
            self._taken = taken
            while taken:
                item = taken.popleft()
                self._batch = item
                count, arrived = len(item.records), last.records_out
                if self._chain.flat:
                    await self._flow(item)
                elif count > self._slice:
                    await self._sliced(item)
                elif count <= _SMALL and taken:
                    count = await self._run_several(item, taken)
                else:
                    await self._run(item)
                self._batch = None
                if self.latency is not None:
                    # Not `count`: what was filtered out or given up has not arrived.
                    self.latency.note(self.monotonic() - item.born, last.records_out - arrived)
                await self._hand_over()
                self._spent += count
                if self._spent >= self._slice or self._spent >= TURN_RECORDS:
                    self._pace(self.monotonic() - self._resumed, self._spent)
                    if taken or inbox.ready():
                        await self.rest()

    async def _run(self, batch: Batch) -> None:
        records = batch.records
        out, places, bad = self._chain.straight(records)
        if bad is not None:
            await self._reject(bad, batch)
        else:
            for counts in self.each:
                counts.streak = 0
        self._keep(batch, out, places)

    def _keep(self, batch: Batch, out: Records, places: Sequence[int] | None) -> None:
        """The batch goes on with `out` in the place of its records, or is settled without any."""
        if not out:
            batch.receipt.settle()
            return
        if len(out) != len(batch.records):
            origins = batch.came_from()
            if origins is not None:
                if places is not None and len(places) == len(out):
                    batch.origins = origins.take(places)
                else:
                    batch.origins = origins.blur(len(out))
        batch.records = out
        self._made.append(batch)
        self._made_records += len(out)

    async def _run_several(self, first: Batch, taken: Run) -> int:
        """Run small batches through the loop as one and cut the output where they were cut.

        Batches stay as they are, only the loop is entered once for all of them.
        """
        limit = min(self._slice, TURN_RECORDS)
        group = [first, *taken]
        records = [record for batch in group for record in batch.records]
        if len(records) <= limit:
            taken.clear()
        else:
            group, records = [first], list(first.records)
            while len(records) + len(taken[0].records) <= limit:
                group.append(taken.popleft())
                records += group[-1].records
        if len(group) == 1:
            await self._run(first)
            return len(records)
        self._grouped = group
        out, places, bad = self._chain.traced(records)
        if bad is not None:
            await self._reject_several(bad, group)
        else:
            for counts in self.each:
                counts.streak = 0
        if len(group) == len(records) and self._sink is None:
            self._keep_singly(group, out, places)
        else:
            self._recut(group, out, places)
        self._grouped = []
        return len(records)

    def _keep_singly(self, group: list[Batch], out: Records, places: Sequence[int] | None) -> None:
        """As `_recut`, for batches of one record each."""
        kept = group
        if places is not None:
            kept = [group[place] for place in places]
            through = set(places)
            for place, batch in enumerate(group):
                if place not in through:
                    batch.receipt.settle()
        for batch, record in zip(kept, out, strict=True):
            batch.records = [record]
        self._made.extend(kept)
        self._made_records += len(out)

    def _recut(self, group: list[Batch], out: Records, places: Sequence[int] | None) -> None:
        whole = range(len(out)) if places is None else places
        start = cursor = 0
        for batch in group:
            stop, begin = start + len(batch.records), cursor
            while cursor < len(whole) and whole[cursor] < stop:
                cursor += 1
            inner = None
            if cursor - begin != len(batch.records):
                inner = [place - start for place in whole[begin:cursor]]
            self._keep(batch, out[begin:cursor], inner)
            start = stop

    async def _reject_several(self, bad: list[Bad], group: list[Batch]) -> None:
        start = 0
        for batch in group:
            stop = start + len(batch.records)
            mine = [one for one in bad if one.index is not None and start <= one.index < stop]
            if mine:
                await self._reject(self._shifted(mine, -start), batch)
            else:
                for counts in self.each:
                    counts.streak = 0
            start = stop

    async def _hand_over(self) -> None:
        """Send on what was made in this turn."""
        if self._made:
            waited = await self.outlets["out"].send_all(self._made, self._made_records)
            self._made_records = 0
            if waited:
                self._spent = 0
                self._resumed = self.monotonic()

    async def _sliced(self, batch: Batch) -> None:
        """Work through a batch in slices, resting in between."""
        records = batch.records
        count = len(records)
        out: Records = []
        places: list[int] = []
        bad: list[Bad] = []
        start = 0
        while start < count:
            stop = min(start + self._slice, count)
            began = self.monotonic()
            made, inner, refused = self._chain.straight(records[start:stop])
            self._pace(self.monotonic() - began, stop - start)
            if refused is not None:
                bad += self._shifted(refused, start)
            if inner is None and len(made) == stop - start:
                places.extend(range(start, stop))
            elif inner is not None:
                places.extend([start + index for index in inner])
            out += made
            start = stop
            if self.tired():
                await self.rest()
        if bad:
            await self._reject(bad, batch)
        else:
            for counts in self.each:
                counts.streak = 0
        self._keep(batch, out, places)

    async def _flow(self, batch: Batch) -> None:
        """Work through a batch of which each record may become any number."""
        records = batch.records
        start, refused = 0, False
        while start < len(records):
            step = len(records) if self._chain.whole else self._slice
            piece = records[start : start + step]
            began = self.monotonic()
            waited = self.counts.output.seconds(began)
            bad: list[Bad] = []
            for out, places in self._chain.flowing(piece, bad):
                if out:
                    await self._emit_piece(batch, out, places, start)
                elif self.tired():
                    await self.rest()
                if bad:
                    refused = True
                    await self._reject(self._shifted(bad, start), batch)
                    bad.clear()
            if bad:
                refused = True
                await self._reject(self._shifted(bad, start), batch)
            start += len(piece)
            now = self.monotonic()
            waited = self.counts.output.seconds(now) - waited
            self._pace(now - began - waited, len(piece))
            if self.tired():
                await self.rest()
        if not refused:
            for counts in self.each:
                counts.streak = 0
        batch.receipt.settle()

    async def _emit_piece(
        self, batch: Batch, out: Records, places: Sequence[int] | None, start: int
    ) -> None:
        batch.receipt.fork()
        origins = batch.came_from()
        if origins is not None:
            if places is None:
                origins = origins.blur(len(out))
            else:
                origins = origins.take([start + place for place in places])
        await self.emit(Batch(out, batch.receipt, origins, batch.born))

    @staticmethod
    def _shifted(bad: list[Bad], start: int) -> list[Bad]:
        for one in bad:
            if one.index is not None:
                one.index += start
        return list(bad)

    async def _reject(self, bad: list[Bad], batch: Batch) -> None:
        for stage in dict.fromkeys(one.stage for one in bad):
            batch.receipt.fork()
            await self.give_up(
                stage.counts,
                [(one.index, one.record, one.error, None) for one in bad if one.stage is stage],
                batch,
                receipt=batch.receipt,
                count=len(batch.records),
            )


def _function(node: Node) -> Function:
    if node.kind != "sink":
        return cast("Function", node.work)
    function = cast("Sink[object]", node.work).function
    assert function is not None
    return function
