from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from thalweg.operators.endpoints import wml
from thalweg.runtime.context import Context
from thalweg.runtime.errors import DataError, UnavailableError

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
    {"predictions": [{"fields": ["p"], "values": [["a"]]}] * 2},
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


def test_the_older_path_without_a_version_is_taken() -> None:
    assert repr(wml("https://h/v4/deployments/1/predictions")) == (
        "wml('https://h/v4/deployments/1/predictions')"
    )
