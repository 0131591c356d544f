"""The actor of `batch`: the same records in new batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal, cast

from ..batch import Batch, Records, size_of
from ..columns import Columns
from ..dataclass import replace
from ..nodes import Node, Regroup
from ..origins import Origins
from ..receipt import JoinedReceipt, Receipt
from ..signals import End, LanesLeft, Watermark
from .actor import Actor
from .surroundings import Surroundings

__all__ = ["RegroupActor"]

CutBy = Literal["full", "bytes", "linger", "starved", "signal", "end"]
"""Why a batch went: it was full by records or by bytes; its first record had waited long enough;
every source waited for credit, or one did and nothing came of the others; a signal, such as a
barrier, or the end of the stream came."""

_HELD_UP = 0.05
"""Seconds that the first record of a part without a `linger` waits while a source waits for credit
and nothing comes."""


class RegroupActor(Actor):
    """Cuts the stream anew, by records, bytes and the time the first record has waited.

    A watermark waits until the records that came before it have gone: it may come late, and a part
    that is being filled need not be cut for it. So does the word that fewer lanes are left.

    A part without a `linger` waits until it is full, but not for ever: where a source waits for
    credit, the records it waits for may be in this part, and the others may have no more to fill
    it. So it goes when nothing has come for a while.
    """

    def __init__(
        self, name: str, nodes: Sequence[Node], around: Surroundings, *, columns: bool
    ) -> None:
        super().__init__(name, nodes, around)
        self._columns = columns
        self._rule = cast("Regroup", nodes[0].work)
        self._left = 0
        self._cuts: deque[Batch] = deque()
        self._mark: Watermark | None = None
        self._fewer: LanesLeft | None = None
        self._lanes: LanesLeft | None = None
        self._cut_by = self.each[0].cuts
        self._clear()

    @property
    def rule(self) -> Regroup:
        """How the stream is cut just now."""
        return self._rule

    def adjust(self, max_batch_size: int | None = None, linger: float | None = None) -> None:
        """Cut otherwise from now on; None leaves what is."""
        rule = self._rule
        self._rule = replace(
            rule,
            max_batch_size=rule.max_batch_size if max_batch_size is None else max_batch_size,
            linger=rule.linger if linger is None else linger,
        )
        if self.inbox is not None:
            self.inbox.wake()

    async def work(self) -> None:
        """Read, regroup and emit until the end."""
        while True:
            item = await self.receive(self._patience())
            if item is None:
                # Woken: the first record has lingered, or no source will send more before it
                # hears of these.
                if self._records and (self._patience() == 0 or self.around.starved()):
                    starved = self._rule.linger is None or self.around.starved()
                    await self._flush("starved" if starved else "linger")
                continue
            if isinstance(item, Batch):
                await self._add(item)
                if self._lingered():
                    await self._flush("linger")
                continue
            if isinstance(item, Watermark) and self._records and not item.idle:
                self._mark = item
                continue
            if isinstance(item, LanesLeft):
                before, self._lanes = self._lanes, item
                if self._records and item.only_fewer(before):
                    self._fewer = item
                    continue
            await self._flush("end" if isinstance(item, End) else "signal")
            await self.forward(item)
            if isinstance(item, End):
                return

    @property
    def holding(self) -> int:
        """The records of the part that is being filled, and of the batch that is being cut."""
        cut = sum(len(batch.records) for batch in tuple(self._cuts))
        return len(self._records) + self._left + cut + self._handing

    def _clear(self) -> None:
        self._records: Records = cast("Records", _Pile()) if self._columns else []
        self._receipts: list[Receipt] = []
        self._origins: list[Origins] = []
        self._known = False
        self._bytes = 0
        self._since = 0.0
        self._born = 0.0

    def _patience(self) -> float | None:
        """How long the part may still wait, in seconds; None without a limit."""
        if not self._records:
            return None
        if self.around.starved():
            return 0.0
        linger = self._rule.linger
        if linger is None and self.around.held_up():
            linger = _HELD_UP
        return None if linger is None else max(0.0, self._since + linger - self.monotonic())

    def _lingered(self) -> bool:
        """Whether the first record has waited as long as it may: also when more keeps coming."""
        linger = self._rule.linger
        return (
            bool(self._records)
            and linger is not None
            and (self.monotonic() - self._since >= linger)
        )

    async def _add(self, batch: Batch) -> None:
        records = batch.records
        self.each[0].records_in += len(records)
        count, rule = len(records), self._rule
        if not self._records and count == rule.max_batch_size and rule.max_batch_bytes is None:
            self.each[0].records_out += count
            self._cut_by["full"] += 1
            await self.emit(batch)
            return
        start = 0
        if not self._records and rule.max_batch_bytes is None and rule.max_batch_size is not None:
            start = await self._cut(batch, rule.max_batch_size)
        while start < len(records):
            stop = self._room(records, start)
            self._left = len(records) - stop
            if stop == start:
                await self._flush("bytes" if self._within_size() else "full")
                continue
            last = stop == len(records)
            if not last:
                batch.receipt.fork()
            self._take(batch, start, stop)
            start = stop
            if self._full():
                await self._flush("bytes" if self._within_size() else "full")

    async def _cut(self, batch: Batch, size: int) -> int:
        """Emit as many full batches as stand in this one; return where what is left begins."""
        records, origins = batch.records, batch.came_from()
        count = len(records)
        full = count // size
        if full:
            receipt, born, end = batch.receipt, batch.born, full * size
            claims = full if end < count else full - 1
            if claims:
                receipt.fork(claims)
            self._cuts.extend(
                Batch(records[start : start + size], receipt, origins, born, start)
                for start in range(0, end, size)
            )
            self._left = count - end
            self.each[0].records_out += end
            self._cut_by["full"] += full
            await self.emit_all(self._cuts, end)
        return full * size

    def _room(self, records: Records, start: int) -> int:
        """Up to which record of these fits into the part that is being filled."""
        size, limit = self._rule.max_batch_size, self._rule.max_batch_bytes
        stop = len(records)
        if size is not None:
            # The part may hold more already, where the size has been made smaller meanwhile.
            stop = min(stop, max(start, start + size - len(self._records)))
        if limit is None:
            return stop
        whole: object = records
        if isinstance(whole, Columns):
            each = max(1, whole.size // len(whole))
            fits = max(0 if self._records else 1, (limit - self._bytes) // each)
            stop = min(stop, start + fits)
            self._bytes += each * (stop - start)
            return stop
        held = self._bytes
        for index in range(start, stop):
            held += size_of(records[index])
            if held > limit and (index > start or self._records):
                return index
            self._bytes = held
        return stop

    def _take(self, batch: Batch, start: int, stop: int) -> None:
        if not self._records:
            self._since = self.monotonic()
            self._born = batch.born
        whole = start == 0 and stop == len(batch.records)
        self._records += batch.records if whole else batch.records[start:stop]
        self._receipts.append(batch.receipt)
        origins = batch.came_from()
        if origins is None:
            # Those that some of them have are not lost for what has none.
            self._origins.append(Origins.nowhere(stop - start))
        else:
            self._origins.append(origins if whole else origins.cut(start, stop))
            self._known = True

    def _within_size(self) -> bool:
        size = self._rule.max_batch_size
        return size is None or len(self._records) < size

    def _full(self) -> bool:
        size, limit = self._rule.max_batch_size, self._rule.max_batch_bytes
        return (size is not None and len(self._records) >= size) or (
            limit is not None and self._bytes >= limit
        )

    async def _flush(self, why: CutBy) -> None:
        if not self._records:
            return
        self._cut_by[why] += 1
        receipts = self._receipts
        receipt = receipts[0] if len(receipts) == 1 else JoinedReceipt(receipts)
        origins = Origins.join(self._origins) if self._known else None
        records: object = self._records
        if isinstance(records, _Pile):
            batch = Batch.of_columns(records.joined(), receipt, origins, self._born)
        else:
            batch = Batch(self._records, receipt, origins, self._born)
        self.each[0].records_out += len(batch.records)
        self._clear()
        await self.emit(batch)
        if self._fewer is not None:
            fewer, self._fewer = self._fewer, None
            await self.forward(fewer)
        if self._mark is not None:
            mark, self._mark = self._mark, None
            await self.forward(mark)


class _Pile:
    """Columns that are being put together: none is copied before all are there."""

    __slots__ = ("_count", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[Columns] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iadd__(self, columns: Columns) -> _Pile:
        self._pieces.append(columns)
        self._count += len(columns)
        return self

    def joined(self) -> Columns:
        """All of them."""
        return Columns.join(self._pieces)
