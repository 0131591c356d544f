"""Rows that wait in a table of their own for their epoch to be committed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from typing import Any

import orjson

from ...runtime.contracts import Context, Fence, MisconfiguredError, StateLost, dataclass
from ._tables import EPOCHS

__all__ = ["Prepared", "StagedRows"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `commit` needs: which rows belong to the epoch.

    They stand in the table `staged`, with numbers up to `last`; there are `count` of them. `after`
    is the last epoch with rows before this one.
    """

    epoch: int
    after: int
    staged: str
    columns: Sequence[str]
    last: int
    count: int

    def encode(self) -> bytes:
        """As JSON."""
        return orjson.dumps(asdict(self))

    @classmethod
    def decode(cls, data: bytes) -> Prepared:
        """From JSON."""
        found: Any = orjson.loads(data)
        return cls(**found)


class StagedRows:
    """What a sink knows of its staged rows, whatever the database: it asks for nothing itself.

    The rows of each start of a job stand in a table of their own, so that what an older copy of
    the job may still write is never taken for this one's.
    """

    def __init__(self, context: Context, fence: Fence, where: str, table: str) -> None:
        self.identity = (fence.lineage, context.graph, context.node)
        """What a row of the table of epochs is found by."""
        self.token = fence.token
        text = "\x00".join(self.identity).encode("utf-8", "backslashreplace")
        self.family = f"thalweg_staged_{sha256(text).hexdigest()[:16]}_"
        """How the names of the tables of all starts begin."""
        self.table = f"{self.family}{self.token}"
        self.last = self.count = 0
        """The last number that is known to be staged, and the rows since the last prepare."""
        self.recovering = True
        """Until the first commit: there may be tables of earlier starts."""
        self._after = 0
        self._where = where
        self._target = table
        self._pending: list[int] = []

    def older(self, tables: Sequence[str]) -> list[str]:
        """Those of these tables that earlier starts have left."""
        found: list[str] = []
        for name in tables:
            number = name.removeprefix(self.family)
            if name != number and number.isdecimal() and int(number) < self.token:
                found.append(name)
        return found

    @property
    def settled(self) -> bool:
        """Whether nothing that was prepared still waits for its commit."""
        return not self._pending

    def staged(self, last: int, count: int) -> None:
        """So many rows more are there, the last of them with this number."""
        self.last = last
        self.count += count

    def prepare(self, epoch: int, columns: Sequence[str]) -> Prepared:
        """The rows since the last time belong to this epoch."""
        prepared = Prepared(epoch, self._after, self.table, columns, self.last, self.count)
        if self.count:
            self._after = epoch
            self._pending.append(epoch)
        self.count = 0
        return prepared

    def begin(self, epoch: int, committed: int) -> None:
        """Go on from an epoch. Raises MisconfiguredError where a later one is committed."""
        if committed > epoch:
            lineage, graph, node = (each.replace("'", "''") for each in self.identity)
            raise MisconfiguredError(
                f"{self._where} has committed epoch {committed} of {self.identity[2]!r}, and rows "
                f"cannot be taken back to epoch {epoch}: delete from {self._target} what came "
                f"after it, then UPDATE {EPOCHS} SET epoch = {epoch} WHERE lineage = '{lineage}' "
                f"AND graph = '{graph}' AND node = '{node}'"
            )
        self._after = committed

    def hold(self, token: int) -> None:
        """Raise StateLost if a later copy of the job has written its token."""
        if token > self.token:
            raise StateLost(
                f"another copy of the job writes to {self._target} of {self._where}, with token "
                f"{token}; this one has {self.token}"
            )

    @property
    def row_is_gone(self) -> str:
        """The error for a table of epochs that was emptied under a job."""
        return (
            f"{EPOCHS} of {self._where} has no row for {self.identity} any more: it must stay as "
            "long as the job's state does"
        )

    def wanted(self, prepared: Prepared, committed: int) -> bool:
        """Whether the rows of an epoch are still to be moved. Raises MisconfiguredError."""
        if committed >= prepared.epoch:
            return False
        if committed != prepared.after:
            raise MisconfiguredError(
                f"epoch {prepared.epoch} comes after epoch {prepared.after}, but {self._where} "
                f"has committed epoch {committed} last: it is another database, or an older copy "
                "of it. Restore it as it was, or begin anew with another state"
            )
        return prepared.count > 0

    def complete(self, prepared: Prepared, found: int) -> None:
        """Raise MisconfiguredError unless all rows of an epoch are still there."""
        if found != prepared.count:
            raise MisconfiguredError(
                f"{prepared.count} rows were staged for epoch {prepared.epoch}, but "
                f"{prepared.staged} of {self._where} holds {found}: restore it as it was, or "
                "begin anew with another state"
            )

    def refused(self, prepared: Prepared, reason: object) -> MisconfiguredError:
        """The error for rows that the table takes one by one, but not beside what it holds."""
        return MisconfiguredError(
            f"{self._target} of {self._where} does not take the rows of epoch {prepared.epoch}: "
            f"{reason}. They stay in {prepared.staged}. What holds between rows is looked at only "
            "when they are committed: give the sink `key=` to have the last row of a key win, or "
            "drop the constraint, and start again"
        )

    def committed(self, prepared: Prepared) -> None:
        """An epoch is committed."""
        self._pending = [epoch for epoch in self._pending if epoch > prepared.epoch]
        if self.recovering:
            self._after = max(self._after, prepared.epoch if prepared.count else prepared.after)
        self.recovering = False
