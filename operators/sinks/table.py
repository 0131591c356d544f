"""`table`: a table of the job, which answers SQL while the stream runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ...runtime.contracts import (
    Change,
    Columns,
    Context,
    DataError,
    MisconfiguredError,
    Outcome,
    Results,
    Sink,
    TableMode,
)
from ._serial import Serial
from ._tables import TableOptions

if TYPE_CHECKING:
    from ...runtime.contracts import Table
    from ._table_files import TableFiles
    from ._table_rows import TableRows

__all__ = ["TableSink", "table"]

_EPOCHS, _LAST = "epochs", 1 << 62


class TableSink(Sink[object]):
    """The sink that `table` makes; see there."""

    def __init__(
        self,
        name: str,
        *,
        mode: TableMode = "append",
        key: Sequence[str] | None = None,
        columns: Mapping[str, type] | None = None,
        folder: str | os.PathLike[str] | None = None,
        volatile: bool = False,
    ) -> None:
        if mode not in ("append", "update", "complete"):
            raise ValueError(f'mode is "append", "update" or "complete", not {mode!r}')
        if columns is not None and not isinstance(cast("object", columns), Mapping):
            raise TypeError(f"columns is a dict of types by name, not {columns!r}")
        self._options = TableOptions.checked(name, columns, key)
        if name.casefold().startswith("thalweg_"):
            raise ValueError("names that begin with thalweg_ are the runtime's")
        if mode == "update" and not self._options.key:
            raise ValueError(
                'mode="update" needs key=, the columns that say which row a new one replaces: '
                "those of the group_by"
            )
        if mode != "update" and self._options.key:
            raise ValueError(f'key= is for mode="update"; in mode {mode!r} no row replaces another')
        if folder is not None and volatile:
            raise ValueError("folder= and volatile=True: say only one")
        self.table = self._name = name
        self._mode: TableMode = mode
        self._folder = None if folder is None else Path(folder)
        self._volatile = volatile
        self.gap = "" if volatile else "its files are kept for the last 10 epochs"
        self.takes = Results(mode, self._options.key)
        self._into: Table | None = None

    @property
    def transactional(self) -> bool:
        """Not where its rows may go with the process."""
        return not self._volatile

    async def open(self, context: Context) -> None:
        """Have a table of this name, without rows."""
        from ._table_files import TableFiles
        from ._table_rows import TableRows

        self._fence = None if self._volatile else context.fence
        self._threads = Serial(context)
        triggers = context.tables.triggers_above(context.node)
        self._waits = bool(triggers)
        self._fresh: list[Columns] = []
        """What came since the last trigger, where it is waited for."""
        self._whole: list[Columns] = []
        """What can be shown, and is not."""
        self._fresh_kept = self._whole_kept = 0
        """How many of these are in the files of the last epoch."""
        self._triggered = False
        """Whether a trigger came since the last epoch."""
        self._pending: tuple[int, list[Change]] | None = None
        self._reached = 0
        self._files: TableFiles | None = None
        together = next(iter(triggers)) if len(triggers) == 1 else None
        if self._fence is not None:
            folder = self._folder or context.folder
            if folder is None:
                raise MisconfiguredError(
                    f"the table {self.table!r} has no folder to be kept in, since the state of "
                    "this job is in none: name one by folder=, or say volatile=True to have it "
                    "empty after each start"
                )
            self._files = TableFiles(
                folder / _file_name(self._name), self._fence, self._mode, self._key
            )
            together = _EPOCHS
        declare = partial(context.tables.declare, self._name, together=together)
        self._into = await self._threads.run(declare)
        self._rows: TableRows = TableRows(self._options, held=self._mode != "complete")
        if (empty := self._rows.empty) is not None:
            await self._threads.run(self._into.show, [self._change([empty])])

    @property
    def _key(self) -> tuple[str, ...]:
        return self._options.key

    async def write(self, records: Sequence[object]) -> Outcome[None] | None:
        """Take records as rows."""
        columns, rejected = self._rows.of(records)
        if len(columns):
            self._fresh.append(columns)
            if self._mode != "complete":
                await self._show_now()
        return Outcome([], rejected) if rejected else None

    async def write_columns(self, columns: Columns) -> Outcome[None] | None:
        """Take columns as they are."""
        try:
            taken = self._rows.fitted(columns)
        except DataError as error:
            return Outcome([], dict.fromkeys(range(len(columns)), error))
        self._fresh = [taken] if self._mode == "complete" else [*self._fresh, taken]
        await self._show_now()
        return None

    async def on_trigger(self, number: int) -> None:
        """What was written is whole, and is shown with what else came of the same trigger."""
        self._triggered = True
        self._finish()
        if self._fence is None and self._into is not None:
            await self._threads.run(self._into.hand_in, number, self._changes())

    async def on_end(self) -> None:
        """What was written is all there is."""
        await self.on_trigger(_LAST)

    async def prepare(self, epoch: int) -> bytes:
        """Have the changes since the last time survive a power cut."""
        assert self._files is not None
        assert self._into is not None
        whole = self._whole[self._whole_kept :]
        rest = self._fresh[self._fresh_kept :]
        prepared = await self._threads.run(
            self._files.prepare,
            epoch,
            [self._change(whole)] if whole else [],
            rest,
            self._into.contents,
            anew=self._triggered or not self._fresh_kept,
        )
        self._pending = (epoch, self._changes())
        # A whole result is small: what there is of the next one is written anew.
        self._fresh_kept = 0 if self._mode == "complete" else len(self._fresh)
        self._triggered = False
        return prepared

    async def commit(self, epoch: int, prepared: bytes) -> None:
        """Show them, with what other tables show for the epoch; after a restart they are shown."""
        from ._table_files import Manifest

        assert self._fence is not None
        assert self._files is not None
        assert self._into is not None
        await self._fence.check()
        pending, self._pending = self._pending, None
        if pending is not None and pending[0] == epoch:
            await self._threads.run(self._into.hand_in, epoch, pending[1])
            await self._threads.run(self._files.clean)
            self._reached = epoch
        elif Manifest.decode(prepared).epoch != self._reached:
            raise MisconfiguredError(
                f"epoch {epoch} of the table {self.table!r} was prepared, and its folder holds "
                f"epoch {self._reached or 'none'}: give back the folder as it was, or begin anew "
                "with another state"
            )

    async def discard(self, epoch: int) -> None:
        """Fill the table as it stood at this epoch."""
        assert self._fence is not None
        assert self._files is not None
        assert self._into is not None
        await self._fence.check()
        found = await self._threads.run(self._files.discard, epoch)
        changes: list[Change] = []
        if found is not None:
            self._reached = found.epoch
            changes = await self._threads.run(self._files.load, found.files)
            rest = await self._threads.run(self._files.load, found.rest)
            self._fresh = [one for change in rest for one in change.rows]
            self._fresh_kept = 0 if self._mode == "complete" else len(self._fresh)
            for change in (*changes, *rest):
                for one in change.rows:
                    self._rows.learn(one)
        await self._threads.run(self._into.hand_in, epoch, changes)

    async def close(self) -> None:
        """Let the other tables go on without this one; its rows stay for who asks."""
        into, self._into = self._into, None
        if into is not None:
            await self._threads.run(into.leave)

    async def _show_now(self) -> None:
        if self._waits:
            return
        self._finish()
        if self._fence is None and self._into is not None:
            await self._threads.run(self._into.show, self._changes())

    def _finish(self) -> None:
        """What has come can be shown."""
        if self._mode == "complete":
            self._whole = self._fresh or self._whole
        else:
            if not self._whole:
                self._whole_kept = self._fresh_kept
            self._whole += self._fresh
        self._fresh, self._fresh_kept = [], 0

    def _changes(self) -> list[Change]:
        """What is new and not shown, from now on somebody else's."""
        rows, self._whole, self._whole_kept = self._whole, [], 0
        return [self._change(rows)] if rows else []

    def _change(self, rows: Sequence[Columns]) -> Change:
        return Change(self._mode, rows, self._key)


