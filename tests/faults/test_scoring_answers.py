"""Answers that are wrong, late or impatient: never a score on the wrong record."""

from __future__ import annotations

import asyncio
import gzip
import random
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate

import pytest
from aiohttp import web

from thalweg import JobCancelled, Retry

from .scoring import Scoring, expected, record, until
from .scripted_server import Asked, ScriptedServer

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def _whole(asked: Asked) -> bytes:
    body = asked.answer().body
    assert isinstance(body, bytes)
    return body


ANSWERED: dict[str, Callable[[Asked], web.StreamResponse]] = {
    "fewer rows": lambda asked: asked.answer(asked.rows[1:]),
    "more rows": lambda asked: asked.answer([asked.rows[0], *asked.rows]),
    "no rows": lambda asked: asked.answer([]),
    "HTML": lambda _: web.Response(text="<html>Please log in</html>", content_type="text/html"),
    "nothing": lambda _: web.Response(),
    "half of the JSON": lambda asked: web.Response(body=_whole(asked)[:-3]),
    "a NaN": lambda asked: web.Response(body=_whole(asked).replace(b"100", b"NaN")),
    "another answer": lambda _: web.json_response({"message": "OK"}),
    "half of a gzip": lambda asked: asked.send_raw(
        HEAD
        + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n"
        + gzip.compress(_whole(asked))[:-20]
    ),
    "no gzip": lambda asked: asked.send_raw(
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip!"
    ),
}
"""Whole answers with status 200 that cannot be used."""

BROKEN: dict[str, Callable[[Asked], web.StreamResponse]] = {
    "a reset": lambda asked: asked.send_raw(reset=True),
    "a closed connection": lambda asked: asked.send_raw(),
    "a head only": lambda asked: asked.send_raw(HEAD + b"Content-Length: 5000\r\n\r\n"),
    "half of the body": lambda asked: asked.send_raw(
        HEAD + b"Content-Length: 5000\r\n\r\n" + _whole(asked)[:50]
    ),
    "half of a chunk": lambda asked: asked.send_raw(
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1000\r\n" + _whole(asked)[:50]
    ),
    "no chunk": lambda asked: asked.send_raw(
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nnot a length\r\n" + _whole(asked)
    ),
    "no HTTP": lambda asked: asked.send_raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
}
"""Answers that break off, or are none."""


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [*ANSWERED, *BROKEN])
async def test_after_one_wrong_answer_the_request_is_made_again_and_nothing_is_mixed_up(
    server: ScriptedServer, protocol: str, kind: str
) -> None:
    make = ANSWERED.get(kind) or BROKEN[kind]

    async def reply(asked: Asked) -> web.StreamResponse:
        wrong = 100 in asked.numbers and server.tries_of(100) == 1
        return make(asked) if wrong else asked.answer()

    server.reply = reply
    # With batches of one size, an answer that were used for others would have the right number.
    scoring = Scoring(server.endpoint(protocol), [record(n) for n in range(320)])
    progress = await scoring.run()
    assert scoring.scored.records == expected(range(320))
    assert not scoring.failed.records
    assert progress.node("score").retries == 1
    assert server.tries_of(100) == 2


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ANSWERED)
async def test_a_row_for_which_no_answer_can_be_used_fails_alone(
    server: ScriptedServer, protocol: str, kind: str
) -> None:
    async def reply(asked: Asked) -> web.StreamResponse:
        return ANSWERED[kind](asked) if 100 in asked.numbers else asked.answer()

    server.reply = reply
    scoring = Scoring(server.endpoint(protocol), [record(n) for n in range(320)])
    await scoring.run()
    assert scoring.scored.records == expected(n for n in range(320) if n != 100)
    (letter,) = scoring.failed.records
    assert letter.record == record(100)
    assert letter.error.type == "UnavailableError"
    assert server.address(protocol) in letter.error.message


