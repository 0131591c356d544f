"""Idempotency keys: the same record has the same key in every run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from thalweg import Graph, JobFailed, Sink, State
from thalweg.operators import sources
from thalweg.testing import CRASH, PAUSE, MemoryStore, run_virtual, scripted

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


class Keyed(Sink[object]):
    """Writes with keys."""

    repeatable = False

    def __init__(self, written: list[tuple[object, str | None]]) -> None:
        self.written = written

    async def write(self, records: Sequence[object]) -> None:
        raise AssertionError("write_keyed is there")

    async def write_keyed(self, records: Sequence[object], keys: Sequence[str | None]) -> None:
        self.written += zip(records, keys, strict=True)


class Patient(Keyed):
    """The same for a sink that is asked again."""

    repeatable = True


@pytest.mark.parametrize("kind", [Keyed, Patient])
@pytest.mark.parametrize("size", [1, 3, 1024])
def test_a_key_tells_source_position_and_number(kind: type[Keyed], size: int) -> None:
    written: list[tuple[object, str | None]] = []
    graph = Graph("keyed", max_batch_size=size)
    words = graph.read("words", sources.records(["a b", "", "c", "d e f"]))
    several = words.flat_map(str.split).filter(lambda word: word != "e")
    several.batch(2).to("out", kind(written))
    graph.run()
    assert written == [
        ("a", "words//0"),
        ("b", "words//0/1"),
        ("c", "words//2"),
        ("d", "words//3"),
        ("f", "words//3/1"),
    ]


def test_what_comes_again_has_the_key_that_it_had() -> None:
    store, written = MemoryStore(), list[tuple[object, str | None]]()
    values = [value for n in range(30) for value in (n, PAUSE(0.1))]
    script = scripted(*values[:40], CRASH, *values[40:])

    def start() -> None:
        graph = Graph("again")
        graph.read("n", script).map(lambda n: n * 10).to("out", Keyed(written))

        async def main() -> None:
            async with graph.start(state=State(store, interval=0.35)) as job:
                await job.wait()

        run_virtual(main)

    with pytest.raises(JobFailed):
        start()
    start()
    assert len(written) > 30
    assert dict(written) == {n * 10: f"n//{n}" for n in range(30)}


def test_sources_that_count_anew_have_other_keys_after_each_start() -> None:
    store, written = MemoryStore(), list[tuple[object, str | None]]()

    async def main() -> None:
        graph = Graph("pushed")
        graph.read("orders", sources.push(), lossy=True).to("out", Keyed(written))
        async with graph.start(state=State(store)) as job:
            await (await job.push("orders", ["a", "b"]))
            await asyncio.sleep(0)

    run_virtual(main)
    run_virtual(main)
    assert [key for _, key in written] == [
        "orders@1//0", "orders@1//1", "orders@2//0", "orders@2//1",
    ]  # fmt: skip


def test_a_record_that_no_record_made_has_no_key() -> None:
    written: list[tuple[object, str | None]] = []
    graph = Graph("whole")
    numbers = graph.read("n", sources.records(range(4)))
    numbers.map_batch(lambda records: [sum(records)]).to("out", Keyed(written))
    graph.run()
    assert written == [(6, None)]
