"""Two model servers on real sockets, of which one is killed while records are scored."""

from __future__ import annotations

import asyncio

import pytest

from thalweg.operators.endpoints import several

from .model_process import ModelProcess
from .scoring import QUICK, Scoring, expected, record


@pytest.mark.asyncio
async def test_of_two_servers_one_may_be_killed_and_come_back_and_nothing_is_lost(
    protocol: str,
) -> None:
    with ModelProcess() as first, ModelProcess() as second:
        first.start()
        second.start()
        servers = [first.endpoints[protocol], second.endpoints[protocol]]
        scoring = Scoring(several(servers, first_pause=0.05), pushed=True, retry=QUICK)
        async with scoring.job() as job:
            await (await job.push("records", [record(n) for n in range(160)]))
            delivery = await job.push("records", [record(n) for n in range(160, 480)])
            await scoring.scored.received(200)
            first.kill()
            await delivery
            # Nobody but the other one can have answered this.
            await (await job.push("records", [record(n) for n in range(480, 800)]))
            await asyncio.to_thread(first.start)
            second.kill()
            await (await job.push("records", [record(n) for n in range(800, 1120)]))
    assert scoring.scored.records == [{**one, "sum": one["x"]} for one in expected(range(1120))]
    assert not scoring.failed.records
