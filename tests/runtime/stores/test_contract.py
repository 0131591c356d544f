"""What every store does."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence

import pytest

from thalweg.runtime.errors import StateDamaged, StateLost
from thalweg.runtime.stores import Checkpoint, SavedEpoch, Segment, Store

from .conftest import Place


def checkpoint(
    epoch: int, *segments: tuple[str, bytes, int], seen: bool = False, head: bytes | None = None
) -> Checkpoint:
    """An epoch of one node, whose segments are (part, data, since)."""
    found = [Segment("node", part, data, since) for part, data, since in segments]
    return Checkpoint(epoch, b"head %d" % epoch if head is None else head, found, seen)


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def body() -> None:
        await main()

    asyncio.run(body())


async def numbers(store: Store) -> list[int]:
    return [one.epoch for one in await store.epochs()]


def test_a_new_state_has_no_epochs(place: Place) -> None:
    async def main() -> None:
        store = place.store()
        held = await store.open("job")
        assert (held.token, bool(held.lineage), await store.epochs()) == (1, True, [])
        await store.check()
        await store.close()

    run(main)


def test_what_was_saved_is_there_after_a_restart(place: Place) -> None:
    async def main() -> None:
        first = place.store()
        await first.open("job")
        await first.save(checkpoint(1, ("", b"one", 1), ("b", b"", 1), seen=True), keep=2)
        await first.close()
        second = place.store()
        await second.open("job")
        assert await second.epochs() == [SavedEpoch(1, seen=True)]
        saved = await second.load(1)
        assert (saved.epoch, saved.head) == (1, b"head 1")
        assert saved.segments == {("node", ""): [b"one"], ("node", "b"): [b""]}
        await second.close()

    run(main)


def test_an_epoch_may_hold_nothing_at_all(place: Place) -> None:
    async def main() -> None:
        store = place.store()
        await store.open("job")
        await store.save(checkpoint(1, head=b""), keep=1)
        saved = await store.load(1)
        assert (saved.head, saved.segments) == (b"", {})
        await store.close()

    run(main)


def test_a_part_is_rebuilt_from_all_that_changed_since(place: Place) -> None:
    async def main() -> None:
        store = place.store()
        await store.open("job")
        for epoch in range(1, 6):
            await store.save(
                checkpoint(epoch, ("a", b"a%d" % epoch, 2 if epoch > 1 else 1), ("b", b"b", epoch)),
                keep=1,
            )
        await store.close()
        await store.open("job")
        saved = await store.load(5)
        assert saved.segments["node", "a"] == [b"a2", b"a3", b"a4", b"a5"]
        assert saved.segments["node", "b"] == [b"b"]
        await store.close()

    run(main)


def test_of_each_kept_epoch_everything_is_kept(place: Place) -> None:
    """Epoch 4 begins the part anew, and still 3 can be gone back to."""

    async def main() -> None:
        store = place.store()
        await store.open("job")
        since = {1: 1, 2: 1, 3: 1, 4: 4, 5: 4, 6: 4}
        for epoch in range(1, 5):
            await store.save(checkpoint(epoch, ("a", b"%d" % epoch, since[epoch])), keep=2)
        assert await numbers(store) == [3, 4]
        assert (await store.load(3)).segments["node", "a"] == [b"1", b"2", b"3"]
        assert (await store.load(4)).segments["node", "a"] == [b"4"]
        for epoch in (5, 6):
            await store.save(checkpoint(epoch, ("a", b"%d" % epoch, 4)), keep=2)
        assert await numbers(store) == [5, 6]
        assert (await store.load(5)).segments["node", "a"] == [b"4", b"5"]
        with pytest.raises(StateDamaged, match="epoch 4"):
            await store.load(4)
        await store.close()

    run(main)


def test_a_part_may_leave_its_past_behind_little_by_little(place: Place) -> None:
    """As a window does that keeps a segment for each epoch."""

    async def main() -> None:
        store = place.store()
        await store.open("job")
        for epoch in range(1, 9):
            await store.save(checkpoint(epoch, ("a", b"%d" % epoch, max(1, epoch - 2))), keep=2)
        assert (await store.load(7)).segments["node", "a"] == [b"5", b"6", b"7"]
        assert (await store.load(8)).segments["node", "a"] == [b"6", b"7", b"8"]
        await store.close()

    run(main)


def test_a_part_may_come_and_go(place: Place) -> None:
    async def main() -> None:
        store = place.store()
        await store.open("job")
        await store.save(checkpoint(1, ("a", b"1", 1)), keep=2)
        await store.save(checkpoint(2), keep=2)
        await store.save(checkpoint(3, ("a", b"3", 3)), keep=2)
        assert (await store.load(2)).segments == {}
        assert (await store.load(3)).segments == {("node", "a"): [b"3"]}
        await store.close()

    run(main)


def test_numbers_may_be_skipped(place: Place) -> None:
    async def main() -> None:
        store = place.store()
        await store.open("job")
        await store.save(checkpoint(3, ("a", b"3", 3)), keep=2)
        await store.save(checkpoint(7, ("a", b"7", 3)), keep=2)
        assert await numbers(store) == [3, 7]
        assert (await store.load(7)).segments["node", "a"] == [b"3", b"7"]
        await store.close()

    run(main)


@pytest.mark.parametrize("next_epoch", [3, 6])
def test_going_on_from_an_earlier_epoch_drops_the_later_ones(place: Place, next_epoch: int) -> None:
    async def main() -> None:
        store = place.store()
        await store.open("job")
        for epoch in range(1, 6):
            await store.save(checkpoint(epoch, ("a", b"old", 1)), keep=4)
        await store.close()
        await store.open("job")
        await store.load(2)
        assert await numbers(store) == [2, 3, 4, 5]
        await store.save(checkpoint(next_epoch, ("a", b"new", 1)), keep=4)
        await store.close()
        await store.open("job")
        assert await numbers(store) == [2, next_epoch]
        saved = await store.load(next_epoch)
        assert saved.segments["node", "a"] == [b"old", b"old", b"new"]
        await store.close()

    run(main)


def test_to_load_an_earlier_epoch_drops_nothing(place: Place) -> None:
    async def main() -> None:
        store = place.store()
        await store.open("job")
        for epoch in (1, 2, 3):
            await store.save(checkpoint(epoch), keep=3)
        await store.load(1)
        await store.close()
        await store.open("job")
        assert await numbers(store) == [1, 2, 3]
        await store.close()

    run(main)


def test_what_was_seen_is_known(place: Place) -> None:
    async def main() -> None:
        store = place.store()
        await store.open("job")
        for epoch, seen in ((1, True), (2, False), (3, True)):
            await store.save(checkpoint(epoch, seen=seen), keep=3)
        await store.close()
        await store.open("job")
        found = await store.epochs()
        assert found == [SavedEpoch(1, True), SavedEpoch(2, False), SavedEpoch(3, True)]
        await store.close()

    run(main)


def test_a_save_may_be_made_again(place: Place) -> None:
    async def main() -> None:
        store = place.store()
        await store.open("job")
        await store.save(checkpoint(1, ("a", b"1", 1)), keep=2)
        for _ in range(3):
            await store.save(checkpoint(2, ("a", b"2", 1)), keep=2)
        assert (await store.load(2)).segments["node", "a"] == [b"1", b"2"]
        await store.save(checkpoint(3, ("a", b"3", 1)), keep=2)
        assert (await store.load(3)).segments["node", "a"] == [b"1", b"2", b"3"]
        await store.close()

    run(main)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (checkpoint(2, ("a", b"other", 1)), "epoch 2 cannot be saved after epoch 2"),
        (checkpoint(1), "epoch 1 cannot be saved after epoch 2"),
        (checkpoint(3, ("a", b"3", 1)), "needs epoch 1, and what epoch 2 kept of it is .2."),
        (checkpoint(3, ("b", b"3", 2)), "needs epoch 2, and what epoch 2 kept of it is nothing"),
    ],
)
def test_an_epoch_that_cannot_follow_is_refused(place: Place, wrong: Checkpoint, says: str) -> None:
    async def main() -> None:
        store = place.store()
        await store.open("job")
        await store.save(checkpoint(1, ("a", b"1", 1)), keep=2)
        await store.save(checkpoint(2, ("a", b"2", 2)), keep=2)
        with pytest.raises(ValueError, match=says):
            await store.save(wrong, keep=2)
        with pytest.raises(ValueError, match="keep must be 1 or more"):
            await store.save(checkpoint(3), keep=0)
        await store.save(checkpoint(3, ("a", b"3", 2)), keep=2)
        assert (await store.load(3)).segments["node", "a"] == [b"2", b"3"]
        await store.close()

    run(main)


def test_where_there_are_epochs_one_is_loaded_first(place: Place) -> None:
    async def main() -> None:
        store = place.store()
        await store.open("job")
        await store.save(checkpoint(1), keep=2)
        await store.close()
        await store.open("job")
        with pytest.raises(ValueError, match="has epochs: load the one to go on from"):
            await store.save(checkpoint(2), keep=2)
        assert await numbers(store) == [1]
        await store.close()

    run(main)


def test_tokens_grow_and_the_lineage_is_kept(place: Place) -> None:
    async def main() -> None:
        store = place.store()
        held = [await store.open("job")]
        for _ in range(3):
            await store.close()
            store = place.store()
            held.append(await store.open("job"))
        assert [one.token for one in held] == [1, 2, 3, 4]
        assert len({one.lineage for one in held}) == 1
        await store.close()

    run(main)


def test_a_state_that_was_deleted_has_another_lineage(place: Place) -> None:
    async def main() -> None:
        store = place.store()
        first = await store.open("job")
        await store.save(checkpoint(1), keep=1)
        await store.close()
        await place.forget("job")
        second = await store.open("job")
        assert first.lineage != second.lineage
        assert await store.epochs() == []
        await store.close()

    run(main)


def test_a_copy_whose_state_is_deleted_under_it_stops(place: Place) -> None:
    async def main() -> None:
        store = place.store()
        await store.open("job")
        await store.save(checkpoint(1), keep=1)
        await place.forget("job")
        with pytest.raises(StateLost, match="was deleted"):
            await store.check()
        with pytest.raises(StateLost, match="was deleted"):
            await store.save(checkpoint(2), keep=1)
        other = place.store()
        await other.open("job")
        assert await other.epochs() == []
        await other.save(checkpoint(1), keep=1)
        with pytest.raises(StateLost):
            await store.save(checkpoint(2), keep=1)
        await store.close()
        await other.check()
        assert await numbers(other) == [1]
        await other.close()

    run(main)


def test_jobs_do_not_meet(place: Place) -> None:
    async def main() -> None:
        stores = [place.store(), place.store()]
        held = [await store.open(f"job-{at}") for at, store in enumerate(stores)]
        assert held[0].lineage != held[1].lineage
        for at, store in enumerate(stores):
            await store.save(checkpoint(1, ("a", b"of %d" % at, 1)), keep=1)
        for at, store in enumerate(stores):
            assert (await store.load(1)).segments["node", "a"] == [b"of %d" % at]
            await store.close()

    run(main)


def test_one_object_serves_one_job(place: Place) -> None:
    async def main() -> None:
        store = place.store()
        first = await store.open("job")
        with pytest.raises(RuntimeError, match="is open for job 'job'"):
            await store.open("other")
        assert (await store.open("job")).token == first.token + 1
        await store.close()
        await store.open("other")
        await store.close()

    run(main)


def test_a_store_is_used_between_open_and_close(place: Place) -> None:
    async def main() -> None:
        store = place.store()
        uses: Sequence[Callable[[], Awaitable[object]]] = [
            store.epochs,
            store.check,
            lambda: store.load(1),
            lambda: store.save(checkpoint(1), keep=1),
        ]
        for _ in range(2):
            for use in uses:
                with pytest.raises(RuntimeError, match="between open and close"):
                    await use()
            await store.open("job")
            await store.close()
        await store.close()

    run(main)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".hidden", "a b", "ü", "a\n", "x" * 101])
def test_a_name_that_is_no_name_is_refused(place: Place, name: str) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="letters, digits"):
            await place.store().open(name)

    run(main)


def test_names_of_nodes_and_parts_may_be_anything(place: Place) -> None:
    async def main() -> None:
        store = place.store()
        await store.open("a.job-of_9")
        segments = [
            Segment(node, part, f"{node}|{part}".encode(), 1)
            for node, part in [
                ("a", "b"),
                ("ab", ""),
                ("", "ab"),
                ("a'b", 'b"'),
                ("ü", "\U0001f30a"),
            ]
        ]
        await store.save(Checkpoint(1, b"", segments, seen=False), keep=1)
        saved = await store.load(1)
        assert saved.segments == {(one.node, one.part): [one.data] for one in segments}
        await store.close()

    run(main)


def test_a_save_that_is_cancelled_is_there_or_not(place: Place) -> None:
    """Wherever it is cancelled, and the next copy can hold the state at once."""

    async def main() -> None:
        store = place.store()
        await store.open("job")
        await store.save(checkpoint(1, ("a", b"1", 1)), keep=2)
        turns = 0
        while True:
            saving = asyncio.ensure_future(
                store.save(checkpoint(2 + turns, ("a", b"x" * 100_000, 2 + turns)), keep=2)
            )
            for _ in range(turns):
                await asyncio.sleep(0)
            if saving.done():
                break
            saving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await saving
            await store.close()
            await store.open("job")
            for one in await store.epochs():
                saved = await store.load(one.epoch)
                assert saved.head == b"head %d" % one.epoch
            turns += 1
            if turns > 40:
                break
        assert turns > 0
        await store.close()

    run(main)


def test_it_says_where_it_is(place: Place) -> None:
    assert place.store().describe() != type(place.store()).__name__


def test_a_checkpoint_contradicts_nothing() -> None:
    with pytest.raises(ValueError, match="counted from 1"):
        checkpoint(0)
    with pytest.raises(ValueError, match="since epoch 3"):
        checkpoint(2, ("a", b"", 3))
    with pytest.raises(ValueError, match="since epoch 0"):
        checkpoint(2, ("a", b"", 0))
    with pytest.raises(ValueError, match="twice in epoch 2"):
        checkpoint(2, ("a", b"", 1), ("a", b"", 2))
    given = [Segment("node", "a", b"", 1)]
    made = Checkpoint(1, b"", given, seen=False)
    given.clear()
    assert len(made.segments) == 1
    assert dataclasses.replace(made) == made