@pytest.mark.asyncio
async def test_an_error_inside_of_a_success_is_told_and_no_score(
    server: ScriptedServer, protocol: str
) -> None:
    async def reply(asked: Asked) -> web.StreamResponse:
        if 100 in asked.numbers:
            return web.json_response({"error": "the model ran out of memory"})
        return asked.answer()

    server.reply = reply
    scoring = Scoring(server.endpoint(protocol), [record(n) for n in range(320)])
    await scoring.run()
    assert scoring.scored.records == expected(n for n in range(320) if n != 100)
    (letter,) = scoring.failed.records
    assert "the model ran out of memory" in letter.error.message
    assert {one.error for one in letter.history} == {"UnavailableError"}


@pytest.mark.asyncio
@pytest.mark.parametrize("protocol", ["v1", "mlflow", "json"])
async def test_a_nan_is_the_score_of_its_row_where_servers_write_it(
    server: ScriptedServer, protocol: str
) -> None:
    async def reply(asked: Asked) -> web.StreamResponse:
        return web.Response(body=_whole(asked).replace(b"[100,", b"[NaN,"))

    server.reply = reply
    scoring = Scoring(server.endpoint(protocol), [record(n) for n in range(320)])
    progress = await scoring.run()
    odd = scoring.scored.records.pop(100)
    assert odd["n"] == 100
    assert str(odd["same"]) == "[nan, 12.5, -100]"
    assert scoring.scored.records == expected(n for n in range(320) if n != 100)
    assert progress.node("score").retries == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", BROKEN)
async def test_a_batch_that_never_gets_a_whole_answer_fails_where_it_may(
    server: ScriptedServer, protocol: str, kind: str
) -> None:
    async def reply(asked: Asked) -> web.StreamResponse:
        return BROKEN[kind](asked) if 100 in asked.numbers else asked.answer()

    server.reply = reply
    retry = Retry(attempts=3, first=0.001, longest=0.002, when_down="failed")
    scoring = Scoring(server.endpoint(protocol), [record(n) for n in range(320)], retry=retry)
    await scoring.run()
    assert scoring.failures == list(range(96, 112))
    assert scoring.scored.records == expected([*range(96), *range(112, 320)])
    for letter in scoring.failed.records:
        assert (letter.error.type, letter.attempts) == ("UnavailableError", 3)
        assert f"POST {server.address(protocol)} got no answer: " in letter.error.message
    assert server.tries_of(100) == 3


@pytest.mark.asyncio
async def test_wrong_answers_about_the_model_are_asked_for_again(server: ScriptedServer) -> None:
    server.metadata += [
        web.Response(status=503, headers={"Retry-After-Ms": "10"}),
        web.Response(status=500, text="starting"),
        web.Response(text="<html>starting</html>", content_type="text/html"),
        web.json_response({"inputs": [{"name": "row"}]}),
    ]
    scoring = Scoring(server.endpoint("oip"), [record(n) for n in range(320)])
    progress = await scoring.run()
    assert scoring.scored.records == expected(range(320))
    assert not scoring.failed.records
    assert progress.node("score").retries >= 4
    assert all(server.tries_of(n) == 1 for n in range(320))


@pytest.mark.asyncio
async def test_a_tensor_with_values_in_the_wrong_row_is_not_used(server: ScriptedServer) -> None:
    async def reply(asked: Asked) -> web.StreamResponse:
        first, second, *rest = asked.rows
        if 100 in asked.numbers and server.tries_of(100) == 1:
            return asked.answer([[*first, second[0]], second[1:], *rest])
        return asked.answer()

    server.reply = reply
    scoring = Scoring(server.endpoint("oip"), [record(n) for n in range(320)])
    progress = await scoring.run()
    assert scoring.scored.records == expected(range(320))
    assert progress.node("score").retries == 1


@pytest.mark.asyncio
async def test_an_answer_to_another_request_is_not_used(server: ScriptedServer) -> None:
    async def reply(asked: Asked) -> web.StreamResponse:
        if 100 in asked.numbers and server.tries_of(100) == 1:
            (other,) = [one for one in server.asked if 0 in one.numbers]
            return other.answer()  # The same number of rows, in the same shape.
        return asked.answer()

    server.reply = reply
    scoring = Scoring(server.endpoint("oip"), [record(n) for n in range(320)])
    progress = await scoring.run()
    assert scoring.scored.records == expected(range(320))
    assert not scoring.failed.records
    assert progress.node("score").retries == 1


