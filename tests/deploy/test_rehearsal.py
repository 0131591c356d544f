"""A server that does wrong on purpose: each fault does what it says, as often as it says."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import (
    ClientConnectionError,
    ClientPayloadError,
    ClientSession,
    ServerDisconnectedError,
)
from aiohttp.test_utils import make_mocked_request

from thalweg.deploy.serve import Faults, serving
from thalweg.deploy.serve.kinds import load
from thalweg.deploy.serve.rehearsal import Rehearsal, Rehearsed
from thalweg.deploy.serve.served_model import ServedModel
from thalweg.testing import run_virtual

ROOT = Path(__file__).resolve().parents[2]
MODEL = str(ROOT / "tests" / "operators" / "endpoints" / "stacked.onnx")
OIP = "/v2/models/stacked/infer"
ROWS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
SUMS = [6.0, 15.0]


def tensors(rows: list[list[float]] = ROWS) -> dict[str, Any]:
    tensor = {"name": "x", "shape": [len(rows), 3], "datatype": "FP32", "data": rows}
    return {"inputs": [tensor]}


@asynccontextmanager
async def rehearsing(faults: str) -> AsyncGenerator[ClientSession]:
    """A client of a server with these faults."""
    async with (
        serving(MODEL, faults=Faults.parsed(faults)) as server,
        ClientSession(server.url) as session,
    ):
        yield session


async def outcome(session: ClientSession) -> str:
    """What became of a request for two rows."""
    try:
        async with session.post(OIP, json=tensors()) as response:
            if response.content_type != "application/json":
                return f"{response.status} {response.content_type}"
            body = await response.read()
            if response.status != 200:
                return str(response.status)
            if not body.endswith(b"]}"):
                return "truncated"
            sums = (await response.json())["outputs"][0]["data"]
            return {1: "short", 2: "fine", 3: "long"}[len(sums)]
    except ClientPayloadError:
        return "cut"
    except ServerDisconnectedError:
        return "disconnected"
    except ClientConnectionError:
        return "reset"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("busy", "429"),
        ("reset", "reset"),
        ("error", "500"),
        ("error=1,status=503", "503"),
        ("html", "200 text/html"),
        ("truncated", "truncated"),
        ("cut", "cut"),
        ("short_rows", "short"),
        ("long_rows", "long"),
        ("seed", "fine"),
    ],
)
async def test_each_fault_does_what_it_says(fault: str, expected: str) -> None:
    async with rehearsing(fault if "=" in fault else f"{fault}=1") as session:
        assert [await outcome(session) for _ in range(3)] == [expected] * 3


@pytest.mark.asyncio
async def test_faults_happen_as_often_as_told_and_to_whom_the_seed_says() -> None:
    """Two numbers are drawn for each request: what happens, and how much longer it takes."""
    random, expected = Random(7), list[str]()
    for _ in range(300):
        drawn, _jitter = random.random(), random.random()
        expected.append(
            "429" if drawn < 0.1 else "reset" if drawn < 0.2 else "500" if drawn < 0.5 else "fine"
        )
    async with rehearsing("busy=0.1,reset=0.1,error=0.3,seed=7") as session:
        assert [await outcome(session) for _ in range(300)] == expected
    counts = Counter(expected)
    assert 70 < counts["500"] < 110
    assert 20 < counts["reset"] < 40


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", ["short_rows", "long_rows"])
async def test_rows_are_missing_or_too_many_in_each_protocol(fault: str) -> None:
    expected = [6.0] if fault == "short_rows" else [6.0, 15.0, 15.0]
    fields = ["a", "b", "c"]
    async with rehearsing(f"{fault}=1") as session:
        body: dict[str, Any] = {"input_data": [{"fields": fields, "values": ROWS}]}
        path = "/v4/deployments/stacked/predictions"
        async with session.post(path, json=body) as response:
            (part,) = (await response.json())["predictions"]
        assert [row[0] for row in part["values"]] == expected
        body = {"instances": ROWS}
        async with session.post("/v1/models/stacked:predict", json=body) as response:
            told = (await response.json())["predictions"]
        assert [row["sum"] for row in told] == expected
        body = {"dataframe_split": {"columns": fields, "data": ROWS}}
        async with session.post("/invocations", json=body) as response:
            told = (await response.json())["predictions"]
        assert [row["sum"] for row in told] == expected


@pytest.mark.asyncio
async def test_of_a_single_row_none_may_be_left() -> None:
    async with (
        rehearsing("short_rows=1") as session,
        session.post(OIP, json=tensors(ROWS[:1])) as response,
    ):
        shapes = [output["shape"] for output in (await response.json())["outputs"]]
    assert shapes == [[0], [0]]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("faults", "headers"),
    [
        ("busy=1", {"Retry-After": "1"}),
        ("busy=1,retry_after=250ms", {"Retry-After": "1", "Retry-After-Ms": "250"}),
        ("busy=1,retry_after=0", {"Retry-After": "0"}),
    ],
)
async def test_who_is_refused_as_busy_is_told_how_long_to_wait(
    faults: str, headers: dict[str, str]
) -> None:
    async with rehearsing(faults) as session, session.post(OIP, json=tensors()) as response:
        told = {name: text for name, text in response.headers.items() if "Retry" in name}
        assert (response.status, told) == (429, headers)
        assert await response.json() == {"error": "busy, as rehearsed"}


@pytest.mark.asyncio
async def test_the_rate_allows_a_burst_and_then_refuses() -> None:
    async with rehearsing("rate=0.001") as session:
        assert [await outcome(session) for _ in range(3)] == ["fine", "429", "429"]


@pytest.mark.asyncio
async def test_a_request_that_hangs_has_no_answer_and_ends_with_the_server() -> None:
    # Else the end of the server would wait for its patience, ten seconds.
    async with asyncio.timeout(8), ClientSession() as session:
        async with serving(MODEL, faults=Faults(hang=1.0)) as server:
            hanging = asyncio.create_task(outcome_of(session, server.url + OIP))
            done, _ = await asyncio.wait([hanging], timeout=0.2)
            assert not done
        assert await hanging == "gone"


async def outcome_of(session: ClientSession, url: str) -> str:
    try:
        async with session.post(url, json=tensors()) as response:
            return str(response.status)
    except ClientConnectionError:
        return "gone"


@pytest.mark.asyncio
async def test_what_is_no_request_for_scores_has_no_faults() -> None:
    async with rehearsing("error=1") as session:
        for path in ("/v2/models/stacked", "/v2/health/ready", "/v2", "/v1/models/stacked"):
            async with session.get(path) as response:
                assert response.status == 200


@pytest.mark.asyncio
async def test_faults_are_told_and_changed_while_it_runs() -> None:
    async with rehearsing("error=1,seed=3,latency=1ms") as session:
        assert await outcome(session) == "500"
        async with session.patch("/faults", json={"error": 0, "html": 1}) as response:
            changed = await response.json()
        assert (changed["html"], changed["seed"], changed["latency"]) == (1, 3, 0.001)
        assert await outcome(session) == "200 text/html"
        async with session.put("/faults", json={"latency": "30ms"}) as response:
            assert await response.json() == Faults(latency=0.03).as_dict()
        async with session.post(OIP, json=tensors()) as response:
            assert response.status == 200
            timing = response.headers["Server-Timing"]
        assert float(timing.removeprefix("total;dur=")) >= 30.0
        async with session.get("/faults") as response:
            assert (await response.json())["latency"] == 0.03


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"eror": 1}', "no fault 'eror' (did you mean 'error'?); there are latency"),
        (b'{"error": 3}', "error is a chance from 0 to 1, not 3"),
        (b"[1]", "the body is an object of faults"),
        (b"garbage", "the body is an object of faults"),
    ],
)
async def test_a_wrong_change_is_refused_and_changes_nothing(body: bytes, told: str) -> None:
    async with rehearsing("html=1") as session:
        async with session.put("/faults", data=body) as response:
            assert response.status == 400
            assert told in (await response.json())["error"]
        assert await outcome(session) == "200 text/html"


@pytest.mark.asyncio
async def test_without_faults_nobody_can_set_any() -> None:
    async with serving(MODEL) as server, ClientSession(server.url) as session:
        async with session.put("/faults", json={"error": 1}) as response:
            assert response.status == 404
        assert await outcome(session) == "fine"


REQUEST = make_mocked_request("POST", "/")


class Clocked:
    """A rehearsal on the virtual loop's clock, whose model computes for a time as well."""

    def __init__(self, faults: str, *, computing: float = 0.0) -> None:
        self._clock = asyncio.get_running_loop().time
        self.rehearsal = Rehearsal(Faults.parsed(faults), clock=self._clock)
        self._computing = computing
        self._model = load(MODEL)

    async def took(self, rows: int = 1) -> float:
        """How long a request of so many rows took, or -1 where it was refused."""
        began = self._clock()

        async def scoring(model: ServedModel) -> bytes:
            model.predict(None, [(1.0, 2.0, 3.0)] * rows)
            await asyncio.sleep(self._computing)
            return b"{}"

        try:
            await self.rehearsal.answer(REQUEST, self._model, scoring)
        except Rehearsed as refused:
            return -1.0 if refused.status == 429 else -2.0
        return self._clock() - began


