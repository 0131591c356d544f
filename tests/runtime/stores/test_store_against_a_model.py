"""Any sequence of saves, loads, restarts and repeats, against a model of a few lines."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thalweg.runtime.stores import Checkpoint, SavedEpoch, Segment, Store

from .conftest import Place

PARTS = ("", "a", "b")
T = TypeVar("T")


class Draw(Protocol):
    def __call__(self, strategy: st.SearchStrategy[T], /) -> T: ...


@dataclass
class Model:
    """All epochs that were ever saved and not dropped, each with all that rebuilds it."""

    keep: int
    at: int = 0
    epochs: dict[int, tuple[Checkpoint, dict[str, dict[int, bytes]]]] = field(
        default_factory=dict[int, tuple[Checkpoint, dict[str, dict[int, bytes]]]]
    )

    def chains(self) -> dict[str, dict[int, bytes]]:
        """Of each part, what the epoch needs that the next one follows."""
        return self.epochs[self.at][1] if self.at else {}

    def save(self, checkpoint: Checkpoint) -> None:
        chains: dict[str, dict[int, bytes]] = {}
        for one in checkpoint.segments:
            before = self.chains().get(one.part, {})
            kept = {epoch: data for epoch, data in before.items() if epoch >= one.since}
            chains[one.part] = {**kept, checkpoint.epoch: one.data}
        later = [epoch for epoch in self.epochs if epoch > self.at]
        for epoch in later:
            del self.epochs[epoch]
        self.at = checkpoint.epoch
        self.epochs[self.at] = checkpoint, chains
        for epoch in sorted(self.epochs)[: -self.keep]:
            del self.epochs[epoch]

    async def compare(self, store: Store) -> None:
        assert await store.epochs() == [
            SavedEpoch(epoch, self.epochs[epoch][0].seen) for epoch in sorted(self.epochs)
        ]
        for epoch, (checkpoint, chains) in self.epochs.items():
            saved = await store.load(epoch)
            assert (saved.epoch, saved.head) == (epoch, checkpoint.head)
            assert saved.segments == {
                ("node", part): [data for _, data in sorted(chain.items())]
                for part, chain in chains.items()
            }


def next_epoch(draw: Draw, model: Model) -> Checkpoint:
    number = model.at + draw(st.integers(1, 3))
    segments: list[Segment] = []
    for part in draw(st.lists(st.sampled_from(PARTS), unique=True)):
        since = draw(st.sampled_from([number, *model.chains().get(part, {})]))
        segments.append(Segment("node", part, draw(st.binary(max_size=50)), since))
    return Checkpoint(number, draw(st.binary(max_size=20)), segments, draw(st.booleans()))


async def play(store: Store, job: str, draw: Draw) -> None:
    model = Model(keep=draw(st.integers(1, 4)))
    await store.open(job)
    for _ in range(draw(st.integers(1, 12))):
        action = draw(st.sampled_from(["save", "save", "save", "again", "load", "restart"]))
        if action in ("save", "again"):
            checkpoint = next_epoch(draw, model)
            for _ in range(1 if action == "save" else 2):
                await store.save(checkpoint, keep=model.keep)
            model.save(checkpoint)
        elif action == "restart":
            await store.close()
            await store.open(job)
            await model.compare(store)
        if model.epochs and action in ("load", "restart"):
            model.at = draw(st.sampled_from(sorted(model.epochs)))
            await store.load(model.at)
    await model.compare(store)


async def play_and_close(store: Store, draw: Draw) -> None:
    try:
        await play(store, f"job-{uuid.uuid4().hex}", draw)
    finally:
        await store.close()


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_store_does_what_the_model_does(place: Place, data: st.DataObject) -> None:
    asyncio.run(play_and_close(place.store(), data.draw))
