"""The keeper: what a job that has a store adds to one that has none."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ..clock import Clock
from ..errors import StateError, StateUnavailable
from ..plan import Plan
from ..progress import EpochProgress
from ..stores import Held, Store
from .coordinator import Coordinator, Member
from .head import Manifest
from .manifest import acked_sources, check_with_store, manifest_of
from .options import State
from .recovery import Restored, recover

__all__ = ["Keeper"]

_log = logging.getLogger("thalweg.state")


class Stoppable(Protocol):
    """A source that can be told to read no more."""

    def suspend(self) -> None:
        """Read no more, and send no end."""
        ...

    @property
    def stopped(self) -> asyncio.Event:
        """Set when it reads no more."""
        ...


class _Fence:
    """The state that this copy of the job holds, for sinks that commit."""

    def __init__(self, held: Held, store: Store) -> None:
        self.lineage = held.lineage
        self.token = held.token
        self._store = store

    async def check(self) -> None:
        await self._store.check()


class Keeper:
    """Holds the state of one job: opens the store, goes back to the last epoch, takes new ones.

    Raises GraphError where the graph cannot keep what a store promises, ValueError for a location
    that is none.
    """

    coordinator: Coordinator
    fence: _Fence
    restored: Restored | None = None

    def __init__(self, plan: Plan, state: State | str | os.PathLike[str]) -> None:
        self._state = state if isinstance(state, State) else State(state)
        self._plan = plan
        check_with_store(plan)
        self._store = self._state.store()
        self._task: asyncio.Task[None] | None = None
        self._lost: Callable[[BaseException], None] | None = None

    async def open(self, clock: Clock, lost: Callable[[BaseException], None]) -> None:
        """Hold the state, and find the epoch to go on from. `lost` hears of its loss, later."""
        self._lost = lost
        self._store.on_lost = lost
        nodes = manifest_of(self._plan)
        try:
            restored = await self._recover(nodes, clock)
        except BaseException:
            await self._store.close()
            raise
        self.restored = restored
        self.fence = _Fence(restored.held, self._store)
        self.coordinator = Coordinator(
            self._state, self._store, restored, nodes, clock, acked=acked_sources(self._plan)
        )

    async def _recover(self, nodes: Mapping[str, Manifest], clock: Clock) -> Restored:
        pause, began = 0.1, clock.monotonic()
        while True:
            try:
                return await recover(
                    self._store,
                    self._plan.graph.name,
                    nodes,
                    from_epoch=self._state.from_epoch,
                    forget=self._state.forget,
                )
            except StateUnavailable as error:
                if clock.monotonic() - began + pause > self._state.patience:
                    raise
                _log.warning("the state cannot be opened yet: %s", error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, 5.0)

    def start(self, members: Sequence[Member]) -> None:
        """Take epochs of what these members do."""
        self.coordinator.add(members)
        self._task = asyncio.get_running_loop().create_task(
            self.coordinator.run(), name=f"thalweg:{self._plan.graph.name}/epochs"
        )
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and self._lost is not None:
            self._lost(error)

    async def suspend(self, sources: Sequence[Stoppable], finished: asyncio.Future[None]) -> None:
        """Stop the sources, and take an epoch of all that they have read."""
        for source in sources:
            source.suspend()
        stops = [asyncio.ensure_future(source.stopped.wait()) for source in sources]
        try:
            if stops:
                every = asyncio.ensure_future(asyncio.wait(stops))
                await _first_of(every, finished)
                if not every.done():
                    every.cancel()
                    return
        finally:
            for stop in stops:
                stop.cancel()
        await self.checkpoint(finished)

    async def checkpoint(self, finished: asyncio.Future[None]) -> int | None:
        """Take an epoch and return its number; None where the job finishes first."""
        if self._task is None:
            raise StateError("the job does not run yet: no epoch can be taken")
        taking = asyncio.ensure_future(self.coordinator.checkpoint())
        try:
            await _first_of(taking, finished)
            return taking.result() if taking.done() and not taking.cancelled() else None
        finally:
            taking.cancel()

    @property
    def folder(self) -> Path | None:
        """A folder beside the state, if it has one."""
        return self._store.folder

    async def close(self) -> None:
        """Take no more epochs, and let the state go."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._store.close()

    def progress(self, now: float) -> EpochProgress | None:
        """The epochs so far; None before the state is open."""
        keeper = getattr(self, "coordinator", None)
        if keeper is None:
            return EpochProgress(0, waiting=self._store.waiting)
        return EpochProgress(
            epoch=keeper.epoch,
            taken=keeper.epochs,
            seconds=round(keeper.seconds, 6),
            bytes=keeper.bytes,
            age=None if keeper.taken_at is None else round(now - keeper.taken_at, 3),
            waiting=keeper.waiting or self._store.waiting,
        )


async def _first_of(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
