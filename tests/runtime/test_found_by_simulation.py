"""What simulated seeds have found in the engine, each as the smallest job that shows it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

import pytest

from thalweg import Bookmark, Context, Graph, JobFailed, KeyedState, Operator, Source, State
from thalweg.testing import PAUSE, CollectingSink, MemoryStore, run_virtual, scripted


class BreaksAtAck(Source[int]):
    """Reads three numbers and ends; its ack fails."""

    async def open(self, context: Context) -> None:
        self.left = [1, 2, 3]

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None: ...

    async def read(self, limit: int) -> Sequence[int] | None:
        left, self.left = self.left, []
        return left or None

    async def ack(self, lane: str, position: int) -> None:
        raise ConnectionError("the broker has gone")


def test_an_ack_that_fails_after_the_end_of_its_source_is_told() -> None:
    """Found by an ack that was refused: the job said only that something had cancelled its source.

    The source had ended, and stayed for the epoch that holds its end, while the other one read on.
    """
    graph, out = Graph("acked"), CollectingSink[int]()
    graph.read("numbers", BreaksAtAck()).to("out", out)
    graph.read("others", scripted(1, PAUSE(100), 2)).to("rest", CollectingSink[int]())

    async def main() -> None:
        async with graph.start(state=State(MemoryStore(), interval=1.0)) as job:
            await job.wait()

    with pytest.raises(JobFailed, match=r"'numbers' could not acknowledge.*the broker has gone"):
        run_virtual(main)
    assert out.records == [1, 2, 3]


class Twice(Operator[tuple[str, int], tuple[str, int]]):
    """Tells each record as it comes, and all of them once more at the end."""

    def __init__(self) -> None:
        self.seen: KeyedState[tuple[str, int], int] = KeyedState()

    def process(self, record: tuple[str, int]) -> Iterator[tuple[str, int]]:
        self.seen[record] = 1
        yield record

    def on_end(self) -> Iterator[tuple[str, int]]:
        return iter(self.seen)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_records_keep_their_lane_in_a_batch_with_such_as_have_none(size: int) -> None:
    """Found by lateness that was another in each run: it is judged by lane, and a batch in which
    one record was of no lane, made of memory at the end, had lost those of all its records.
    """
    graph, kept, late = Graph("lanes"), CollectingSink[object](), CollectingSink[object]()
    lanes = scripted(("a", 100), ("a", 200))
    told = graph.read("lanes", lanes).via("twice", Twice(), volatile=True)
    timed = told.batch(size, linger=None).event_time(
        lambda record: record[1], unit="s", lateness=0, max_ahead=None
    )
    timed.to("kept", kept)
    timed.late.to("late", late)

    async def main() -> None:
        async with graph.start() as job:
            await job.wait()
            await asyncio.sleep(0)

    run_virtual(main)
    # What was made of memory is a strand of its own, in which nothing is late either.
    assert kept.records == [("a", 100), ("a", 200)] * 2
    assert late.records == []
