"""Servers that refuse, hang or start again: the stream waits, and loses and repeats nothing."""

from __future__ import annotations

import asyncio
import copy
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import web

from thalweg import Context, Graph, JobCancelled, JobFailed, Retry
from thalweg.operators import score, sources
from thalweg.operators.endpoints import Answer, Endpoint
from thalweg.testing import CollectingSink

from .model_process import ModelProcess, versioned
from .scoring import CHANNEL, QUICK, Record, Scoring, expected, record, until, within_bounds
from .scripted_server import FIELDS, Asked, ScriptedServer

READ_AHEAD = 16 * 16 + 3 * CHANNEL + 4 * 16 + 1024
"""The most that is read while nothing is scored: four times four batches of 16, two full channels
and what a regrouper has taken from one, a batch in the hands of each actor, and one read."""


class Watched(Endpoint):
    """An endpoint that notes when it is asked for each batch."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.tries: dict[object, list[float]] = {}

    async def open(self, context: Context) -> None:
        self._endpoint = copy.copy(self._endpoint)
        self._endpoint.max_in_flight = self.max_in_flight
        await self._endpoint.open(context)

    async def predict(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        now = asyncio.get_running_loop().time()
        self.tries.setdefault(rows[0][0], []).append(now)
        return await self._endpoint.predict(fields, rows)

    async def close(self) -> None:
        await self._endpoint.close()


@pytest.fixture(scope="module")
def process() -> Iterator[ModelProcess]:
    """One process for all tests that only pause it for a while."""
    with ModelProcess() as process:
        process.start()
        yield process


@pytest.fixture
def paused(process: ModelProcess) -> Iterator[ModelProcess]:
    """A server that accepts connections and never answers, until it is resumed."""
    process.pause()
    yield process
    process.resume()


@pytest.mark.asyncio
async def test_a_server_that_refuses_connections_is_waited_for(
    closed_server: ScriptedServer, protocol: str
) -> None:
    watched = Watched(closed_server.endpoint(protocol))
    retry = Retry(attempts=4, first=0.01, longest=0.06)
    scoring = Scoring(watched, [record(n) for n in range(1600)], retry=retry)
    async with scoring.job() as job:
        while min(map(len, watched.tries.values()), default=0) < 8:
            assert within_bounds(job.progress())
            await asyncio.sleep(0.002)
        # Four are asked for at a time, and what cannot be asked for is not read.
        assert list(watched.tries) == [0, 16, 32, 48]
        progress = job.progress()
        assert progress.read <= READ_AHEAD < 1600
        assert progress.settled == 0
        waiting = progress.node("score").waiting
        assert waiting is not None
        assert "after: " in waiting
        assert f"{closed_server.url}/" in waiting
        assert "cannot connect: Connection refused" in waiting
        assert not scoring.scored.records
        _check_pauses(list(watched.tries.values()), retry)
        await closed_server.listen()
        await job.wait()
        progress = job.progress()
    assert scoring.scored.records == expected(range(1600))
    assert not scoring.failed.records
    assert progress.node("score").waiting is None
    assert progress.node("score").retries == sum(map(len, watched.tries.values())) - 100


def _check_pauses(tries: list[list[float]], retry: Retry) -> None:
    """The pauses grow and differ; once the retries are used up, one call asks for all."""
    assert min(one[1] - one[0] for one in tries) < retry.longest / 2
    late = sorted(at for one in tries for at in one)[retry.attempts * len(tries) :]
    pauses = [after - at for at, after in pairwise(late)]
    assert len(pauses) > 12
    # Pauses of up to `longest`, but not less than half of it: some are short and some long.
    assert retry.longest / 2 <= min(pauses) < 0.75 * retry.longest
    assert max(pauses) > 0.7 * retry.longest


def _said(numbers: Iterable[int], version: str | None = None) -> list[Record]:
    """What the model of the process makes of these records."""
    return [{**one, "sum": one["x"]} for one in expected(numbers, version)]


@pytest.mark.asyncio
async def test_a_server_that_accepts_and_never_answers_is_waited_for(
    process: ModelProcess, served: str
) -> None:
    endpoint = process.endpoints[served]
    retry = Retry(attempts=2, first=0.01, longest=0.05)
    scoring = Scoring(endpoint, timeout=0.15, retry=retry, pushed=True)
    try:
        async with scoring.job() as job:
            await (await job.push("records", [record(n) for n in range(160)]))
            process.pause()
            delivery = asyncio.create_task(
                job.push("records", [record(n) for n in range(160, 2160)])
            )
            await until(lambda: job.progress().node("score").retries >= 12)
            progress = job.progress()
            waiting = progress.node("score").waiting
            assert waiting is not None
            assert waiting.endswith("gave no answer within 0.15 s")
            assert f"score({served}('http://127.0.0.1:" in waiting
            assert within_bounds(progress)
            assert progress.settled == 160
            assert progress.read <= 160 + READ_AHEAD
            assert not delivery.done()
            process.resume()
            await (await delivery)
            progress = job.progress()
    finally:
        process.resume()
    assert [{**one, "model_version": "1"} for one in scoring.scored.records] == _said(
        range(2160), "1"
    )
    assert not scoring.failed.records
    assert progress.node("score").waiting is None
    assert progress.settled == progress.read == 2160


@pytest.mark.asyncio
async def test_a_hanging_server_costs_records_where_that_is_the_choice(
    paused: ModelProcess, served: str
) -> None:
    scoring = Scoring(
        paused.endpoints[served],
        timeout=0.1,
        retry=Retry(attempts=2, first=0.01, longest=0.05, when_down="failed"),
        pushed=True,
    )
    async with scoring.job() as job:
        await (await job.push("records", [record(n) for n in range(64)]))
        assert scoring.failures == list(range(64))
        paused.resume()
        await (await job.push("records", [record(n) for n in range(64, 320)]))
    # The first answers after a pause may be late; each record is in one place, in order.
    assert sorted([*scoring.numbers, *scoring.failures], key=_number) == list(range(320))
    assert scoring.numbers == sorted(scoring.numbers, key=_number)
    assert scoring.failures == sorted(scoring.failures, key=_number)
    assert len(scoring.numbers) >= 128
    for letter in scoring.failed.records:
        assert (letter.error.type, letter.attempts) == ("UnavailableError", 2)
        assert letter.error.message.endswith("gave no answer within 0.1 s")


def _number(n: object) -> int:
    assert isinstance(n, int)
    return n


@pytest.mark.asyncio
async def test_a_hanging_server_fails_the_job_where_that_is_the_choice(
    paused: ModelProcess, served: str
) -> None:
    scoring = Scoring(
        paused.endpoints[served],
        [record(n) for n in range(320)],
        timeout=0.1,
        retry=Retry(attempts=2, first=0.01, longest=0.05, when_down="fail"),
    )
    with pytest.raises(JobFailed) as caught:
        await scoring.run()
    for part in (
        "graph 'scoring': 'score' failed on records, between records 0 and 15: ",
        "given up after 2 tries: ",
        f"score({served}('http://127.0.0.1:",
        "gave no answer within 0.1 s",
    ):
        assert part in str(caught.value)
    assert not scoring.scored.records
    assert not scoring.failed.records


@pytest.mark.asyncio
async def test_a_job_that_waits_for_a_server_can_be_ended(
    server: ScriptedServer, protocol: str
) -> None:
    async def busy(asked: Asked) -> web.StreamResponse:
        return asked.refuse(503, "later", {"Retry-After": "500"})

    server.reply = busy
    scoring = Scoring(server.endpoint(protocol), [record(n) for n in range(1600)])

    async def drained() -> None:
        async with scoring.job() as job:
            await until(lambda: len(server.asked) == 4)
            await job.drain(timeout=0.05)

    with pytest.raises(JobCancelled) as caught:
        await drained()
    assert len(server.asked) == 4
    assert caught.value.settled == {"records": None}
    told = re.search(r"([\d,]+) records read and not confirmed", str(caught.value))
    assert told is not None
    read = int(told[1].replace(",", ""))
    assert sum(caught.value.unprocessed.values()) == read <= READ_AHEAD
    assert not scoring.scored.records
    assert not scoring.failed.records


@pytest.mark.asyncio
async def test_a_server_that_starts_again_with_another_model_is_told_by_its_scores(
    tmp_path: Path,
) -> None:
    graph = Graph("restart", max_batch_size=16, channel_records=CHANNEL)
    scored: dict[str, CollectingSink[Record]] = {}
    with ModelProcess() as process:
        process.start(versioned(1, tmp_path))
        stream = graph.read("records", sources.records([record(n) for n in range(800)], rate=1000))
        for protocol, endpoint in process.endpoints.items():
            scored[protocol] = CollectingSink()
            operator = score(endpoint, fields=FIELDS, retry=QUICK, max_in_flight=4)
            stream.batch(16).via(protocol, operator).to(f"from_{protocol}", scored[protocol])
        async with asyncio.timeout(40), graph.start() as job:
            for sink in scored.values():
                await sink.received(160)
            process.kill()
            await asyncio.to_thread(process.start, versioned(2, tmp_path))
            await job.wait()
    assert scored["wml"].records == _said(range(800))  # That protocol tells no version.
    versions = [one.pop("model_version") for one in scored["oip"].records]
    assert scored["oip"].records == _said(range(800))
    assert versions[:160] == ["1"] * 160
    assert versions[-1] == "2"
    assert set(versions) == {"1", "2"}
