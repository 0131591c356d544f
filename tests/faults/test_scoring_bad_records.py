"""Bad records and refused batches: the bad one fails alone, and a wrong set-up fails the job."""

from __future__ import annotations

import asyncio
import math
from decimal import Decimal

import pytest
from aiohttp import web

from thalweg import Graph, JobFailed, Retry
from thalweg.operators import score, sources
from thalweg.testing import CollectingSink

from .scoring import QUICK, Record, Scoring, expected, record, until, within_bounds
from .scripted_server import FIELDS, Asked, ScriptedServer

BAD: dict[int, tuple[object, str]] = {
    0: (math.nan, "'x' (model field 'X') is nan"),
    17: (math.inf, "is inf"),
    18: (-math.inf, "is -inf"),
    40: (None, "'x' (model field 'X') is None"),
    41: (2**63, "beyond 64 bits"),
    42: (2**64, "beyond 64 bits"),
    43: (-(2**63) - 1, "beyond 64 bits"),
    100: (Decimal("NaN"), "is nan"),
    101: ([1.0], "is a list, which is neither number"),
    102: (b"1", "is a bytes"),
    319: (math.nan, "is nan"),
}
MISSING = 200


@pytest.mark.asyncio
async def test_a_value_that_cannot_travel_fails_alone_before_any_request(
    server: ScriptedServer, protocol: str
) -> None:
    records = [record(n) for n in range(320)]
    for n, (value, _) in BAD.items():
        records[n]["x"] = value
    del records[MISSING]["x"]
    bad = sorted({*BAD, MISSING})
    scoring = Scoring(server.endpoint(protocol), records)
    progress = await scoring.run()

    assert scoring.scored.records == expected(n for n in range(320) if n not in bad)
    assert scoring.failures == bad
    for letter in scoring.failed.records:
        assert letter.origin is not None
        place = letter.origin.position
        assert place is not None
        assert place in bad
        assert letter.record is records[place]
        assert (letter.node, letter.error.type, letter.attempts) == ("score", "DataError", 1)
        assert (BAD[place][1] if place in BAD else "is missing") in letter.error.message
    assert progress.node("score").retries == 0
    assert len(server.asked) == 20
    assert not {n for asked in server.asked for n in asked.numbers} & set(bad)
    for asked in server.asked:
        assert not any(word in asked.body.lower() for word in (b"nan", b"inf", b"null", b"e+"))


@pytest.mark.asyncio
async def test_text_for_a_number_fails_alone(server: ScriptedServer, protocol: str) -> None:
    async def reply(asked: Asked) -> web.StreamResponse:
        if any(isinstance(value, str) for row in asked.rows for value in row):
            return asked.refuse(400, "could not convert string to float")
        return asked.answer()

    server.reply = reply
    records = [record(n) for n in range(320)]
    for n in (0, 150, 151):
        records[n]["x"] = "1.5"
    scoring = Scoring(server.endpoint(protocol), records)
    await scoring.run()
    assert scoring.scored.records == expected(n for n in range(320) if n not in (0, 150, 151))
    assert scoring.failures == [0, 150, 151]
    if protocol == "oip":
        # The model's metadata says FP64, so no such value ever leaves.
        assert not any(server.tries_of(n) for n in (0, 150, 151))
    what = "which cannot carry the str '1.5'" if protocol == "oip" else "could not convert string"
    assert all(what in letter.error.message for letter in scoring.failed.records)


@pytest.mark.asyncio
async def test_a_field_that_the_model_does_not_take_stays_at_home(
    server: ScriptedServer, protocol: str
) -> None:
    records = [{**record(n), "extra": math.nan if n % 3 else object()} for n in range(320)]
    scoring = Scoring(server.endpoint(protocol), records)
    await scoring.run()
    extras = [scored.pop("extra") for scored in scoring.scored.records]
    assert scoring.scored.records == expected(range(320))
    assert all(extra is records[n]["extra"] for n, extra in enumerate(extras))
    assert not any(b"extra" in asked.body or b"NaN" in asked.body for asked in server.asked)


