"""What each record went through stands on its dead letter, and is written with it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from thalweg import Graph, Retry
from thalweg.operators import score, sinks, sources
from thalweg.operators.endpoints import several

from .scoring import QUICK, Scoring, record
from .scripted_server import FIELDS, Asked, ScriptedServer

pytestmark = pytest.mark.asyncio

BAD = 5


async def _busy_then_picky(asked: Asked, seen: list[int]) -> web.StreamResponse:
    seen.append(1)
    if len(seen) == 1:
        return asked.refuse(429, "too many at once", {"Retry-After": "0"})
    if BAD in asked.numbers:
        return asked.refuse(400, "row 5 is not for me")
    return asked.answer()


async def test_a_dead_letter_tells_each_try_in_lines_of_json(
    server: ScriptedServer, tmp_path: Path
) -> None:
    seen: list[int] = []
    server.reply = lambda asked: _busy_then_picky(asked, seen)
    path = tmp_path / "failed.ndjson"
    graph = Graph("scoring")
    records = graph.read("records", sources.records([record(n) for n in range(8)]))
    scored = records.batch(8).via(
        "score", score(server.endpoint("oip"), fields=FIELDS, retry=QUICK)
    )
    scored.to("scored", sinks.each(lambda _: None))
    graph.failed.to("failed", sinks.ndjson(path))
    async with graph.start() as job:
        await job.wait()
    (line,) = path.read_text().splitlines()
    letter = json.loads(line)
    history = letter["history"]
    assert letter["attempts"] == len(history) == 5
    assert [one["number"] for one in history] == [1, 2, 3, 4, 5]
    assert [one["error"] for one in history] == ["BusyError", *["DataError"] * 4]
    assert [one["records"] for one in history] == [8, 8, 4, 2, 1]
    assert history[0]["waited"] > 0.0
    assert history[0]["message"].endswith("answered 429: too many at once")
    assert history[-1]["message"] == letter["error"]["message"]
    assert [one["by"] for one in history] == [None] * 5


async def test_a_record_that_is_rejected_before_any_request_has_no_history(
    server: ScriptedServer,
) -> None:
    scene = Scoring(server.endpoint("oip"), [{**record(0), "x": None}, record(1)])
    await scene.run()
    (letter,) = scene.failed.records
    assert (letter.attempts, letter.history) == (1, ())


@pytest.mark.parametrize("status", [400, 500])
async def test_which_of_several_servers_answered_is_told(
    server: ScriptedServer, status: int
) -> None:
    other = ScriptedServer()
    await other.listen()

    async def refuse(asked: Asked) -> web.StreamResponse:
        return asked.refuse(status, "not for me") if BAD in asked.numbers else asked.answer()

    server.reply = other.reply = refuse
    endpoints = [server.endpoint("oip"), other.endpoint("oip")]
    try:
        scene = Scoring(several(endpoints), [record(n) for n in range(20)], batch=4)
        await scene.run()
    finally:
        await other.close()
    (letter,) = scene.failed.records
    assert letter.attempts == letter.history[-1].number
    told = {one.by for one in letter.history}
    assert told
    assert told <= set(map(repr, endpoints))


async def test_which_of_several_servers_was_asked_when_the_time_was_up_is_told(
    server: ScriptedServer,
) -> None:
    silent = ScriptedServer()
    await silent.listen()

    async def hang(asked: Asked) -> web.StreamResponse:
        await asyncio.Event().wait()
        return asked.answer()

    server.reply = silent.reply = hang
    endpoints = [server.endpoint("oip"), silent.endpoint("oip")]
    retry = Retry(attempts=2, first=0.001, longest=0.002, when_down="failed")
    try:
        scene = Scoring(several(endpoints), [record(0)], timeout=0.1, retry=retry)
        await scene.run()
    finally:
        await silent.close()
    (letter,) = scene.failed.records
    assert [one.error for one in letter.history] == ["UnavailableError"] * 2
    assert {one.by for one in letter.history} == set(map(repr, endpoints))


async def test_how_each_of_several_servers_stands_is_in_progress_and_in_metrics(
    server: ScriptedServer,
) -> None:
    other = ScriptedServer()
    await other.close()  # nobody listens there
    up, down = server.endpoint("oip"), other.endpoint("oip")
    registry = CollectorRegistry()
    graph = Graph("scoring")
    records = graph.read("records", sources.records([record(n) for n in range(40)]))
    scored = records.batch(4).via("score", score([up, down], fields=FIELDS, retry=QUICK))
    scored.to("scored", sinks.each(lambda _: None))
    async with graph.start(metrics=registry) as job:
        await job.wait()
        text = generate_latest(registry).decode()
    first, second = job.progress().node("score").endpoints
    assert (first.endpoint, first.healthy, first.in_flight) == (repr(up), True, 0)
    assert (first.calls, first.failures, first.last_error) == (10, 0, None)
    assert (second.endpoint, second.healthy, second.failures) == (repr(down), False, 1)
    assert second.last_error is not None
    assert "got no answer" in second.last_error
    listed = job.progress().as_dict()["nodes"]
    assert json.loads(json.dumps(listed))[2]["endpoints"][1]["last_error"] == second.last_error
    labels = f'{{endpoint="{up!r}",graph="scoring",node="score"}}'
    assert f"thalweg_endpoint_calls_total{labels} 10.0" in text
    assert f"thalweg_endpoint_healthy{labels} 1.0" in text
    labels = labels.replace(repr(up), repr(down))
    assert f"thalweg_endpoint_failures_total{labels} 1.0" in text
    assert f"thalweg_endpoint_healthy{labels} 0.0" in text
    assert f"thalweg_endpoint_in_flight{labels} 0.0" in text
