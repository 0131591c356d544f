"""A store in a directory of this machine: one folder and one SQLite database for each job."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from ..errors import StateDamaged, StateLost
from ..handover import Handover
from .database import Database
from .disk_errors import reported
from .held_folder import HeldFolder, sync_folder
from .mark import Mark
from .marker import Marker
from .store import Checkpoint, Held, Saved, SavedEpoch, Store

__all__ = ["LocalStore"]

T = TypeVar("T")


class LocalStore(Store):
    """Keeps the epochs on a disk of this machine, through kill -9 and power cuts.

    >>> LocalStore("state")
    LocalStore('state')

    Each job has a folder of its own in the directory, named as the job: `state.sqlite` with its
    log, `mark`, which tells when the database has lost something, `lock`, and `beside`, with what
    operators keep in files. Copy the folder as a
    whole, and while the job does not run; delete it, and the job begins anew. Only its owner can
    read it. The disk must be a local one: over a network neither the lock nor the log are safe.

    Two copies of a job on one machine exclude each other: the second is refused. A job that may
    start again on another machine needs a store that both can reach.

    Parameters: `directory`, made when a job opens it. Raises ValueError for an empty one. What a
    call raises: see `Store`.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        if not os.fspath(directory):
            raise ValueError("directory is empty: name the one for the state of the jobs")
        self._directory = Path(directory)
        self._thread: ThreadPoolExecutor | None = None
        self._state: _LocalState | None = None

    def __repr__(self) -> str:
        return f"LocalStore({str(self._directory)!r})"

    @property
    def folder(self) -> Path | None:
        return None if self._state is None else self._state.beside

    async def open(self, job: str) -> Held:
        self._named(job)
        if self._state is not None and self._state.job != job:
            raise RuntimeError(
                f"this store is open for job {self._state.job!r}: give {job!r} a copy of its own"
            )
        await self.close()
        state = self._state = _LocalState(self._directory / job, job)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="thalweg-store")
        try:
            return await self._run(state.open)
        except BaseException:
            await self.close()
            raise

    async def epochs(self) -> Sequence[SavedEpoch]:
        return await self._run(self._opened().epochs)

    async def load(self, epoch: int) -> Saved:
        return await self._run(partial(self._opened().load, epoch))

    async def save(self, checkpoint: Checkpoint, *, keep: int) -> None:
        await self._run(partial(self._opened().save, checkpoint, keep=keep))

    async def check(self) -> None:
        # Two looks at what the kernel has at hand: a thread would cost more, and be busy saving.
        self._opened().check()

    async def close(self) -> None:
        state, self._state = self._state, None
        thread, self._thread = self._thread, None
        if state is not None and thread is not None:
            done = asyncio.get_running_loop().run_in_executor(thread, state.close)
            thread.shutdown(wait=False)
            # Behind a call that nobody awaits any more, as after a cancellation, and in any case.
            await asyncio.shield(done)

    def describe(self) -> str:
        """The directory."""
        return f"the directory {str(self._directory)!r}"

    def _opened(self) -> _LocalState:
        if self._state is None:
            raise RuntimeError("a store is used between open and close")
        return self._state

    async def _run(self, function: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        with Handover(loop):
            return await loop.run_in_executor(self._thread, function)


class _LocalState:
    """The state of one job, as its thread sees it."""

    def __init__(self, folder: Path, job: str) -> None:
        self.job = job
        self.beside = folder / "beside"
        self._where = repr(str(folder))
        self._folder = HeldFolder(folder)
        self._marker = Marker(folder / "mark")
        self._mark = Mark("")
        self._database = Database(folder / "state.sqlite")

    def open(self) -> Held:
        with reported(self._where):
            self._folder.hold(f"job {self.job!r}")
            mark = self._marker.read()
        if mark is not None and self._database.is_empty():
            raise StateDamaged(
                f"the database {self._database.where} is gone or empty, and job {self.job!r} had "
                f"saved epoch {mark.last} in it: restore it from a copy; or delete its folder, and "
                "the job begins anew"
            )
        held = self._database.open(new=mark is None, last=mark.last if mark else 0)
        if mark is None:
            mark = Mark.of(held.lineage, self._database.epochs())
            with reported(self._where):
                sync_folder(self._folder.path)
            self._note(mark)
        if mark.lineage != held.lineage:
            raise StateDamaged(
                f"the database {self._database.where} is not the one that job {self.job!r} saved "
                f"its epochs in, up to {mark.last}: the files of this folder belong together, so "
                "restore them all from one copy"
            )
        self._mark = mark
        return held

    def epochs(self) -> list[SavedEpoch]:
        return self._mark.complete(self._database.epochs())

    def load(self, epoch: int) -> Saved:
        return self._database.load(epoch)

    def save(self, checkpoint: Checkpoint, *, keep: int) -> None:
        self.check()
        last = self._database.last
        if last < self._mark.last:
            # First, so that it never knows of more than the database has.
            self._note(self._mark.lowered(last))
        self._database.save(checkpoint, keep=keep)
        self.check()
        self._note(self._mark.after(checkpoint))

    def check(self) -> None:
        with reported(self._where):
            held = self._folder.is_held()
        if not held:
            raise StateLost(
                f"the state of job {self.job!r} in {self._where} was deleted or replaced while "
                "the job ran: this copy stops, and what is there now is left as it is"
            )

    def _note(self, mark: Mark) -> None:
        with reported(self._where):
            self._marker.write(mark)
        self._mark = mark

    def close(self) -> None:
        self._database.close()
        self._folder.let_go()
