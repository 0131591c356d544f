from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import pytest

from thalweg.operators.endpoints import Answer, kserve_v1
from thalweg.operators.endpoints.kserve_v1 import RowShape
from thalweg.runtime.context import Context
from thalweg.runtime.errors import MisconfiguredError, UnavailableError

from .opened import ask, opened

if TYPE_CHECKING:
    from tests.operators.endpoints.conftest import Script

PATH = "/v1/models/iris"
TWO = {"predictions": ["setosa", "virginica"]}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("shape", "nested", "body"),
    [
        (
            "rows",
            False,
            {"instances": [{"length": 5.1, "width": 3.5}, {"length": 6.0, "width": 3.0}]},
        ),
        (
            "rows",
            True,
            {"instances": [{"length": [5.1], "width": [3.5]}, {"length": [6.0], "width": [3.0]}]},
        ),
        ("lists", False, {"instances": [[5.1, 3.5], [6.0, 3.0]]}),
        ("columns", False, {"inputs": {"length": [5.1, 6.0], "width": [3.5, 3.0]}}),
        ("columns", True, {"inputs": {"length": [[5.1], [6.0]], "width": [[3.5], [3.0]]}}),
    ],
)
async def test_rows_travel_in_the_shape_that_is_chosen(
    script: Script, context: Context, shape: RowShape, nested: bool, body: object
) -> None:
    script.answer(200, TWO)
    await ask(kserve_v1(script.url + PATH, shape=shape, nested=nested), context)
    (request,) = script.requests
    assert (request.method, request.path) == ("POST", PATH + ":predict")
    assert request.headers["content-type"] == "application/json"
    assert request.json == body


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("shape", "body"),
    [
        ("rows", {"instances": [{"x": 1.5}, {"x": "a"}]}),
        ("lists", {"instances": [[1.5], ["a"]]}),
        ("values", {"instances": [1.5, "a"]}),
        ("columns", {"inputs": {"x": [1.5, "a"]}}),
    ],
)
async def test_a_single_field_may_travel_with_its_name_or_without(
    script: Script, context: Context, shape: RowShape, body: object
) -> None:
    script.answer(200, TWO)
    await ask(kserve_v1(script.url + PATH, shape=shape), context, ("x",), [(1.5,), ("a",)])
    assert script.requests[0].json == body


@pytest.mark.asyncio
async def test_several_fields_are_not_one_value_a_row(script: Script, context: Context) -> None:
    script.answer(200, TWO)
    with pytest.raises(MisconfiguredError, match=r"one value a row, and 2 fields are mapped"):
        await ask(kserve_v1(script.url + PATH, shape="values"), context)
    assert not script.requests


@pytest.mark.asyncio
async def test_a_signature_is_named_where_one_is_asked_for(
    script: Script, context: Context
) -> None:
    script.answer(200, TWO)
    await ask(kserve_v1(script.url + PATH, shape="lists", signature="classes"), context)
    assert script.requests[0].json["signature_name"] == "classes"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("said", "fields", "rows"),
    [
        (TWO, ("prediction",), [("setosa",), ("virginica",)]),
        ({"predictions": [[0.5, 0.5], [1, 0]]}, ("prediction",), [([0.5, 0.5],), ([1, 0],)]),
        (
            {"predictions": [{"label": "a", "score": [1]}, {"score": [2], "label": "b"}]},
            ("label", "score"),
            [("a", [1]), ("b", [2])],
        ),
        ({"predictions": [{"b64": "YQ=="}, {"b64": "Yg=="}]}, ("prediction",), [("a",), ("b",)]),
        (
            {"predictions": [{"label_bytes": {"b64": "YQ=="}}, {"label_bytes": {"b64": "/w=="}}]},
            ("label_bytes",),
            [("a",), (b"\xff",)],
        ),
        ({"outputs": [1, 2]}, ("prediction",), [(1,), (2,)]),
        ({"outputs": [[1, 2], [3, 4]]}, ("prediction",), [([1, 2],), ([3, 4],)]),
        (
            {"outputs": {"label": ["a", "b"], "score": [[1], [2]]}},
            ("label", "score"),
            [("a", [1]), ("b", [2])],
        ),
        ({"outputs": [{"b64": "YQ=="}, {"b64": "Yg=="}]}, ("prediction",), [("a",), ("b",)]),
    ],
)
async def test_predictions_come_as_rows_or_as_columns(
    script: Script,
    context: Context,
    said: Any,
    fields: tuple[str, ...],
    rows: list[tuple[object, ...]],
) -> None:
    script.answer(200, said)
    assert await ask(kserve_v1(script.url + PATH), context) == Answer(fields, rows)


