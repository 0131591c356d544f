"""The checks for sinks that commit: a sound one passes them all, and each finds its fault."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from thalweg.runtime.contracts import Context, MisconfiguredError, Sink, StateLost
from thalweg.runtime.testing.conformance.committing import COMMIT_CHECKS
from thalweg.testing import SINK_CHECKS, HeldFence, SinkCase, context, run_virtual

Check = Callable[[SinkCase[Any]], Awaitable[None]]

_RECORDS = list(range(20))


@dataclass
class Shop:
    """What the outside holds: it survives a crash of the sink."""

    rows: list[int] = field(default_factory=list[int])
    staged: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    epochs: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """By lineage: the epoch that is committed, and the largest token that was seen."""


class Sound(Sink[int]):
    """Holds back what is written, and appends it at the commit."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    async def open(self, context: Context) -> None:
        self.fence = context.fence
        self.buffer: list[int] = []

    async def write(self, records: Sequence[int]) -> None:
        (self.shop.rows if self.fence is None else self.buffer).extend(records)

    async def prepare(self, epoch: int) -> bytes:
        assert self.fence is not None
        name = f"{self.fence.lineage}/{self.fence.token}/{epoch}"
        self.shop.staged[name], self.buffer = self.buffer, []
        return json.dumps(name).encode()

    async def commit(self, epoch: int, prepared: bytes) -> None:
        assert self.fence is not None
        await self.fence.check()
        committed, token = self.shop.epochs[self.fence.lineage]
        if token > self.fence.token:
            raise StateLost("replaced")
        if epoch > committed:
            self.shop.rows.extend(self.shop.staged.pop(json.loads(prepared)))
            self.shop.epochs[self.fence.lineage] = (epoch, token)

    async def discard(self, epoch: int) -> None:
        assert self.fence is not None
        committed, token = self.shop.epochs.get(self.fence.lineage, (0, 0))
        if committed > epoch:
            raise MisconfiguredError(f"epoch {committed} is committed")
        self.shop.epochs[self.fence.lineage] = (committed, max(token, self.fence.token))


class GoesBack(Sound):
    """One that can take back, since it knows how long the shelf was after each epoch."""

    recovering = False

    async def prepare(self, epoch: int) -> bytes:
        name = await super().prepare(epoch)
        others = sum(map(len, self.shop.staged.values()))
        return json.dumps([json.loads(name), len(self.shop.rows) + others]).encode()

    async def commit(self, epoch: int, prepared: bytes) -> None:
        name, end = json.loads(prepared)
        await super().commit(epoch, json.dumps(name).encode())
        if self.recovering:
            del self.shop.rows[end:]
            self.recovering = False

    async def discard(self, epoch: int) -> None:
        assert self.fence is not None
        self.recovering = True
        committed, _ = self.shop.epochs.get(self.fence.lineage, (0, 0))
        keep = f"{self.fence.lineage}/"
        self.shop.staged = {
            name: rows
            for name, rows in self.shop.staged.items()
            if name.startswith(keep) and int(name.rpartition("/")[2]) == epoch
        }
        self.shop.epochs[self.fence.lineage] = (min(committed, epoch), self.fence.token)


def _case(make: Callable[[Shop], Sink[int]] = Sound) -> SinkCase[int]:
    shop = Shop()
    return SinkCase(lambda: make(shop), _RECORDS, lambda: shop.rows, again="appends")


@pytest.mark.parametrize("make", [Sound, GoesBack])
@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_a_sound_sink_passes(check: Check, make: Callable[[Shop], Sink[int]]) -> None:
    run_virtual(lambda: check(_case(make)))


class ShowsAtOnce(Sound):
    async def write(self, records: Sequence[int]) -> None:
        self.shop.rows.extend(records)


class ShowsWhatIsPrepared(Sound):
    async def prepare(self, epoch: int) -> bytes:
        self.shop.rows.extend(self.buffer)
        self.buffer = []
        return await super().prepare(epoch)


class ShowsAllThatIsWritten(Sound):
    async def commit(self, epoch: int, prepared: bytes) -> None:
        await super().commit(epoch, prepared)
        self.shop.rows.extend(self.buffer)
        self.buffer = []


class CommitsTwice(Sound):
    async def prepare(self, epoch: int) -> bytes:
        return json.dumps(self.buffer).encode() if self.buffer else b"[]"

    async def commit(self, epoch: int, prepared: bytes) -> None:
        assert self.fence is not None
        await self.fence.check()
        self.shop.rows.extend(json.loads(prepared))
        self.buffer = []


class RemembersInMemory(Sound):
    """It knows which epoch is committed, until it is started again."""

    async def discard(self, epoch: int) -> None:
        await super().discard(epoch)
        self.committed = 0

    async def prepare(self, epoch: int) -> bytes:
        rows, self.buffer = self.buffer, []
        return json.dumps(rows).encode()

    async def commit(self, epoch: int, prepared: bytes) -> None:
        assert self.fence is not None
        await self.fence.check()
        if epoch > self.committed:
            self.shop.rows.extend(json.loads(prepared))
            self.committed = epoch


class NeedsRecords(Sound):
    async def prepare(self, epoch: int) -> bytes:
        return await super().prepare(epoch) if self.buffer else b""