@pytest.mark.asyncio
async def test_a_refused_batch_is_halved_until_the_bad_record_stands_alone(
    server: ScriptedServer, protocol: str
) -> None:
    bad = {7, 8, 200, 383}

    async def reply(asked: Asked) -> web.StreamResponse:
        found = sorted(bad.intersection(asked.numbers))
        return asked.refuse(400, f"row of {found[0]} is bad") if found else asked.answer()

    server.reply = reply
    scoring = Scoring(server.endpoint(protocol), [record(n) for n in range(384)], batch=64)
    progress = await scoring.run()
    assert scoring.scored.records == expected(n for n in range(384) if n not in bad)
    assert scoring.failures == sorted(bad)
    for n, letter in zip(sorted(bad), scoring.failed.records, strict=True):
        assert letter.error.type == "DataError"
        said = f"POST {server.address(protocol)} answered 400: row of {n} is bad"
        assert said in letter.error.message
        assert letter.attempts == server.tries_of(n) == 7
    assert len(server.asked) <= 6 + 2 * 6 * 4
    assert progress.node("score").retries == 0


@pytest.mark.asyncio
async def test_when_all_is_refused_and_nothing_ever_passed_it_is_not_the_data(
    server: ScriptedServer, protocol: str
) -> None:
    async def reply(asked: Asked) -> web.StreamResponse:
        return asked.refuse(400, "unknown column N")

    server.reply = reply
    scoring = Scoring(server.endpoint(protocol), [record(n) for n in range(320)])
    with pytest.raises(
        JobFailed, match=r"'score' failed on records, .*not the data.*unknown column N"
    ):
        await scoring.run()
    assert not scoring.scored.records
    assert not scoring.failed.records


@pytest.mark.asyncio
async def test_when_all_is_refused_from_some_time_on_it_is_not_the_data(
    server: ScriptedServer, protocol: str
) -> None:
    async def reply(asked: Asked) -> web.StreamResponse:
        if len(server.asked) > 8:
            return asked.refuse(400, "another model lives here now")
        return asked.answer()

    server.reply = reply
    scoring = Scoring(server.endpoint(protocol), [record(n) for n in range(320)])
    with pytest.raises(JobFailed, match=r"one that passed before: it is not the data: .* 400"):
        await scoring.run()
    assert scoring.scored.records == expected(range(len(scoring.numbers)))
    assert not scoring.failed.records


@pytest.mark.asyncio
@pytest.mark.parametrize("good", [0, 10])
async def test_a_model_that_is_not_there_fails_the_job_and_no_record(
    server: ScriptedServer, protocol: str, good: int
) -> None:
    async def reply(asked: Asked) -> web.StreamResponse:
        if len(server.asked) > good:
            return asked.refuse(404, "no deployment of this name")
        return asked.answer()

    server.reply = reply
    scoring = Scoring(
        server.endpoint(protocol),
        [record(n) for n in range(320)],
        retry=Retry(when_misconfigured="fail" if good else "pause"),
    )
    with pytest.raises(JobFailed, match="answered 404: no deployment of this name") as caught:
        await scoring.run()
    assert caught.value.node == "score"
    assert scoring.scored.records == expected(range(len(scoring.numbers)))
    assert len(scoring.numbers) <= 16 * good
    assert not scoring.failed.records
    # What else had been started by then; nothing is tried again.
    assert len(server.asked) <= good + 4 * scoring.max_in_flight
    assert all(server.tries_of(n) <= 1 for n in range(320))


