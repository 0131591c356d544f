from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from thalweg.operators.endpoints import Answer, wml
from thalweg.runtime.context import Context
from thalweg.runtime.errors import DataError, UnavailableError

from .opened import ask

if TYPE_CHECKING:
    from tests.operators.endpoints.conftest import Script

PATH = "/ml/v4/deployments/iris/predictions?version=2020-09-01"


@pytest.mark.asyncio
async def test_rows_travel_in_the_documented_shape(script: Script, context: Context) -> None:
    answered = [[0, [0.9, 0.1]], [1, [0.2, 0.8]]]
    script.answer(
        200, {"predictions": [{"fields": ["prediction", "probability"], "values": answered}]}
    )
    endpoint = wml(script.url + PATH)
    await endpoint.open(context)
    answer = await endpoint.predict(
        ("a", "b", "c", "d"), [(1.5, 2, "x", None), (3.5, 4, "y", True)]
    )
    await endpoint.close()
    (request,) = script.requests
    assert (request.method, request.path) == ("POST", PATH)
    assert request.headers["content-type"] == "application/json"
    assert request.json == {
        "input_data": [
            {"fields": ["a", "b", "c", "d"], "values": [[1.5, 2, "x", None], [3.5, 4, "y", True]]}
        ]
    }
    assert answer.fields == ("prediction", "probability")
    assert answer.rows == answered
    assert answer.model_version is None


GARBAGE: list[object] = [
    [],
    "text",
    None,
    {},
    {"predictions": []},
    {"predictions": [{}]},
    {"predictions": [{"fields": ["p"]}]},
    {"predictions": [{"fields": ["p"], "values": None}]},
    {"predictions": [{"fields": ["p"], "values": ["ab", "cd"]}]},
    {"predictions": [{"fields": ["p"], "values": [["a"], "b"]}]},
    {"predictions": [{"fields": [1], "values": [["a"], ["b"]]}]},
    {"predictions": [{"fields": ["p"], "values": [["a"]]}, {}]},
    {"predictions": [{"fields": ["p"], "values": [["a"], ["b", "c"]]}] * 2},
    {"predictions": [{"fields": ["p"], "values": []}] * 2},
]


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", GARBAGE)
async def test_json_of_another_shape_names_the_request(
    script: Script, context: Context, answer: object
) -> None:
    script.answer(200, answer)
    endpoint = wml(script.url + PATH)
    await endpoint.open(context)
    try:
        with pytest.raises(
            UnavailableError, match=r"POST .*iris/predictions.* JSON that is not"
        ) as e:
            await endpoint.predict(("a",), [(1,), (2,)])
        assert e.value.answered
    finally:
        await endpoint.close()


Part = tuple[list[str], list[list[object]]]

PARTS: list[tuple[list[Part], tuple[str, ...], list[tuple[object, ...]]]] = [
    (
        [(["p", "q"], [["a", 1]]), (["p", "q"], [["b", 2]])],
        ("p", "q"),
        [("a", 1), ("b", 2)],
    ),
    (
        [(["p", "q"], [["a", 1]]), (["q", "p"], [[2, "b"]])],
        ("p", "q"),
        [("a", 1), ("b", 2)],
    ),
    ([(["p"], [["a"]]), (["q"], [[2]])], ("p", "q"), [("a", None), (None, 2)]),
    ([(["p"], []), (["p"], [["a"], ["b"]])], ("p",), [("a",), ("b",)]),
    # How many there have to be is what `score` knows, and checks.
    ([(["p"], [["a"], ["b"]]), (["p"], [["c"]])], ("p",), [("a",), ("b",), ("c",)]),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("parts", "fields", "rows"), PARTS)
async def test_several_parts_of_an_answer_are_read_one_after_the_other(
    script: Script,
    context: Context,
    parts: list[Part],
    fields: tuple[str, ...],
    rows: list[tuple[object, ...]],
) -> None:
    said = [{"id": "1", "fields": names, "values": values} for names, values in parts]
    script.answer(200, {"predictions": said})
    assert await ask(wml(script.url + PATH), context) == Answer(fields, rows)


@pytest.mark.asyncio
async def test_an_error_that_comes_as_a_success_is_told(script: Script, context: Context) -> None:
    script.answer(200, {"trace": "a1", "errors": [{"message": "no memory"}], "status_code": 500})
    with pytest.raises(UnavailableError, match=r'"values"\}\]\}: no memory\Z') as caught:
        await ask(wml(script.url + PATH), context)
    assert caught.value.answered


@pytest.mark.asyncio
@pytest.mark.parametrize("status", ["status_code", "statusCode", "status"])
async def test_an_error_is_told_however_its_body_spells_the_status(
    script: Script, context: Context, status: str
) -> None:
    script.answer(
        400, {"trace": "a1", "errors": [{"code": "x", "message": "wrong width"}], status: 400}
    )
    with pytest.raises(DataError, match=r"answered 400: wrong width\Z"):
        await ask(wml(script.url + PATH), context)


@pytest.mark.asyncio
@pytest.mark.parametrize("value", [2**70, "\ud800", object()])
async def test_what_json_cannot_carry_never_travels(
    script: Script, context: Context, value: object
) -> None:
    script.answer(500)
    endpoint = wml(script.url + PATH)
    await endpoint.open(context)
    try:
        with pytest.raises(DataError, match=r"cannot be written as JSON"):
            await endpoint.predict(("a",), [(value,)])
    finally:
        await endpoint.close()
    assert not script.requests


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "'' is no http or https URL"),
        ("ftp://example.org" + PATH, "is no http or https URL"),
        ("http:///ml", "is no http or https URL"),
        ("http://[bad/", "is no URL"),
        ("http://example.org:port" + PATH, "is no URL"),
        ("http://example.org/ml/v4/deployments/iris?version=2020-09-01", "/predictions"),
        ("http://example.org/ml/v4/deployments/iris/predictions", "lacks ?version=YYYY-MM-DD"),
    ],
)
def test_a_wrong_address_is_told_when_the_graph_is_built(url: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        wml(url)


@pytest.mark.asyncio
async def test_the_older_path_without_a_version_is_asked_as_it_stands(
    script: Script, context: Context
) -> None:
    script.answer(200, {"predictions": [{"fields": ["p"], "values": [["a"], ["b"]]}]})
    endpoint = wml(script.url + "/v4/deployments/1/predictions")
    assert repr(endpoint).endswith("/v4/deployments/1/predictions')")
    assert (await ask(endpoint, context)).rows == [["a"], ["b"]]
    (request,) = script.requests
    assert (request.method, request.path) == ("POST", "/v4/deployments/1/predictions")
    assert request.json["input_data"][0]["fields"] == ["length", "width"]