def test_workers_do_exactly_what_they_are_said_to() -> None:
    async def main() -> None:
        clocked = Clocked("latency=5ms,per_row=20us,workers=8", computing=0.003)
        took = sorted(await asyncio.gather(*(clocked.took(rows=64) for _ in range(800))))
        # 8 workers take 6.28 ms each time, computing included, and wait for nothing in between.
        for turn in range(100):
            due = 0.00628 * (turn + 1)
            for seconds in took[8 * turn : 8 * turn + 8]:
                assert due - 1e-9 <= seconds <= due + 0.0011

    run_virtual(main)


def test_a_model_that_computes_longer_is_waited_for() -> None:
    async def main() -> None:
        clocked = Clocked("latency=5ms", computing=0.02)
        assert await clocked.took() == pytest.approx(0.02)

    run_virtual(main)


def test_a_change_of_latency_holds_from_the_next_request() -> None:
    async def main() -> None:
        clocked = Clocked("latency=50ms,workers=1")
        first = asyncio.create_task(clocked.took())
        await asyncio.sleep(0.01)
        clocked.rehearsal.change(clocked.rehearsal.faults.changed({"latency": "100ms"}))
        assert await clocked.took() == pytest.approx(0.14, abs=0.0011)
        assert await first == pytest.approx(0.05, abs=0.0011)

    run_virtual(main)


