"""Batches: the unit that crosses a channel."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import cast

from .columns import Columns
from .origins import Origins
from .receipt import Receipt

__all__ = ["Batch", "Records", "size_of"]

Records = list[object]
"""The records of a batch inside the runtime, which does not look into them."""


class Batch:
    """Some records, with the claim on them and where they came from.

    `seq` is set by the channel; `born` is the monotonic time at which a source handed over the
    first of them; `origins` is None where no source stands behind them (emitted on a timer). A
    batch that was cut from a longer read shares the origins of the whole and says from where,
    as `offset`: most are never asked.

    `records` is a list, or, between two who say so, `Columns` in its place: both have a length and
    stretches, and most of the runtime asks for no more. Who does looks at `columns`.
    """

    __slots__ = ("born", "offset", "origins", "receipt", "records", "seq")

    def __init__(
        self,
        records: Records,
        receipt: Receipt,
        origins: Origins | None,
        born: float,
        offset: int = -1,
    ) -> None:
        self.records = records
        self.receipt = receipt
        self.origins = origins
        self.born = born
        self.offset = offset
        self.seq = -1

    @property
    def columns(self) -> Columns | None:
        """The records, where they stand in columns."""
        records: object = self.records
        return records if isinstance(records, Columns) else None

    @classmethod
    def of_columns(
        cls, columns: Columns, receipt: Receipt, origins: Origins | None, born: float
    ) -> Batch:
        """A batch of columns."""
        return cls(cast("Records", columns), receipt, origins, born)

    def came_from(self) -> Origins | None:
        """The origins of just these records. Ask before `records` is replaced."""
        offset = self.offset
        if offset >= 0:
            self.offset = -1
            if self.origins is not None:
                self.origins = self.origins.cut(offset, offset + len(self.records))
        return self.origins


def size_of(record: object, depth: int = 3) -> int:
    """About how many bytes a record takes: enough for a bound, not for accounts."""
    if isinstance(record, Columns):
        return record.size
    size = sys.getsizeof(record, 64)
    if depth == 0 or isinstance(record, str | bytes | bytearray | int | float):
        return size
    if isinstance(record, Mapping):
        values = cast("Mapping[object, object]", record).values()
        return size + sum(size_of(value, depth - 1) for value in _sample(list(values)))
    if isinstance(record, list | tuple):
        several = cast("Sequence[object]", record)
        sample = _sample(several)
        part = sum(size_of(value, depth - 1) for value in sample)
        return size + (part * len(several) // len(sample) if sample else 0)
    fields = getattr(record, "__dict__", None)
    return size + (size_of(fields, depth - 1) if fields else 0)


def _sample(values: Sequence[object]) -> Sequence[object]:
    return values if len(values) <= 64 else values[:: len(values) // 32]
