"""Several endpoints: who is asked, who is left out, and what becomes of a call that fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import pytest

from thalweg.operators.endpoints import (
    Answer,
    Endpoint,
    EndpointStatistics,
    bearer,
    function,
    oip,
    parse_endpoint,
    several,
)
from thalweg.operators.endpoints.parse import endpoint_texts
from thalweg.operators.endpoints.several import Several
from thalweg.runtime.context import Context
from thalweg.runtime.errors import (
    BusyError,
    DataError,
    MisconfiguredError,
    UnavailableError,
)
from thalweg.testing import context, run_virtual

T = TypeVar("T")

SILENT = UnavailableError("no answer")
BROKEN = UnavailableError("answered 500", answered=True)


class Server(Endpoint):
    """Answers its own name after `delay` seconds, or raises what `says` holds."""

    def __init__(self, name: str, *, says: Exception | None = None, delay: float = 0.0) -> None:
        self.name = name
        self.state: dict[str, Any] = {"says": says, "delay": delay, "asked": [], "closed": 0}

    def __repr__(self) -> str:
        return self.name

    @property
    def asked(self) -> list[float]:
        """When it was asked."""
        asked: list[float] = self.state["asked"]
        return asked

    def says(self, error: Exception | None) -> None:
        self.state["says"] = error

    async def predict(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        self.asked.append(asyncio.get_running_loop().time())
        said = self.state["says"]
        await asyncio.sleep(self.state["delay"])
        if said is not None:
            raise said
        return Answer(("by",), [(self.name,)] * len(rows), f"of {self.name}")

    async def close(self) -> None:
        self.state["closed"] += 1


async def opened(*servers: Endpoint, longest_pause: float = 30.0) -> Several:
    endpoint = several(servers, longest_pause=longest_pause)
    assert isinstance(endpoint, Several)
    await endpoint.open(context())
    return endpoint


async def ask(endpoint: Endpoint) -> object:
    """Who answered."""
    answer = await endpoint.predict(("a",), [(1,)])
    return answer.rows[0][0]


def statistics(endpoint: Several) -> dict[str, EndpointStatistics]:
    return {one.endpoint: one for one in endpoint.statistics()}


def test_a_call_goes_to_the_one_with_the_fewest_calls_under_way_and_ties_go_by_turns() -> None:
    async def main() -> tuple[list[object], list[object]]:
        slow, quick = Server("slow", delay=10), Server("quick", delay=1)
        endpoint = await opened(slow, quick)
        assert [one.in_flight for one in endpoint.statistics()] == [0, 0]
        first = asyncio.create_task(ask(endpoint))
        await asyncio.sleep(0)
        while_busy = [await ask(endpoint) for _ in range(3)]
        assert statistics(endpoint)["slow"].in_flight == 1
        await first
        return while_busy, [await ask(endpoint) for _ in range(4)]

    while_busy, by_turns = run_virtual(main)
    assert while_busy == ["quick"] * 3
    assert by_turns == ["slow", "quick"] * 2


@pytest.mark.parametrize("error", [SILENT, BusyError("later"), MisconfiguredError("no such model")])
def test_a_call_that_fails_goes_to_another_one_at_once_and_the_first_is_left_out(
    error: Exception,
) -> None:
    async def main() -> None:
        bad, good = Server("bad", says=error), Server("good")
        endpoint = await opened(bad, good)
        assert [await ask(endpoint) for _ in range(5)] == ["good"] * 5
        assert asyncio.get_running_loop().time() == 0.0
        assert (len(bad.asked), len(good.asked)) == (1, 5)
        told = statistics(endpoint)["bad"]
        assert (told.healthy, told.calls, told.failures) == (False, 1, 1)
        assert told.last_error == f"{type(error).__name__}: {error}"
        assert 0.5 <= told.out_for <= 1.0
        assert statistics(endpoint)["good"] == EndpointStatistics("good", 0, 5, 0, True)

    run_virtual(main)


def test_it_is_left_out_for_longer_each_time_and_tried_by_one_call_each_time() -> None:
    async def main() -> list[float]:
        bad, good = Server("bad", says=SILENT, delay=0.01), Server("good")
        endpoint = await opened(bad, good, longest_pause=8.0)
        while asyncio.get_running_loop().time() < 60.0:
            await asyncio.gather(*(ask(endpoint) for _ in range(4)))
            await asyncio.sleep(0.1)
        bad.says(None)
        await asyncio.sleep(8.0)
        assert await ask(endpoint) == "bad"
        assert statistics(endpoint)["bad"].healthy
        assert {await ask(endpoint) for _ in range(2)} == {"bad", "good"}
        return bad.asked

    asked = run_virtual(main)
    # Of the first four calls two went there; later ones came alone.
    pauses = [after - at for at, after in pairwise(asked[1:])]
    for pause, ceiling in zip(pauses[:7], (1, 2, 4, 8, 8, 8, 8), strict=True):
        assert ceiling / 2 <= pause <= ceiling + 0.2
    assert len({round(pause, 3) for pause in pauses[3:7]}) > 1


def test_of_many_calls_that_fail_together_one_counts() -> None:
    async def main() -> None:
        bad, good = Server("bad", says=SILENT, delay=1.0), Server("good", delay=1.0)
        endpoint = await opened(bad, good)
        assert await asyncio.gather(*(ask(endpoint) for _ in range(8))) == ["good"] * 8
        assert statistics(endpoint)["bad"].failures == 1
        assert len(bad.asked) == 4

    run_virtual(main)


def test_one_that_asks_for_patience_is_left_alone_for_as_long_as_it_asks() -> None:
    async def main() -> list[float]:
        busy, good = Server("busy", says=BusyError("later", retry_after=7.0)), Server("good")
        endpoint = await opened(busy, good)
        for _ in range(20):
            await ask(endpoint)
            await asyncio.sleep(1.0)
        return busy.asked

    assert run_virtual(main)[:3] == pytest.approx([0.0, 7.0, 14.0])


def test_a_date_to_wait_for_counts_as_patience() -> None:
    async def main() -> float:
        until = time.time() + 300.0
        busy, good = Server("busy", says=BusyError("later", retry_at=until)), Server("good")
        endpoint = await opened(busy, good)
        await ask(endpoint)
        return statistics(endpoint)["busy"].out_for

    assert 290.0 < run_virtual(main) <= 300.0


def test_an_answer_to_an_older_call_does_not_end_the_patience() -> None:
    async def main() -> None:
        server, other = Server("server", delay=2.0), Server("other", delay=2.0)
        endpoint = await opened(server, other)
        first, second = (asyncio.create_task(ask(endpoint)) for _ in range(2))
        await asyncio.sleep(0.5)
        server.says(BusyError("later", retry_after=60.0))
        server.state["delay"] = 0.5
        busy = asyncio.create_task(ask(endpoint))
        assert [await first, await second, await busy] == ["server", "other", "other"]
        assert len(server.asked) == 2
        assert statistics(endpoint)["server"].out_for > 50.0

    run_virtual(main)


def test_when_all_are_busy_the_shortest_patience_is_asked_for() -> None:
    async def main() -> None:
        servers = [Server(str(n), says=BusyError(f"{n} s", retry_after=float(n))) for n in (9, 4)]
        endpoint = await opened(*servers)
        for _ in range(2):
            with pytest.raises(BusyError, match="none of 2 endpoints takes calls now") as caught:
                await ask(endpoint)
            assert caught.value.retry_after == pytest.approx(4.0)
        # Who asked for patience has it.
        assert [len(server.asked) for server in servers] == [1, 1]

    run_virtual(main)


def test_while_one_is_only_busy_it_is_waited_for_though_the_other_is_down() -> None:
    async def main() -> None:
        busy = Server("busy", says=BusyError("later", retry_after=100.0))
        down = Server("down", says=SILENT)
        endpoint = await opened(down, busy)
        with pytest.raises(BusyError) as caught:
            await ask(endpoint)
        # Not for 100 s: the one that is down may be up before.
        assert caught.value.retry_after is not None
        assert 0.5 <= caught.value.retry_after <= 1.0
        down.says(None)
        await asyncio.sleep(caught.value.retry_after)
        assert await ask(endpoint) == "down"

    run_virtual(main)


def test_bad_data_goes_nowhere_else_and_is_nobodys_fault() -> None:
    async def main() -> None:
        servers = [Server("a", says=DataError("refused")), Server("b", says=DataError("refused"))]
        endpoint = await opened(*servers)
        for _ in range(2):
            with pytest.raises(DataError, match="refused"):
                await ask(endpoint)
        assert [len(server.asked) for server in servers] == [1, 1]
        assert all(one.healthy for one in endpoint.statistics())

    run_virtual(main)


def test_what_two_call_broken_may_be_the_data_and_is_nobodys_fault() -> None:
    async def main() -> None:
        servers = [Server(name, says=BROKEN) for name in "abc"]
        endpoint = await opened(*servers)
        with pytest.raises(UnavailableError, match="answered 500") as caught:
            await ask(endpoint)
        assert caught.value.answered
        assert [len(server.asked) for server in servers] == [1, 1, 0]
        assert all(one.healthy for one in endpoint.statistics())

    run_virtual(main)


def test_what_one_calls_broken_while_the_other_is_down_may_be_the_data() -> None:
    async def main() -> None:
        broken = Server("broken", says=BROKEN)
        endpoint = await opened(broken, Server("down", says=SILENT))
        for _ in range(2):
            with pytest.raises(UnavailableError, match="answered 500") as caught:
                await ask(endpoint)
            assert caught.value.answered
        assert statistics(endpoint)["broken"].healthy

    run_virtual(main)


def test_one_that_calls_broken_what_another_answers_is_left_out() -> None:
    async def main() -> None:
        broken, good = Server("broken", says=BROKEN), Server("good")
        endpoint = await opened(broken, good)
        assert [await ask(endpoint) for _ in range(3)] == ["good"] * 3
        assert len(broken.asked) == 1
        assert statistics(endpoint)["broken"].last_error == "UnavailableError: answered 500"

    run_virtual(main)


def test_data_that_one_calls_broken_and_another_refuses_is_bad_data() -> None:
    async def main() -> None:
        endpoint = await opened(
            Server("broken", says=BROKEN), Server("refuses", says=DataError("no"))
        )
        with pytest.raises(DataError):
            await ask(endpoint)
        assert all(one.healthy for one in endpoint.statistics())

    run_virtual(main)


class Short(Server):
    """Answers a row too few."""

    async def predict(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        answer = await super().predict(fields, rows)
        return Answer(answer.fields, answer.rows[:-1])


def test_an_answer_of_too_few_rows_is_asked_for_elsewhere() -> None:
    async def main() -> None:
        endpoint = await opened(Short("short"), Server("good"))
        assert await ask(endpoint) == "good"
        reason = statistics(endpoint)["short"].last_error
        assert reason is not None
        assert "short answered 0 rows for 1" in reason

    run_virtual(main)


def test_when_all_are_down_each_call_asks_one_and_says_what_all_said() -> None:
    async def main() -> None:
        servers = [Server(name, says=UnavailableError(f"{name} is down")) for name in "ab"]
        endpoint = await opened(*servers)
        with pytest.raises(UnavailableError) as caught:
            await ask(endpoint)
        assert str(caught.value) == "none of 2 endpoints answers: a is down; b is down"
        assert not caught.value.answered
        for _ in range(3):
            with pytest.raises(UnavailableError):
                await ask(endpoint)
        assert sum(len(server.asked) for server in servers) == 2 + 3
        for server in servers:
            server.says(None)
        # Whoever is patient enough to ask again is not told of what was.
        assert await ask(endpoint) in ("a", "b")
        assert asyncio.get_running_loop().time() == 0.0

    run_virtual(main)


def test_it_is_misconfigured_when_each_of_them_is() -> None:
    async def main() -> None:
        wrong, down = (
            Server("wrong", says=MisconfiguredError("404")),
            Server("down", says=SILENT),
        )
        endpoint = await opened(wrong, down)
        for _ in range(3):
            with pytest.raises(UnavailableError):
                await ask(endpoint)
        assert len(wrong.asked) == 1
        down.says(MisconfiguredError("401"))
        with pytest.raises(MisconfiguredError, match="none of 2 endpoints can be used: 404; 401"):
            await ask(endpoint)
        wrong.says(None)
        await asyncio.sleep(5.0)
        assert await ask(endpoint) == "wrong"

    run_virtual(main)


def test_a_call_that_is_given_up_counts_against_the_one_that_had_the_time() -> None:
    async def main() -> None:
        hangs, refuses, good = (
            Server("hangs", delay=1e6),
            Server("refuses", says=SILENT, delay=0.1),
            Server("good", delay=1e6),
        )
        endpoint = await opened(refuses, hangs)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10.0):
                await ask(endpoint)
        assert "no answer in time" in str(statistics(endpoint)["hangs"].last_error)
        slow = Server("slow", says=SILENT, delay=9.0)
        endpoint = await opened(slow, good)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10.0):
                await ask(endpoint)
        assert statistics(endpoint)["good"].healthy
        assert not statistics(endpoint)["slow"].healthy
        assert [one.in_flight for one in endpoint.statistics()] == [0, 0]

    run_virtual(main)


class Unopened(Server):
    async def open(self, context: Context) -> None:
        raise MisconfiguredError(f"{self.name} has no token")


class Unclosed(Server):
    async def close(self) -> None:
        await super().close()
        raise RuntimeError(f"{self.name} does not close")


def test_one_that_cannot_be_opened_is_left_out_for_good() -> None:
    async def main() -> None:
        unopened, good = Unopened("unopened"), Server("good")
        endpoint = await opened(unopened, good)
        for _ in range(3):
            assert await ask(endpoint) == "good"
            await asyncio.sleep(100.0)
        assert unopened.asked == []
        good.says(SILENT)
        with pytest.raises(UnavailableError):
            await ask(endpoint)
        assert unopened.asked == []

    run_virtual(main)


def test_nobody_waits_for_one_that_cannot_be_opened() -> None:
    async def main() -> None:
        busy = Server("busy", says=BusyError("later", retry_after=50.0))
        endpoint = await opened(Unopened("unopened"), busy)
        for passed in (0.0, 40.0):
            await asyncio.sleep(passed)
            with pytest.raises(BusyError) as caught:
                await ask(endpoint)
            assert caught.value.retry_after == pytest.approx(50.0 - passed)

    run_virtual(main)


def test_it_cannot_be_opened_when_none_of_them_can_and_all_are_closed() -> None:
    async def main() -> None:
        servers = [Unopened("a"), Unopened("b")]
        endpoint = several(servers)
        with pytest.raises(MisconfiguredError, match="can be opened: a has no token; b has no"):
            await endpoint.open(context())
        await endpoint.close()
        assert [server.state["closed"] for server in servers] == [1, 1]

    run_virtual(main)


def test_all_are_closed_though_one_does_not_close() -> None:
    async def main() -> None:
        servers = [Server("a"), Unclosed("b"), Server("c")]
        endpoint = await opened(*servers)
        with pytest.raises(RuntimeError, match="b does not close"):
            await endpoint.close()
        assert [server.state["closed"] for server in servers] == [1, 1, 1]

    run_virtual(main)


def test_each_of_them_may_have_all_calls_and_the_prototypes_stay_as_they_are() -> None:
    opened_with: dict[str, int] = {}

    class Noting(Server):
        async def open(self, context: Context) -> None:
            opened_with[self.name] = self.max_in_flight

    async def main() -> None:
        given = Noting("a")
        endpoint = several([given, Noting("b")])
        endpoint.max_in_flight = 3
        await endpoint.open(context())
        await asyncio.gather(ask(endpoint), ask(endpoint))
        assert opened_with == {"a": 3, "b": 3}
        assert given.max_in_flight == 8

    run_virtual(main)


def test_the_time_that_they_tell_is_the_mean_of_those_that_are_healthy() -> None:
    class Telling(Server):
        def told_seconds(self) -> float | None:
            seconds: float | None = self.state["told"]
            return seconds

    def telling(name: str, seconds: float | None) -> Telling:
        server = Telling(name)
        server.state["told"] = seconds
        return server

    async def main() -> None:
        quick, slow, silent = telling("q", 0.1), telling("s", 0.4), telling("n", None)
        endpoint = await opened(quick, slow, silent)
        assert endpoint.told_seconds() is None
        for _ in range(6):
            await ask(endpoint)
        assert endpoint.told_seconds() == pytest.approx(0.25)
        slow.says(SILENT)
        await ask(endpoint)
        await ask(endpoint)
        await ask(endpoint)
        assert not statistics(endpoint)["s"].healthy
        assert endpoint.told_seconds() == pytest.approx(0.1)

    run_virtual(main)


def test_the_last_error_is_still_told_when_it_is_healthy_again() -> None:
    async def main() -> None:
        bad, good = Server("bad", says=SILENT), Server("good")
        endpoint = await opened(bad, good)
        await ask(endpoint)
        bad.says(None)
        await asyncio.sleep(2.0)
        await ask(endpoint)
        told = statistics(endpoint)["bad"]
        assert (told.healthy, told.failures) == (True, 1)
        assert told.last_error == "UnavailableError: no answer"

    run_virtual(main)


def test_values_are_checked_by_score_where_one_of_them_does_not() -> None:
    def none(rows: list[dict[str, Any]]) -> list[int]:
        return [0 for _ in rows]

    url = "http://127.0.0.1:1/v2/models/a"
    wml = "wml+http://127.0.0.1:1/v4/deployments/a/predictions"
    assert parse_endpoint(f"{wml} {wml}b/predictions").checks_values
    assert not several([wml, function(none)]).checks_values
    assert not several([wml, f"oip+{url}"]).checks_values


def test_the_fields_are_those_that_the_first_tells_who_answers() -> None:
    class Tells(Server):
        async def fields(self) -> dict[str, str]:
            if self.state["says"] is not None:
                raise self.state["says"]
            return {self.name: "FP64"}

    async def main() -> None:
        a, b = Tells("a", says=SILENT), Tells("b")
        endpoint = await opened(a, b)
        assert await endpoint.fields() == {"b": "FP64"}
        b.says(BROKEN)
        with pytest.raises(UnavailableError, match="no answer"):
            await endpoint.fields()

    run_virtual(main)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("onnx:a.onnx onnx:b.onnx", ["onnx:a.onnx", "onnx:b.onnx"]),
        ("onnx:a.onnx,onnx:b.onnx", ["onnx:a.onnx", "onnx:b.onnx"]),
        ("onnx:a b,c.onnx", ["onnx:a b,c.onnx"]),
        ("oip+http://a/v2/models/m ,\n http://b/x", ["oip+http://a/v2/models/m", "http://b/x"]),
        ("wml+https://a/predictions?v=1,2:3", ["wml+https://a/predictions?v=1,2:3"]),
    ],
)
def test_a_text_is_divided_where_an_endpoint_begins(text: str, expected: list[str]) -> None:
    assert endpoint_texts(text) == expected


def test_a_text_of_several_is_one_endpoint_of_several() -> None:
    text = "oip+http://a/v2/models/m, oip+http://b/v2/models/m"
    assert repr(parse_endpoint(text)) == (
        "several([oip('http://a/v2/models/m'), oip('http://b/v2/models/m')])"
    )
    with pytest.raises(ValueError, match=r"'opi\+http:' starts no endpoint .did you mean oip"):
        parse_endpoint("oip+http://a/v2/models/m,opi+http://b/v2/models/m")


@pytest.mark.parametrize(
    ("make", "error", "expected"),
    [
        (lambda: several([]), ValueError, "at least one endpoint"),
        (lambda: several("onnx:a"), TypeError, "a list of endpoints, not str"),
        (lambda: several([3]), TypeError, "or an Endpoint such as onnx.*not 3"),  # type: ignore[list-item]
        (lambda: several(["onnx:a", "onnx:a"]), ValueError, "onnx.'a'. is given twice"),
        (lambda: several(["onnx:a"], auth=bearer("env:T")), ValueError, "it takes no auth"),
        (
            lambda: several([oip("https://a/v2/models/m")], auth=bearer("env:T")),
            ValueError,
            "auth belongs to the endpoint: give it to oip",
        ),
        (lambda: several(["onnx:a"], first_pause=0), ValueError, "0 < first_pause"),
        (lambda: several(["onnx:a"], longest_pause=0.5), ValueError, "longest_pause=0.5"),
    ],
)
def test_a_wrong_list_is_refused_where_it_is_written(
    make: Callable[[], Endpoint], error: type[Exception], expected: str
) -> None:
    with pytest.raises(error, match=expected):
        make()