class PreparesNothing(Sound):
    async def prepare(self, epoch: int) -> bytes:
        return b"0"

    async def commit(self, epoch: int, prepared: bytes) -> None:
        assert self.fence is not None
        await self.fence.check()
        self.shop.rows.extend(self.buffer)
        self.buffer = []


class KeepsWhatWasPrepared(Sound):
    """What was prepared and never saved comes with the next commit."""

    async def prepare(self, epoch: int) -> bytes:
        assert self.fence is not None
        self.shop.staged.setdefault(self.fence.lineage, []).extend(self.buffer)
        self.buffer = []
        return json.dumps(self.fence.lineage).encode()


class GoesBackInSilence(Sound):
    async def discard(self, epoch: int) -> None:
        assert self.fence is not None
        self.shop.epochs[self.fence.lineage] = (epoch, self.fence.token)


class RefusesWithoutAReason(Sound):
    async def discard(self, epoch: int) -> None:
        try:
            await super().discard(epoch)
        except MisconfiguredError:
            raise ValueError("no") from None


class KnowsNoFence(Sound):
    async def commit(self, epoch: int, prepared: bytes) -> None:
        assert self.fence is not None
        committed, _ = self.shop.epochs[self.fence.lineage]
        if epoch > committed:
            self.shop.rows.extend(self.shop.staged.pop(json.loads(prepared)))
            self.shop.epochs[self.fence.lineage] = (epoch, self.fence.token)


class BreaksWhenReplaced(Sound):
    async def commit(self, epoch: int, prepared: bytes) -> None:
        try:
            await super().commit(epoch, prepared)
        except StateLost:
            raise RuntimeError("broken") from None


class KnowsNoLineage(Sound):
    """Epoch 1 of a new state is one that it has seen before."""

    async def open(self, context: Context) -> None:
        await super().open(context)
        if context.fence is not None:
            self.fence = HeldFence("the only one", context.fence.token)

    async def discard(self, epoch: int) -> None:
        assert self.fence is not None
        committed, _ = self.shop.epochs.get(self.fence.lineage, (0, 0))
        self.shop.epochs[self.fence.lineage] = (committed, self.fence.token)


class OverridesTwo(Sink[int]):
    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    async def write(self, records: Sequence[int]) -> None:
        self.shop.rows.extend(records)

    async def prepare(self, epoch: int) -> bytes:
        return b""

    async def commit(self, epoch: int, prepared: bytes) -> None:
        pass


_FAULTS: list[tuple[str, Callable[[Shop], Sink[int]], str]] = [
    ("nothing_is_seen_before_its_epoch_is_committed", ShowsAtOnce, "after a write that is not"),
    ("nothing_is_seen_before_its_epoch_is_committed", ShowsWhatIsPrepared, "after a prepare that"),
    ("nothing_is_seen_before_its_epoch_is_committed", ShowsAllThatIsWritten, "2 is being written"),
    ("nothing_is_seen_before_its_epoch_is_committed", OverridesTwo, "needs all three"),
    ("an_epoch_is_committed_once", CommitsTwice, "when an epoch was committed twice"),
    ("an_epoch_is_committed_once", RemembersInMemory, "committed again after a restart: 5 came"),
    ("an_epoch_without_records_is_an_epoch", NeedsRecords, "Expecting value"),
    ("a_crash_between_any_two_steps_is_recovered_from", PreparesNothing, "step 4 .* epoch 1 saved"),
    ("a_crash_between_any_two_steps_is_recovered_from", KeepsWhatWasPrepared, "step 3 .* its end"),
    ("an_earlier_epoch_is_shown_or_refused", GoesBackInSilence, "went back from epoch 3"),
    ("an_earlier_epoch_is_shown_or_refused", RefusesWithoutAReason, "has to say that epoch 3 is"),
    ("an_older_copy_is_refused", KnowsNoFence, "a copy that another one has replaced could commit"),
    ("an_older_copy_is_refused", BreaksWhenReplaced, "let the StateLost of .* pass"),
    ("a_new_state_begins_with_epoch_1", KnowsNoLineage, "written by the second of two states"),
]


@pytest.mark.parametrize(("name", "make", "message"), _FAULTS)
def test_each_fault_is_found(name: str, make: Callable[[Shop], Sink[int]], message: str) -> None:
    (check,) = (check for check in COMMIT_CHECKS if check.__name__ == name)
    with pytest.raises((AssertionError, ValueError), match=message):
        run_virtual(lambda: check(_case(make)))


def test_each_check_has_a_fault_that_it_finds() -> None:
    assert {name for name, *_ in _FAULTS} == {check.__name__ for check in COMMIT_CHECKS}
    assert set(COMMIT_CHECKS) < set(SINK_CHECKS)


class SaysThatItCannot(ShowsAtOnce):
    @property
    def transactional(self) -> bool:
        return False


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_a_sink_that_says_that_it_cannot_commit_here_need_not(check: Check) -> None:
    run_virtual(lambda: check(_case(SaysThatItCannot)))


def test_a_fence_holds_until_another_copy_has_taken_over() -> None:
    async def main() -> None:
        fence = HeldFence(token=7)
        assert context(fence=fence).fence is fence
        assert context().fence is None
        await fence.check()
        later = fence.taken_over()
        assert (later.lineage, later.token) == ("test", 8)
        await later.check()
        with pytest.raises(StateLost, match="another copy"):
            await fence.check()

    run_virtual(main)
