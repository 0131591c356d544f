"""Scoring with secrets and limits, as a whole job: what is refused, what waits, what is shown."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from thalweg import Graph, JobFailed
from thalweg.operators import score, sources
from thalweg.operators.endpoints import bearer, client_credentials
from thalweg.runtime.plan import Plan
from thalweg.testing import CollectingSink

from .scoring import QUICK, Record, Scoring, expected, record
from .scripted_server import FIELDS, PROTOCOLS, Asked, ScriptedServer, echo

SECRET = "open-sesame"
TOKEN = "eyJhbGciOiJub25lIn0.e30."


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setenv("SCORING_SECRET", SECRET)


class TokenServer:
    """Gives one token, after it has answered the first requests with these statuses."""

    def __init__(self) -> None:
        self.url = ""
        self.asked = 0
        self.statuses: list[int] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        said = (await request.read()).decode() + str(dict(request.headers))
        if self.statuses:
            return web.Response(status=self.statuses.pop(0), text=said)
        return web.json_response({"access_token": TOKEN, "expires_in": 3600})


@pytest_asyncio.fixture
async def tokens() -> AsyncIterator[TokenServer]:
    server = TokenServer()
    app = web.Application()
    app.router.add_post("/token", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}/token"
    yield server
    await runner.cleanup()


@pytest.mark.asyncio
async def test_a_batch_beyond_the_limit_is_halved_unsent_and_a_long_record_fails_alone(
    server: ScriptedServer, protocol: str
) -> None:
    records = [record(n) for n in range(64)]
    whole = Scoring(server.endpoint(protocol), records)
    await whole.run()
    largest = max(len(asked.body) for asked in server.asked)
    server.asked.clear()

    limit = largest * 2 // 5  # Less than a half of any, and enough for one record.
    endpoint = server.endpoint(protocol, max_request_bytes=limit)
    scoring = Scoring(endpoint, records)
    await scoring.run()
    assert scoring.scored.records == expected(range(64))
    assert scoring.failures == []
    assert max(len(asked.body) for asked in server.asked) <= limit
    # Halves of halves, and each row once.
    assert sum(len(asked.rows) for asked in server.asked) == 64
    assert len(server.asked) >= 16


@pytest.mark.asyncio
async def test_a_record_beyond_the_limit_fails_alone_and_names_both_sizes(
    server: ScriptedServer,
) -> None:
    records = [record(n) for n in range(32)]
    records[7]["x"] = "long" * 200
    endpoint = server.endpoint("wml", max_request_bytes=700)
    scoring = Scoring(endpoint, records)
    await scoring.run()
    assert scoring.numbers == [n for n in range(32) if n != 7]
    assert scoring.failures == [7]
    (letter,) = scoring.failed.records
    assert "would send 8" in letter.error.message
    assert "bytes, and max_request_bytes allows 700" in letter.error.message
    assert not any(7 in asked.numbers for asked in server.asked)


@pytest.mark.asyncio
@pytest.mark.parametrize("protocol", [name for name in PROTOCOLS if name != "json"])
@pytest.mark.parametrize("fetched", [False, True])
async def test_a_secret_is_shown_by_nothing_that_a_job_says(
    server: ScriptedServer,
    protocol: str,
    tokens: TokenServer,
    fetched: bool,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)

    async def reply(asked: Asked) -> web.StreamResponse:
        if 5 in asked.numbers:
            return asked.refuse(400, f"bad row; you are {dict(asked.request.headers)}")
        return await echo(asked)

    server.reply = reply
    auth = bearer("env:SCORING_SECRET")
    if fetched:
        auth = client_credentials(
            tokens.url, client_id="scorer", client_secret="env:SCORING_SECRET", in_body=True
        )
    graph = Graph("secrets")
    operator = score(server.text(protocol), fields=FIELDS, retry=QUICK, auth=auth)
    scored = graph.read("records", sources.records([record(n) for n in range(16)]))
    failed, out = CollectingSink[object](), CollectingSink[Record]()
    stream = scored.batch(8).via("score", operator)
    stream.to("out", out)
    graph.failed.to("failed", failed)
    registry = CollectorRegistry()
    async with asyncio.timeout(20), graph.start(metrics=registry) as job:
        await job.wait()
        shown = [repr(job.progress()), generate_latest(registry).decode()]
    assert [scored["n"] for scored in out.records] == [n for n in range(16) if n != 5]
    assert "[secret]" in repr(failed.records)
    plan = Plan.of(graph)
    shown += [plan.text(), plan.mermaid(), repr(plan.as_dict()), repr(operator), repr(auth)]
    shown += [repr(failed.records), caplog.text, *capsys.readouterr()]
    for text in shown:
        assert SECRET not in text
        assert TOKEN not in text
    sent = {asked.request.headers["Authorization"] for asked in server.asked}
    assert sent == {f"Bearer {TOKEN if fetched else SECRET}"}


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [400, 429, 500])
async def test_how_several_servers_stand_shows_no_secret(
    server: ScriptedServer, status: int
) -> None:
    host = server.url.removeprefix("http://")
    texts = [
        f"oip+http://{user}:{SECRET}@{host}/v2/models/same?key={SECRET}" for user in ("ada", "bob")
    ]

    async def reply(asked: Asked) -> web.StreamResponse:
        if 5 in asked.numbers and (status != 429 or server.tries_of(5) < 3):
            said = f"bad row; you are {dict(asked.request.headers)} and asked {asked.request.url}"
            return asked.refuse(status, said, {"Retry-After-Ms": "1"})
        return await echo(asked)

    server.reply = reply
    failed, out = CollectingSink[object](), CollectingSink[Record]()
    graph = Graph("secrets")
    scored = graph.read("records", sources.records([record(n) for n in range(16)]))
    operator = score(texts, fields=FIELDS, retry=QUICK)
    scored.batch(8).via("score", operator).to("out", out)
    graph.failed.to("failed", failed)
    registry = CollectorRegistry()
    async with asyncio.timeout(20), graph.start(metrics=registry) as job:
        await job.wait()
        page = generate_latest(registry).decode()
    progress = job.progress()
    assert len(progress.node("score").endpoints) == 2
    # Without their passwords they look alike, and each still has a series of its own.
    assert page.count("thalweg_endpoint_healthy{") == 2
    assert len(set(page.splitlines())) == len(page.splitlines())
    assert page.count(" #2") == 4
    for text in (repr(progress), str(progress.as_dict()), page, repr(failed.records)):
        assert SECRET not in text
    assert len(out.records) == (16 if status == 429 else 15)


@pytest.mark.asyncio
async def test_while_the_token_server_is_down_records_wait_and_none_is_lost(
    server: ScriptedServer, protocol: str, tokens: TokenServer
) -> None:
    tokens.statuses = [503, 500, 429, 502, 500, 500, 500]
    auth = client_credentials(tokens.url, client_id="s", client_secret="env:SCORING_SECRET")
    scoring = Scoring(server.endpoint(protocol, auth=auth), [record(n) for n in range(200)])
    await scoring.run()
    assert scoring.scored.records == expected(range(200))
    assert scoring.failed.records == []
    assert tokens.asked == 8
    assert not tokens.statuses


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_secret_that_the_token_server_refuses_fails_the_job_and_is_not_shown(
    server: ScriptedServer, protocol: str, tokens: TokenServer, status: int
) -> None:
    tokens.statuses = [status] * 100
    auth = client_credentials(
        tokens.url, client_id="s", client_secret="env:SCORING_SECRET", in_body=True
    )
    scoring = Scoring(server.endpoint(protocol, auth=auth), [record(n) for n in range(200)])
    with pytest.raises(JobFailed, match=rf"got no token: .*answered {status}") as caught:
        await scoring.run()
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert "[secret]" in str(caught.value)
    assert not server.asked


@pytest.mark.asyncio
async def test_a_token_that_is_revoked_in_mid_stream_costs_one_more_request_each(
    server: ScriptedServer, protocol: str, tokens: TokenServer
) -> None:
    revoked = 0

    async def reply(asked: Asked) -> web.StreamResponse:
        nonlocal revoked
        if len(server.asked) == 10:
            revoked = tokens.asked
        if revoked and tokens.asked == revoked:
            return asked.refuse(401, "expired")
        return await echo(asked)

    server.reply = reply
    auth = client_credentials(tokens.url, client_id="s", client_secret="env:SCORING_SECRET")
    scoring = Scoring(server.endpoint(protocol, auth=auth), [record(n) for n in range(400)])
    progress = await scoring.run()
    assert scoring.scored.records == expected(range(400))
    assert (tokens.asked, progress.node("score").retries) == (2, 0)
    # No more than were in flight at that moment.
    assert 26 <= len(server.asked) <= 25 + 4
