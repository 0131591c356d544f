"""The kit and the engine together: a scripted source drives a job on virtual time."""

from __future__ import annotations

import asyncio

import pytest

from thalweg import Graph, JobFailed, testing
from thalweg.testing import CRASH, END, PAUSE, CollectingSink, run_virtual, scripted


def test_a_script_crashes_pauses_and_goes_on_from_job_to_job() -> None:
    source = scripted(0, 1, PAUSE(3600), 2, PAUSE(1), CRASH, 3, END, 4)
    sink: CollectingSink[int] = CollectingSink()
    graph = Graph("scripted")
    graph.read("script", source).map(lambda number: 10 * number).to("out", sink)

    async def job() -> float:
        async with graph.start() as started:
            await started.wait()
        return asyncio.get_running_loop().time()

    async def crash() -> float:
        with pytest.raises(JobFailed, match="CRASH stands at place 5 of the script"):
            await job()
        return asyncio.get_running_loop().time()

    assert run_virtual(crash) == 3601.0
    assert sink.records == [0, 10, 20]
    run_virtual(job)
    assert sink.records == [0, 10, 20, 30]
    run_virtual(job)
    assert sink.records == [0, 10, 20, 30, 40]
    assert source.acked == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("seed", range(5))
def test_a_test_waits_for_records_and_for_their_acks(seed: int) -> None:
    source = scripted(*range(100), PAUSE(60), *range(100, 200))
    sink: CollectingSink[int] = CollectingSink()
    graph = Graph("scripted")
    graph.read("script", source).to("out", sink)

    async def main() -> tuple[int, float]:
        async with graph.start() as job:
            await sink.received(100)
            await source.settled(100)
            early = len(sink.records)
            await source.settled(200)
            await job.wait()
        return early, asyncio.get_running_loop().time()

    assert run_virtual(main, seed=seed) == (100, 60.0)
    assert sink.records == source.acked == list(range(200))


def test_every_public_name_is_listed() -> None:
    modules = {"annotations", "runtime"}
    public = {name for name in vars(testing) if not name.startswith("_")} - modules
    assert public == set(testing.__all__)