def _file_name(name: str) -> str:
    """A name for a folder: readable, and one for each table on any file system."""
    plain = "".join(letter if letter.isalnum() else "_" for letter in name.casefold())[:60]
    return f"{plain}-{sha256(name.casefold().encode()).hexdigest()[:12]}"


def table(
    name: str,
    *,
    mode: TableMode = "append",
    key: Sequence[str] | None = None,
    columns: Mapping[str, type] | None = None,
    folder: str | os.PathLike[str] | None = None,
    volatile: bool = False,
) -> TableSink:
    """A table of the job, which answers SQL while the stream runs: `job.sql`, `thalweg sql`.

    >>> import asyncio
    >>> from thalweg import Graph
    >>> from thalweg.operators import sinks, sources
    >>> graph = Graph("words")
    >>> words = graph.read("words", sources.records([{"w": "a", "n": 1}, {"w": "b", "n": 2}]))
    >>> words.to("table", sinks.table("latest", mode="update", key=["w"])) and None
    >>> async def main():
    ...     async with graph.start() as job:
    ...         await job.wait()
    ...         return (await job.sql("select max(n) as n from latest")).rows()
    >>> asyncio.run(main())
    [{'n': 2}]

    Parameters:

    - `name`: that of the table in SQL; one of the job has it. `thalweg_tables` lists them all.
    - `mode`: "append" adds each row; "update" puts it in the place of the row with the same `key`;
      "complete" puts a whole result in the place of the one before. It goes with the mode of a
      `group_by`; each batch that one tells in mode "complete" is a whole result. Records are whole
      at a trigger, or at the end.
    - `key`: for "update", the columns that say which row is meant; NULL is a value as any other.
    - `columns`: Python types by name, for streams of records: the table has these columns from the
      start, and other fields are passed over. Without it the first batch says them, and a record
      with a field that is none of them is rejected.
    - `folder`: where the rows are kept in a job with a store (None: in a folder beside its state).
    - `volatile`: do not keep them; the table is empty after each start.

    Readers see all tables as they stood at one moment. With a store that is the last epoch that is
    committed, for all tables of the job. Without one, tables below a source with triggers, such as
    `files`, change together at each trigger, and others with each batch.

    The database is DuckDB, in memory: tables and queries may take half of this machine's. Needs
    the extra `sql`. Raises ValueError or TypeError for options that make no sense. Opening raises
    `MissingExtra` without DuckDB, and `MisconfiguredError` where a store has no folder and neither
    `folder` nor `volatile` is said.

    - Emits when: never. Without a store a row counts as delivered when it is taken; with one when
      its epoch is committed.
    - Waits when: the database takes a change, in a thread; with a store, while the disk is full.
    - Ends when: its input does. What stands in it can be asked for as long as there is the job.
    - Order: of several rows with the same key the last one counts; SQL promises no other.
    - State: with a store, files with the rows, in Arrow's format; an epoch writes what has changed.
      They are kept for the last 10 epochs: the table goes back with the job, no further than that.
    - On error: a record or a batch of columns whose values do not fit the columns is rejected. A
      stream without the columns of the key fails the job.
    """
    return TableSink(name, mode=mode, key=key, columns=columns, folder=folder, volatile=volatile)