@pytest.mark.asyncio
async def test_an_error_of_the_server_with_half_a_body_is_still_that_error(
    server: ScriptedServer, protocol: str
) -> None:
    async def reply(asked: Asked) -> web.StreamResponse:
        if 100 in asked.numbers:
            return asked.send_raw(
                b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nbad value\r\n"
            )
        return asked.answer()

    server.reply = reply
    scoring = Scoring(server.endpoint(protocol), [record(n) for n in range(320)])
    await scoring.run()
    assert scoring.scored.records == expected(n for n in range(320) if n != 100)
    assert "answered 400: bad value" in scoring.failed.records[0].error.message


@pytest.mark.asyncio
@pytest.mark.parametrize("max_in_flight", [1, 4])
async def test_an_answer_that_comes_while_the_request_is_made_again_is_not_used(
    server: ScriptedServer, protocol: str, max_in_flight: int
) -> None:
    again, late = asyncio.Event(), asyncio.Event()
    wrong = [[-1.0, -1.0, -1.0]] * 16

    async def reply(asked: Asked) -> web.StreamResponse:
        if 100 not in asked.numbers:
            return asked.answer()
        if server.tries_of(100) == 1:
            await again.wait()
            answer = asked.answer(wrong)
            with suppress(ConnectionError):
                await answer.prepare(asked.request)
                await answer.write_eof()
            late.set()
            return answer
        again.set()
        await late.wait()
        return asked.answer()

    server.reply = reply
    scoring = Scoring(
        server.endpoint(protocol),
        [record(n) for n in range(320)],
        timeout=0.3,
        max_in_flight=max_in_flight,
    )
    progress = await scoring.run()
    assert late.is_set()
    assert scoring.scored.records == expected(range(320))
    assert not scoring.failed.records
    assert progress.node("score").retries == server.tries_of(100) - 1 >= 1
    assert progress.settled == progress.read == 320


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("protocol", "status", "advice"),
    [
        ("wml", 429, "seconds"),
        ("oip", 503, "date"),
        ("oip", 429, "milliseconds"),
        ("wml", 503, "milliseconds"),
        ("v1", 503, "seconds"),
        ("mlflow", 429, "date"),
        ("json", 429, "milliseconds"),
    ],
)
async def test_advice_to_wait_is_taken_by_everyone_and_costs_no_attempts(
    server: ScriptedServer, protocol: str, status: int, advice: str
) -> None:
    told: list[float] = []
    early: list[float] = []

    async def reply(asked: Asked) -> web.StreamResponse:
        now = time.time()
        if 100 in asked.numbers and not told:
            told.append({"seconds": now + 1.0, "date": int(now + 0.3) + 1.0}.get(advice, now + 0.3))
        if told and now < told[0]:
            early.append(now)
            left = f"{(told[0] - now) * 1000:.3f}"
            said = {
                "seconds": ("Retry-After", "1"),
                "date": ("Retry-After", formatdate(told[0], usegmt=True)),
                "milliseconds": ("Retry-After-Ms", left),
            }
            return asked.refuse(status, "too many", dict([said[advice]]))
        return asked.answer()

    server.reply = reply
    scoring = Scoring(
        server.endpoint(protocol),
        [record(n) for n in range(320)],
        retry=Retry(attempts=1, first=0.01, longest=0.05, when_down="fail"),
    )
    progress = await scoring.run()
    assert scoring.scored.records == expected(range(320))
    assert not scoring.failed.records
    # One request of each that was in flight, and then silence until the time has come.
    assert 1 <= len(early) <= scoring.max_in_flight
    assert progress.node("score").retries == len(early)


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [429, 503])
async def test_a_quota_that_is_used_up_from_the_start_is_waited_for_and_fails_nothing(
    server: ScriptedServer, protocol: str, status: int
) -> None:
    async def used_up(asked: Asked) -> web.StreamResponse:
        return asked.refuse(status, "quota used up", {"X-Should-Retry": "false"})

    async def soon(asked: Asked) -> web.StreamResponse:
        if len(server.asked) > 8:
            return asked.answer()
        headers = {"X-Should-Retry": "false", "Retry-After-Ms": "20"}
        return asked.refuse(status, "quota used up", headers)

    server.reply = soon
    scoring = Scoring(server.endpoint(protocol), [record(n) for n in range(320)])
    await scoring.run()
    assert scoring.scored.records == expected(range(320))
    assert not scoring.failed.records

    # Where it does not say when, nobody asks again within the minute.
    server.asked.clear()
    server.reply = used_up
    scoring = Scoring(server.endpoint(protocol), [record(n) for n in range(320)])
    waiting: str | None = None
    with suppress(JobCancelled):
        async with scoring.job() as job:
            await until(lambda: len(server.asked) == 4)
            await until(lambda: job.progress().node("score").waiting is not None)
            waiting = job.progress().node("score").waiting
            await job.drain(timeout=0.3)
    assert len(server.asked) == 4
    assert waiting is not None
    assert "quota used up; and that to ask again soon will not help" in waiting
    assert not scoring.failed.records