@pytest.mark.asyncio
async def test_nan_and_infinity_are_scores_as_the_server_writes_them(
    script: Script, context: Context
) -> None:
    script.answer(200, b'{"predictions": [{"p": NaN, "q": 1.5}, {"p": -Infinity, "q": 2.5}]}')
    answer = await ask(kserve_v1(script.url + PATH), context)
    (first, second) = answer.rows
    assert isinstance(first[0], float)
    assert math.isnan(first[0])
    assert (first[1], *second) == (1.5, -math.inf, 2.5)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("path", "told", "version"),
    [
        (PATH, {}, None),
        (PATH + "/versions/3", {}, "3"),
        (PATH + "/labels/stable", {}, None),
        (PATH, {"deployedModelId": "123", "model": "m", "modelVersionId": "2"}, "2"),
        (PATH + "/versions/3", {"modelVersionId": "2"}, "2"),
        (PATH, {"deployedModelId": "123"}, "123"),
    ],
)
async def test_the_version_is_that_of_the_answer_or_of_the_address(
    script: Script, context: Context, path: str, told: dict[str, str], version: str | None
) -> None:
    script.answer(200, TWO | told)
    assert (await ask(kserve_v1(script.url + path), context)).model_version == version


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "said",
    [
        [],
        "text",
        None,
        {},
        {"predictions": None},
        {"predictions": {}},
        {"predictions": ["a"]},
        {"predictions": ["a", "b", "c"]},
        {"predictions": ["a", "b"], "outputs": ["a", "b"]},
        {"predictions": [{"b64": "no!"}, {"b64": "YQ=="}]},
        {"outputs": 5},
        {"outputs": {}},
        {"outputs": [1]},
        {"outputs": {"a": [1, 2], "b": [1]}},
        {"outputs": {"a": [1, 2], "b": 3}},
        {"error": "in the middle of it"},
        b'{"predictions": ' + b"[" * 1000 + b"]" * 1000 + b"}",
    ],
)
async def test_an_answer_of_another_shape_names_the_request(
    script: Script, context: Context, said: Any
) -> None:
    script.answer(200, said)
    with pytest.raises(
        UnavailableError, match=r"POST .*/v1/models/iris:predict answered without usable"
    ) as caught:
        await ask(kserve_v1(script.url + PATH), context)
    assert caught.value.answered


@pytest.mark.asyncio
async def test_an_error_that_comes_as_a_success_is_told(script: Script, context: Context) -> None:
    script.answer(200, {"error": "in the middle of it"})
    with pytest.raises(UnavailableError, match=r"rows \(.*\): in the middle of it\Z"):
        await ask(kserve_v1(script.url + PATH), context)


@pytest.mark.asyncio
async def test_an_endpoint_can_be_asked_again_after_an_answer_that_was_no_use(
    script: Script, context: Context
) -> None:
    script.answer(200, {"predictions": ["a"]})
    script.answer(200, TWO)
    async with opened(kserve_v1(script.url + PATH), context) as endpoint:
        with pytest.raises(UnavailableError, match=r"\(1 results for 2 rows\)"):
            await endpoint.predict(("x",), [(1,), (2,)])
        assert len((await endpoint.predict(("x",), [(1,), (2,)])).rows) == 2


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h/v1/models/iris", "http://h/v1/models/iris:predict"),
        ("http://h/v1/models/iris/", "http://h/v1/models/iris:predict"),
        ("http://h/v1/models/iris:predict", "http://h/v1/models/iris:predict"),
        ("http://h/a/v1/models/i/versions/3", "http://h/a/v1/models/i/versions/3:predict"),
        ("http://h/v1/models/i/labels/new:predict", "http://h/v1/models/i/labels/new:predict"),
        (
            "https://h/v1/projects/p/locations/l/endpoints/7:predict",
            "https://h/v1/projects/p/locations/l/endpoints/7:predict",
        ),
    ],
)
def test_a_model_may_be_named_with_or_without_its_verb(url: str, shown: str) -> None:
    assert repr(kserve_v1(url)) == f"kserve_v1({shown!r})"


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "http://h/v1/models/",
        "http://h/v1/models/iris:classify",
        "http://h/v1/models/iris:regress:predict",
        "http://h/v1/models/iris/versions/",
        "http://h/v2/models/iris",
        "x",
    ],
)
def test_a_wrong_address_is_told_when_the_graph_is_built(url: str) -> None:
    with pytest.raises(ValueError, match=r"http://HOST/v1/models/NAME"):
        kserve_v1(url)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"shape": "dicts"}, "shape is one of ('rows', 'lists', 'values', 'columns'), not 'dicts'"),
        ({"shape": "lists", "nested": True}, "shape='lists' has none"),
        ({"shape": "values", "nested": True}, "shape='values' has none"),
        ({"signature": ""}, "signature is the name"),
    ],
)
def test_a_wrong_option_is_told_when_the_graph_is_built(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        kserve_v1("http://h/v1/models/iris", **options)
