from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from thalweg.operators.endpoints import Answer, http_json
from thalweg.runtime.context import Context
from thalweg.runtime.dead_letters import describe
from thalweg.runtime.errors import BusyError, DataError, MisconfiguredError, UnavailableError

from .opened import ask

if TYPE_CHECKING:
    from tests.operators.endpoints.conftest import Script

Rows = Sequence[tuple[object, ...]]


def write(fields: tuple[str, ...], rows: Rows) -> Any:
    return {"names": fields, "flowers": rows}


def read(decoded: Any, count: int) -> Any:
    return decoded["kinds"]


@pytest.mark.asyncio
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_two_functions_write_the_request_and_read_the_answer(
    script: Script, context: Context, method: str
) -> None:
    script.answer(200, {"kinds": ["a", "b"]})
    endpoint = http_json(script.url + "/classify?x=1", request=write, answer=read, method=method)
    assert await ask(endpoint, context) == Answer(("prediction",), [("a",), ("b",)])
    (request,) = script.requests
    assert (request.method, request.path) == (method, "/classify?x=1")
    assert request.json == {"names": ["length", "width"], "flowers": [[5.1, 3.5], [6.0, 3.0]]}


@pytest.mark.asyncio
async def test_the_form_of_bentoml_is_two_lambdas(script: Script, context: Context) -> None:
    script.answer(200, [{"kind": "a", "p": 0.5}, {"kind": "b", "p": 1.5}])
    endpoint = http_json(
        script.url + "/classify",
        request=lambda _, rows: {"input_series": rows},
        answer=lambda decoded, _: decoded,
    )
    assert await ask(endpoint, context) == Answer(("kind", "p"), [("a", 0.5), ("b", 1.5)])
    assert script.requests[0].json == {"input_series": [[5.1, 3.5], [6.0, 3.0]]}


@pytest.mark.asyncio
async def test_the_number_of_rows_is_told_to_who_reads(script: Script, context: Context) -> None:
    script.answer(200, {"sum": 7})
    endpoint = http_json(
        script.url, request=write, answer=lambda decoded, count: [decoded["sum"]] * count
    )
    assert (await ask(endpoint, context)).rows == [(7,), (7,)]


@pytest.mark.asyncio
async def test_embeddings_that_say_whose_they_are_may_come_in_any_order(
    script: Script, context: Context
) -> None:
    def by_index(decoded: Any, count: int) -> Any:
        return [one["embedding"] for one in sorted(decoded["data"], key=lambda one: one["index"])]

    data = [{"index": 1, "embedding": [0.0, 1.0]}, {"index": 0, "embedding": [1.0, 0.0]}]
    script.answer(200, {"object": "list", "data": data})
    answer = await ask(http_json(script.url, request=write, answer=by_index), context)
    assert list(answer.rows) == [([1.0, 0.0],), ([0.0, 1.0],)]
    script.answers.clear()
    script.answer(200, {"object": "list", "data": data[:1]})
    with pytest.raises(UnavailableError, match="1 results for 2 rows"):
        await ask(http_json(script.url, request=write, answer=by_index), context)


@pytest.mark.asyncio
async def test_nan_in_an_answer_is_a_float(script: Script, context: Context) -> None:
    script.answer(200, b'{"kinds": [NaN, 1]}')
    (first, second) = (await ask(http_json(script.url, request=write, answer=read), context)).rows
    assert isinstance(first[0], float)
    assert math.isnan(first[0])
    assert second == (1,)


@pytest.mark.asyncio
async def test_what_the_writer_raises_blames_the_rows_and_tells_the_line(
    script: Script, context: Context
) -> None:
    def divide(fields: tuple[str, ...], rows: Rows) -> Any:
        return [1 / 0 for _ in rows]

    script.answer(200, {})
    with pytest.raises(DataError, match=r"divide \(.*test_http_json\.py:\d+\) raised ZeroDiv") as e:
        await ask(http_json(script.url, request=divide, answer=read), context)
    assert "test_http_json.py" in str(describe(e.value).where)
    assert not script.requests


@pytest.mark.asyncio
async def test_what_the_writer_makes_must_be_json(script: Script, context: Context) -> None:
    script.answer(200, {})
    endpoint = http_json(script.url, request=lambda _, rows: {"rows": object()}, answer=read)
    with pytest.raises(DataError, match=r"cannot be written as JSON"):
        await ask(endpoint, context)
    assert not script.requests


@pytest.mark.asyncio
async def test_what_the_reader_raises_is_an_answer_of_no_use_and_tells_the_line(
    script: Script, context: Context
) -> None:
    script.answer(200, {"kind": ["a", "b"]})
    with pytest.raises(
        UnavailableError,
        match=r"POST .* answered what cannot be used: read \(.*test_http_json\.py:\d+\) raised "
        "KeyError: 'kinds'",
    ) as caught:
        await ask(http_json(script.url, request=write, answer=read), context)
    assert caught.value.answered
    assert "test_http_json.py" in str(describe(caught.value).where)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("kinds", "told"),
    [
        (["a"], "returned 1 results for 2 rows"),
        (["a", "b", "c"], "returned 3 results for 2 rows"),
        ("ab", "returned a str, not a list"),
        (None, "returned a NoneType, not a list"),
    ],
)
async def test_another_number_of_predictions_is_an_answer_of_no_use(
    script: Script, context: Context, kinds: Any, told: str
) -> None:
    script.answer(200, {"kinds": kinds})
    with pytest.raises(UnavailableError, match=rf"read \(.*:\d+\) {told}") as caught:
        await ask(http_json(script.url, request=write, answer=read), context)
    assert caught.value.answered


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [DataError, BusyError, UnavailableError, MisconfiguredError])
async def test_either_function_may_say_itself_what_it_is(
    script: Script, context: Context, error: type[Exception]
) -> None:
    def fail(*_: object) -> Any:
        raise error("as I say")

    script.answer(200, {})
    for endpoint in (
        http_json(script.url, request=fail, answer=read),
        http_json(script.url, request=write, answer=fail),
    ):
        with pytest.raises(error, match=r"\Aas I say\Z"):
            await ask(endpoint, context)


def test_wrong_options_are_told_when_the_graph_is_built() -> None:
    async def wait(*_: object) -> Any: ...

    with pytest.raises(ValueError, match=r"method is one of .*POST.*, not 'GET'"):
        http_json("http://h", request=write, answer=read, method="GET")
    with pytest.raises(ValueError, match=r"http://HOST/predict"):
        http_json("h", request=write, answer=read)
    with pytest.raises(TypeError, match=r"request is a plain function, not <function .*wait"):
        http_json("http://h", request=wait, answer=read)
    with pytest.raises(TypeError, match=r"answer is a plain function, not 'read'"):
        http_json("http://h", request=write, answer="read")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_its_name_shows_no_secret() -> None:
    endpoint = http_json("http://127.0.0.1/p?key=sesame", request=write, answer=read)
    assert repr(endpoint) == "http_json('http://127.0.0.1/p?key=…')"
