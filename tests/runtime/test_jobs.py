"""The jobs of this process, by name: found while they are held, and held by nobody else."""

from __future__ import annotations

import asyncio
import gc

import pytest

from thalweg import Graph, ThalwegError, jobs
from thalweg.operators import sinks, sources
from thalweg.runtime.job import Job

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


def graph_named(name: str) -> Graph:
    graph = Graph(name)
    graph.read("numbers", sources.push()).to("out", sinks.collect([]))
    return graph


def test_a_job_is_found_by_its_name_and_by_its_id_while_it_runs_and_after() -> None:
    async def main() -> Job:
        job = graph_named("searched").start()
        with pytest.raises(ThalwegError, match="no job 'searched'"):
            jobs.get("searched")  # It has not begun.
        async with job:
            assert jobs.get("searched") is jobs.get(job.id) is job
            assert job in jobs.active
        assert jobs.get("searched") is job
        assert job not in jobs.active
        return job

    job = asyncio.run(main())
    assert jobs.get("searched") is job
    del job
    gc.collect()
    with pytest.raises(ThalwegError, match="no job 'searched'"):
        jobs.get("searched")


def test_the_active_one_goes_before_one_that_has_ended() -> None:
    async def main() -> None:
        first, second = graph_named("again").start(), graph_named("again").start()
        async with first:
            pass
        async with second:
            assert jobs.get("again") is second
        assert jobs.get(first.id) is first

    asyncio.run(main())


def test_of_several_that_are_active_the_ids_are_told() -> None:
    async def main() -> None:
        async with graph_named("twice").start() as one, graph_named("twice").start() as other:
            with pytest.raises(ThalwegError, match=f"by its id, {one.id} or {other.id}"):
                jobs.get("twice")
            assert jobs.get(other.id) is other

    asyncio.run(main())


def test_a_name_that_nearly_is_one_is_offered() -> None:
    async def main() -> None:
        async with graph_named("readings").start():
            with pytest.raises(ThalwegError, match=r"there is .*readings.*readings"):
                jobs.get("raedings")

    asyncio.run(main())