@pytest.mark.asyncio
async def test_a_model_that_goes_away_pauses_the_job_until_it_is_back(
    server: ScriptedServer, protocol: str
) -> None:
    back = False

    async def reply(asked: Asked) -> web.StreamResponse:
        if len(server.asked) > 10 and not back:
            return asked.refuse(404, "no deployment of this name")
        return asked.answer()

    server.reply = reply
    scoring = Scoring(
        server.endpoint(protocol),
        [record(n) for n in range(320)],
        retry=Retry(first=0.01, longest=0.02),
    )
    async with scoring.job() as job:
        await until(lambda: "paused" in (job.progress().node("score").waiting or ""))
        asked = len(server.asked)
        # One call asks for all, again and again; nothing else goes out, and nothing is given up.
        await until(lambda: len(server.asked) > asked + scoring.max_in_flight + 3)
        assert within_bounds(job.progress())
        assert "404: no deployment" in (job.progress().node("score").waiting or "")
        assert not scoring.failed.records
        back = True
        await job.wait()
    assert scoring.scored.records == expected(range(320))
    assert not scoring.failed.records


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("bad", "max_in_flight"), [(100, 4), (100, 1), (5, 1), (0, 1), (63, 1), (5, 4), (383, 4)]
)
async def test_a_row_that_breaks_the_server_is_found_while_other_batches_pass(
    server: ScriptedServer, protocol: str, bad: int, max_in_flight: int
) -> None:
    async def reply(asked: Asked) -> web.StreamResponse:
        if bad in asked.numbers:
            return asked.refuse(500, f"division by zero at {bad}")
        return asked.answer()

    server.reply = reply
    scoring = Scoring(
        server.endpoint(protocol),
        [record(n) for n in range(384)],
        batch=64,
        max_in_flight=max_in_flight,
    )
    progress = await scoring.run()
    assert scoring.scored.records == expected(n for n in range(384) if n != bad)
    (letter,) = scoring.failed.records
    assert letter.record == record(bad)
    assert letter.error.type == "UnavailableError"
    said = f"POST {server.address(protocol)} answered 500: division by zero at {bad}"
    assert said in letter.error.message
    # Five tries of the batch, at least two of each half; the first record may serve as evidence.
    assert 5 + 6 <= letter.attempts <= server.tries_of(bad) <= letter.attempts + 2
    assert progress.node("score").retries >= 4
    assert progress.node("score").waiting is None


@pytest.mark.asyncio
async def test_two_score_nodes_do_not_disturb_each_other(
    server: ScriptedServer,
) -> None:
    other, released = ScriptedServer(), asyncio.Event()
    await other.listen()
    bad = {"wml": {10, 300}, "oip": {11}}

    async def reply(asked: Asked) -> web.StreamResponse:
        if bad[asked.protocol].intersection(asked.numbers):
            return asked.refuse(400 if asked.protocol == "wml" else 500, f"bad in {asked.protocol}")
        return asked.answer()

    async def busy(asked: Asked) -> web.StreamResponse:
        if not released.is_set():
            return asked.refuse(503, "later", {"retry-after-ms": "20"})
        return await reply(asked)

    server.reply, other.reply = busy, reply
    graph = Graph("two")
    stream = graph.read("records", sources.records([record(n) for n in range(320)])).batch(16)
    sinks: dict[str, CollectingSink[Record]] = {}
    for name, endpoint in (
        ("waits", server.endpoint("wml")),
        ("works", other.endpoint("oip")),
    ):
        sinks[name] = CollectingSink()
        operator = score(endpoint, fields=FIELDS, retry=QUICK, max_in_flight=4, version_field=None)
        stream.via(name, operator).to(f"from_{name}", sinks[name])
    failed: CollectingSink[object] = CollectingSink()
    graph.failed.to("failed", failed)
    try:
        async with asyncio.timeout(20), graph.start() as job:
            await sinks["works"].received(319)
            works, waits = job.progress().node("works"), job.progress().node("waits")
            released.set()
            await job.wait()
    finally:
        await other.close()
    assert works.waiting is None
    assert waits.waiting is not None
    assert "answered 503: later" in waits.waiting
    assert sinks["waits"].records == expected(n for n in range(320) if n not in (10, 300))
    assert sinks["works"].records == expected(n for n in range(320) if n != 11)
    assert sorted(map(str, failed.records)) == [
        f"waits on records, record {n}: DataError: "
        f"POST {server.address('wml')} answered 400: bad in wml"
        for n in (10, 300)
    ] + [
        f"works on records, record 11: UnavailableError: "
        f"POST {other.address('oip')} answered 500: bad in oip"
    ]