@pytest.mark.asyncio
@pytest.mark.parametrize("advice", ["0", "Mon, 01 Jan 2001 00:00:00 GMT"])
async def test_advice_not_to_wait_starts_no_storm(
    server: ScriptedServer, protocol: str, advice: str
) -> None:
    async def reply(asked: Asked) -> web.StreamResponse:
        if len(server.asked) <= 60:
            return asked.refuse(429, "too many", {"Retry-After": advice})
        return asked.answer()

    server.reply = reply
    scoring = Scoring(server.endpoint(protocol), [record(n) for n in range(320)])
    await scoring.run()
    assert scoring.scored.records == expected(range(320))
    # Fifteen pauses of each of the four, most of them anywhere up to 0.05 s.
    assert server.asked[60].at - server.asked[0].at > 0.2


@pytest.mark.asyncio
async def test_each_score_tells_the_version_of_the_model_that_made_it(
    server: ScriptedServer,
) -> None:
    said: dict[object, str] = {}

    async def reply(asked: Asked) -> web.StreamResponse:
        version = "1" if len(server.asked) <= 10 else "2"
        said.update(dict.fromkeys(asked.numbers, version))
        return asked.answer(version=version)

    server.reply = reply
    scoring = Scoring(server.endpoint("oip"), [record(n) for n in range(320)])
    await scoring.run()
    assert scoring.numbers == list(range(320))
    assert {r["n"]: r["model_version"] for r in scoring.scored.records} == said
    assert set(said.values()) == {"1", "2"}


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", [1, 2])
async def test_order_is_kept_whatever_the_answers_take(
    server: ScriptedServer, protocol: str, seed: int
) -> None:
    chance = random.Random(seed)
    finished: list[object] = []

    async def reply(asked: Asked) -> web.StreamResponse:
        await asyncio.sleep(chance.choice((0.0, 0.001, 0.005, 0.02)))
        finished.append(asked.numbers[0])
        return asked.answer()

    server.reply = reply
    records = [record(n) for n in range(640)]
    scoring = Scoring(server.endpoint(protocol), records, max_in_flight=8)
    await scoring.run()
    assert finished != sorted(finished, key=str)
    assert scoring.scored.records == expected(range(640))


@pytest.mark.asyncio
async def test_one_slow_answer_in_a_hundred_does_not_idle_the_rest(
    server: ScriptedServer, protocol: str
) -> None:
    in_flight = 4
    held: list[int] = []
    later: dict[int, int] = {}

    async def reply(asked: Asked) -> web.StreamResponse:
        batch = asked.numbers[0] // 4
        for slow in held:
            later[slow] += 1
            if later[slow] == 3 * in_flight:
                gates[slow].set()
        if batch % 100 == 20:
            held.append(batch)
            later[batch] = 0
            # Answered only once three times as many others have been asked for as run at once.
            await gates[batch].wait()
            held.remove(batch)
        return asked.answer()

    gates = {batch: asyncio.Event() for batch in (20, 120, 220)}
    server.reply = reply
    records = [record(n) for n in range(1200)]
    scoring = Scoring(server.endpoint(protocol), records, batch=4, max_in_flight=in_flight)
    await scoring.run()
    assert scoring.scored.records == expected(range(1200))
    assert sorted(later) == [20, 120, 220]
    # The window is bounded: no more than four times as many are begun and not yet emitted.
    assert all(3 * in_flight <= count <= 4 * in_flight for count in later.values())
