"""Receipts: the claim on a source's records, settled exactly once.

A source's batch has one claim at first. Whoever makes several batches of one forks it, whoever
makes one of several joins them, and whoever delivers, drops or dead-letters records settles. Only
the runtime does so, so an operator cannot leak one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .errors import RuntimeFault

__all__ = ["JoinedReceipt", "Receipt"]


class Receipt:
    """The claim on one batch of a source: `records` records of `lane`, the last at `last`."""

    __slots__ = ("_pending", "_settled", "first", "lane", "last", "records")

    def __init__(
        self,
        settled: Callable[[Receipt], None] | None = None,
        *,
        records: int = 0,
        lane: str = "",
        first: int = 0,
        last: int = 0,
    ) -> None:
        self._pending = 1
        self._settled = settled
        self.records = records
        self.lane = lane
        self.first = first
        self.last = last

    @property
    def settled(self) -> bool:
        """Whether everything that came of these records has arrived."""
        return self._pending == 0

    def fork(self, more: int = 1) -> None:
        """Another `more` batches carry this claim."""
        if self._pending == 0:
            raise RuntimeFault("a receipt was forked after it was settled")
        self._pending += more

    def settle(self) -> None:
        """One of the batches that carry this claim has arrived."""
        pending = self._pending = self._pending - 1
        if pending <= 0:
            if pending < 0:
                raise RuntimeFault("a receipt was settled more often than it was claimed")
            self._finish()

    def _finish(self) -> None:
        if self._settled is not None:
            self._settled(self)


class JoinedReceipt(Receipt):
    """The claim of one batch that was made of several: it settles one claim of each."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Sequence[Receipt]) -> None:
        super().__init__()
        self._parts = parts

    def _finish(self) -> None:
        for part in self._parts:
            part.settle()
