"""Sinks that write to a simulated world, in the place of those that a graph has."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

from ...context import Context, Fence
from ...contracts import Outcome, Sink
from ...errors import UnavailableError
from ...origins import Origin, Origins
from ...retry import Retry
from .calls import Caller, call, out_of_reach
from .targets import CommittedTarget, PlainTarget, Row

__all__ = ["CommittingSink", "FunctionSink", "KeyedSink", "PlainSink", "SimulatedSink", "sink_like"]


class Whence(Protocol):
    """Who knows where the records come from that are being written."""

    def came_from(self) -> Origins | None:
        """Where the records of the present batch come from, in order."""
        ...


class SimulatedSink(Sink[object]):
    """What the simulated sinks have in common: who writes, and how quick the other side is."""

    def __init__(self, process: Caller, name: str, *, gentle: bool, quick: bool) -> None:
        self._process = process
        self._name = name
        self._gentle = gentle
        self._quick = quick
        self._busy = ""
        self.whence: Whence | None = None

    async def open(self, context: Context) -> None:
        await call(self._process, "open", self._name, lambda: None, gentle=self._gentle)

    def _rows(self, records: Sequence[object], keys: Sequence[str | None] | None) -> list[Row]:
        whole = self.whence.came_from() if self.whence is not None else None
        origins: Sequence[Origin | None] = [None] * len(records)
        if whole is not None and len(whole) == len(records):
            origins = [whole.at(index) for index in range(len(records))]
        known = keys if keys is not None else [None] * len(records)
        return [Row(*row) for row in zip(records, origins, known, strict=True)]

    def _begin(self, step: str) -> None:
        """Complain when two things are asked of a sink at once."""
        if self._busy:
            self._process.world.complain(f"{self._name}: {step} was called during {self._busy}")
        self._busy = step

    def _refusal(self, chance: random.Random, subject: str) -> Exception:
        if self.repeatable:
            return out_of_reach(chance, subject)
        kinds = (UnavailableError, OSError, RuntimeError)
        return chance.choice(kinds)(f"{subject} is broken (simulated)")


class PlainSink(SimulatedSink):
    """Shows what is written at once; what a restart repeats is there twice."""

    async def open(self, context: Context) -> None:
        await super().open(context)
        self._target: PlainTarget = self._process.world.plain(self._name)

    async def write(self, records: Sequence[object]) -> Outcome[None] | None:
        await self._add(self._rows(records, None))
        return None

    async def _add(self, rows: Sequence[Row]) -> None:
        self._begin("write")
        target = self._target
        try:
            await call(
                self._process,
                "write",
                self._name,
                lambda: target.add(rows),
                refusal=self._refusal,
                part=lambda chance: target.add(rows[: chance.randrange(len(rows) + 1)]),
                again=self.repeatable,
                gentle=self._gentle,
                waits=not self._quick,
            )
        finally:
            self._busy = ""


class FunctionSink(PlainSink):
    """A plain function of a record, which is run in one loop with those before it."""

    def __init__(self, process: Caller, name: str, *, gentle: bool, quick: bool) -> None:
        super().__init__(process, name, gentle=gentle, quick=quick)
        self.function = self._take

    def _take(self, record: object) -> None:
        if self._process.alive:
            self._process.world.plain(self._name).add([Row(record, None)])


class KeyedSink(PlainSink):
    """As `PlainSink`, and keeps the key of each record, by which a target knows a repeat."""

    async def write_keyed(
        self, records: Sequence[object], keys: Sequence[str | None]
    ) -> Outcome[None] | None:
        await self._add(self._rows(records, keys))
        return None


class CommittingSink(SimulatedSink):
    """Stages what is written, and shows it with the epoch."""

    _fence: Fence

    async def open(self, context: Context) -> None:
        await super().open(context)
        assert context.fence is not None
        self._fence = context.fence
        self._target: CommittedTarget = self._process.world.committing(self._name)
        self._held: list[Row] = []
        self._ready = False

    async def write(self, records: Sequence[object]) -> Outcome[None] | None:
        self._begin("write")
        if not self._ready:
            self._process.world.complain(f"{self._name}: a write came before discard")
        rows = self._rows(records, None)
        try:
            await call(
                self._process,
                "write",
                self._name,
                lambda: self._held.extend(rows),
                refusal=self._refusal,
                again=self.repeatable,
                gentle=self._gentle,
                waits=not self._quick,
            )
        finally:
            self._busy = ""
        return None

    async def prepare(self, epoch: int) -> bytes:
        self._begin("prepare")
        fence, rows = self._fence, self._held
        try:
            await call(
                self._process,
                "prepare",
                self._name,
                lambda: self._target.stage(fence.lineage, fence.token, epoch, rows),
            )
        finally:
            self._busy = ""
        self._held = []
        return f"{self._name} {fence.lineage} {epoch}".encode()

    async def commit(self, epoch: int, prepared: bytes) -> None:
        self._begin("commit")
        fence, world = self._fence, self._process.world
        if prepared != f"{self._name} {fence.lineage} {epoch}".encode():
            world.complain(f"{self._name}: commit of epoch {epoch} came with {prepared!r}")

        def commit() -> None:
            world.may_commit(self._name, epoch)
            self._target.commit(fence.lineage, fence.token, epoch)

        try:
            await call(self._process, "commit", self._name, commit)
        finally:
            self._busy = ""

    async def discard(self, epoch: int) -> None:
        self._begin("discard")
        fence = self._fence
        try:
            await call(
                self._process,
                "discard",
                self._name,
                lambda: self._target.discard(fence.lineage, fence.token, epoch),
            )
        finally:
            self._busy = ""
        self._ready = True


def sink_like(
    work: Sink[object],
    kind: type[CommittingSink | PlainSink],
    process: Caller,
    name: str,
    *,
    gentle: bool,
    quick: bool,
) -> SimulatedSink:
    """A simulated sink that is called as this one is."""
    made = kind(process, name, gentle=gentle, quick=quick)
    made.repeatable = work.repeatable
    made.timeout = work.timeout
    retry: Retry = work.retry
    made.retry = retry
    return made
