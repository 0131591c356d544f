"""The checks for sinks that commit with the epochs of a store.

They play the runtime's part: they prepare, save what was prepared, and commit; and they stop
between any two of these steps, as a process does that is killed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from ...contracts import MisconfiguredError, Sink, StateLost
from ...nodes import overrides
from ..contexts import HeldFence, context, instance
from .expecting import expect, in_time
from .writing import SinkCase, held, write

__all__ = ["COMMIT_CHECKS"]

Case = SinkCase[Any]

_STEPS = ("prepare", "commit", "discard")


def _commits(case: Case) -> bool:
    sink = case.make()
    found = overrides(sink, Sink, *_STEPS)
    assert len(found) in (0, len(_STEPS)), (
        f"the sink overrides {found} of {list(_STEPS)}: one that commits needs all three"
    )
    return bool(found) and sink.transactional


class _Copy:
    """One copy of a job, which may be replaced by another as if it had been killed."""

    def __init__(self, case: Case, fence: HeldFence) -> None:
        self._case = case
        self.fence = fence
        self.sink: Sink[Any] = instance(case.make())
        self.closed = False

    async def open(self) -> None:
        await self._in_time(self.sink.open(context(fence=self.fence)), "open")

    async def write(self, records: Sequence[object]) -> None:
        if records:
            await write(self.sink, records)

    async def prepare(self, epoch: int) -> bytes:
        return bytes(await self._in_time(self.sink.prepare(epoch), f"prepare({epoch})"))

    async def commit(self, epoch: int, prepared: bytes) -> None:
        await self._in_time(self.sink.commit(epoch, prepared), f"commit({epoch})")

    async def take(self, epoch: int, records: Sequence[object]) -> bytes:
        """A whole epoch."""
        await self.write(records)
        prepared = await self.prepare(epoch)
        await self.commit(epoch, prepared)
        return prepared

    async def go_on(self, epoch: int, prepared: bytes | None) -> None:
        """What the runtime does first: 0 is a job that begins anew."""
        await self._in_time(self.sink.discard(epoch), f"discard({epoch})")
        if prepared is not None:
            await self.commit(epoch, prepared)

    async def close(self) -> None:
        if not self.closed:
            self.closed = True
            await self._in_time(self.sink.close(), "close")

    async def _in_time(self, call: Coroutine[Any, Any, Any], what: str) -> Any:
        return await in_time(call, self._case.patience, what)


class _Job:
    """The copies of a job that follow each other on one state, and what the target held before."""

    def __init__(self, case: Case, lineage: str, before: list[object]) -> None:
        self._case = case
        self._fence = HeldFence(lineage)
        self._before = before
        self._copies: list[_Copy] = []

    async def start(self) -> _Copy:
        """The next copy, open. The one before stays as it is, unless the target is locked."""
        fence = self._fence.taken_over() if self._copies else self._fence
        self._fence = fence
        while True:
            copy = _Copy(self._case, fence)
            try:
                await copy.open()
            except MisconfiguredError:
                await copy.close()
                left = [each for each in self._copies if not each.closed]
                if not left:
                    raise
                for each in left:
                    await each.close()
            else:
                self._copies.append(copy)
                return copy

    async def shows(self, records: Sequence[object], when: str) -> None:
        """Raise AssertionError unless the target shows these, behind what it held before."""
        found = await held(self._case)
        expect(found, [*self._before, *records], f"the records in the target {when}")

    async def close(self) -> None:
        """Close what was left."""
        for copy in reversed(self._copies):
            await copy.close()


@asynccontextmanager
async def _job(case: Case, lineage: str = "one") -> AsyncGenerator[tuple[_Job, _Copy]]:
    """A job that begins anew, and its first copy."""
    before = await held(case) if case.again == "appends" else []
    job = _Job(case, lineage, before)
    try:
        first = await job.start()
        await first.go_on(0, None)
        yield job, first
    finally:
        await job.close()


def _cut(case: Case, count: int) -> list[Sequence[object]]:
    """The records of the case in so many pieces, the first ones short."""
    records, pieces = case.records, list[Sequence[object]]()
    for size in range(1, count):
        pieces.append(records[:size])
        records = records[size:]
    return [*pieces, records]


async def nothing_is_seen_before_its_epoch_is_committed(case: Case) -> None:
    """Under a store, the target shows a record when its epoch is committed: not before."""
    if not _commits(case):
        return
    first, second, third = _cut(case, 3)
    async with _job(case) as (job, copy):
        await job.shows([], "when a job has begun anew")
        await copy.write(first)
        await job.shows([], "after a write that is not committed")
        prepared = await copy.prepare(1)
        await job.shows([], "after a prepare that is not committed")
        await copy.write(second)
        await copy.commit(1, prepared)
        await job.shows(first, "when epoch 1 is committed, and 2 is being written")
        await copy.write(third)
        prepared = await copy.prepare(2)
        await job.shows(first, "when epoch 1 is committed, and 2 prepared")
        await copy.commit(2, prepared)
        await job.shows(case.records, "when epoch 2 is committed")
        await copy.close()
        await job.shows(case.records, "when the sink is closed")


async def an_epoch_is_committed_once(case: Case) -> None:
    """To commit again what was committed changes nothing, also after a restart."""
    if not _commits(case):
        return
    first, second, third = _cut(case, 3)
    async with _job(case) as (job, copy):
        await copy.take(1, first)
        prepared = await copy.take(2, second)
        await copy.commit(2, prepared)
        await job.shows([*first, *second], "when an epoch was committed twice")
        later = await job.start()
        await later.go_on(2, prepared)
        await job.shows([*first, *second], "when an epoch was committed again after a restart")
        await later.take(3, third)
        await job.shows(case.records, "when an epoch was committed after that")


async def an_epoch_without_records_is_an_epoch(case: Case) -> None:
    """An epoch in which nothing was written is prepared, committed and gone on from."""
    if not _commits(case):
        return
    first, second = _cut(case, 2)
    async with _job(case) as (job, copy):
        await copy.take(1, [])
        await copy.take(2, first)
        prepared = await copy.take(3, [])
        await job.shows(first, "after an epoch without records")
        later = await job.start()
        await later.go_on(3, prepared)
        await job.shows(first, "after a restart from an epoch without records")
        await later.take(5, second)
        await job.shows(case.records, "when the next epoch with records is committed")


async def a_crash_between_any_two_steps_is_recovered_from(case: Case) -> None:
    """Wherever it stops, the next copy shows exactly the saved epochs, and goes on from them."""
    if not _commits(case):
        return
    stop, going = 0, True
    while going:
        async with _job(case, f"crash {stop}") as (job, copy):
            going, saved = await _run_until(case, copy, stop)
            epoch, count, prepared = saved
            later = await job.start()
            await later.go_on(epoch, prepared)
            where = f"after a crash that step {stop} of the protocol was followed by"
            await job.shows(case.records[:count], f"{where}, with epoch {epoch} saved")
            middle = (count + len(case.records)) // 2
            await later.take(epoch + 1, case.records[count:middle])
            await later.take(epoch + 2, case.records[middle:])
            await job.shows(case.records, f"{where}, when the job has gone on to its end")
            await job.close()
            await job.shows(case.records, f"{where}, when all copies are closed")
        stop += 1


async def _run_until(
    case: Case, copy: _Copy, stop: int
) -> tuple[bool, tuple[int, int, bytes | None]]:
    """Go so many steps; whether there would have been more, and what was saved by then."""
    one, two, three, four, five = _cut(case, 5)
    plan: list[tuple[str, int | Sequence[object]]] = [
        ("write", one),
        ("write", two),
        ("prepare", 1),
        ("save", 1),
        ("write", three),
        ("commit", 1),
        ("write", four),
        ("prepare", 2),
        ("save", 2),
        ("commit", 2),
        ("prepare", 3),
        ("save", 3),
        ("commit", 3),
        ("write", five),
        ("prepare", 4),
        ("write", []),
        ("save", 4),
        ("commit", 4),
    ]
    saved: tuple[int, int, bytes | None] = (0, 0, None)
    written, upto, prepared = 0, 0, b""
    for step, what in plan[:stop]:
        if not isinstance(what, int):
            await copy.write(what)
            written += len(what)
        elif step == "prepare":
            prepared, upto = await copy.prepare(what), written
        elif step == "save":
            saved = (what, upto, prepared)
        else:
            await copy.commit(what, prepared)
    return stop < len(plan), saved


async def an_earlier_epoch_is_shown_or_refused(case: Case) -> None:
    """Told aloud to go back, a sink shows what that epoch showed, or says what it has committed."""
    if not _commits(case):
        return
    first, second, third = _cut(case, 3)
    async with _job(case) as (job, copy):
        early = await copy.take(1, first)
        await copy.take(2, second)
        await copy.take(3, third)
        later = await job.start()
        refusal: Exception | None = None
        try:
            await later.go_on(1, early)
        except Exception as error:
            refusal = error
        if refusal is not None:
            assert "epoch 3" in str(refusal), (
                f"going back to epoch 1 raised {refusal!r}: the error has to say that epoch 3 is "
                "committed, and what to do about it"
            )
            await job.shows(case.records, "after a refusal to go back")
            return
        await job.shows(first, "when a job went back from epoch 3 to epoch 1")
        await later.take(4, [*second, *third])
        await job.shows(case.records, "when a job that went back has gone on to its end")


async def an_older_copy_is_refused(case: Case) -> None:
    """A copy of the job that another one has replaced commits no more, and changes nothing."""
    if not _commits(case):
        return
    first, second, third = _cut(case, 3)
    async with _job(case) as (job, copy):
        prepared = await copy.take(1, first)
        await copy.write(second)
        stale = await copy.prepare(2)
        if len(third) > 1:
            await copy.write(third[:1])
        later = await job.start()
        if not copy.closed:
            await _is_refused(copy, stale)
            await job.shows(first, "when an older copy was refused")
        await later.go_on(1, prepared)
        if not copy.closed:
            await _is_refused(copy, stale)
        await copy.close()
        await later.take(2, [*second, *third])
        await job.shows(case.records, "when an older copy was refused, and the newer one went on")


async def _is_refused(copy: _Copy, stale: bytes) -> None:
    try:
        await copy.commit(2, stale)
    except StateLost:
        return
    except Exception as error:
        raise AssertionError(
            f"the commit of a copy that another one has replaced raised {error!r}: let the "
            "StateLost of `context.fence.check()` pass, or raise one"
        ) from error
    raise AssertionError(
        "a copy that another one has replaced could commit: await `context.fence.check()` right "
        "before it, or compare `context.fence.token` in the same transaction"
    )


async def a_new_state_begins_with_epoch_1(case: Case) -> None:
    """When the state was deleted, epoch 1 is another epoch 1."""
    if not _commits(case):
        return
    for lineage in ("first", "second"):
        async with _job(case, lineage) as (job, copy):
            middle = len(case.records) // 2
            await copy.take(1, case.records[:middle])
            await copy.take(2, case.records[middle:])
            await job.shows(case.records, f"written by the {lineage} of two states")


COMMIT_CHECKS: tuple[Callable[[Case], Coroutine[Any, Any, None]], ...] = (
    nothing_is_seen_before_its_epoch_is_committed,
    an_epoch_is_committed_once,
    an_epoch_without_records_is_an_epoch,
    a_crash_between_any_two_steps_is_recovered_from,
    an_earlier_epoch_is_shown_or_refused,
    an_older_copy_is_refused,
    a_new_state_begins_with_epoch_1,
)