def test_jitter_is_spread_from_nothing_to_all_of_it() -> None:
    async def main() -> None:
        clocked = Clocked("latency=100ms,jitter=100ms,seed=1")
        took = await asyncio.gather(*(clocked.took() for _ in range(400)))
        assert 0.1 <= min(took) < 0.11
        assert 0.19 < max(took) < 0.2011
        assert sum(took) / len(took) == pytest.approx(0.15, abs=0.006)

    run_virtual(main)


def test_who_finds_the_queue_full_is_refused_at_once() -> None:
    async def main() -> None:
        clocked = Clocked("latency=10ms,workers=2,queue=3")
        took = await asyncio.gather(*(clocked.took() for _ in range(8)))
        assert took == pytest.approx([0.01, 0.01, 0.02, 0.02, 0.03, -1, -1, -1], abs=0.0011)
        assert await clocked.took() == pytest.approx(0.01, abs=0.0011)

    run_virtual(main)


def test_the_rate_is_kept_over_time() -> None:
    async def main() -> None:
        clocked = Clocked("rate=10")
        taken = 0
        for _ in range(1000):
            taken += await clocked.took() >= 0
            await asyncio.sleep(0.01)
        # Ten seconds at ten, and the burst of one second at the beginning.
        assert taken in (109, 110)

    run_virtual(main)
