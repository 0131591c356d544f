from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from thalweg.operators.endpoints import Answer, mlflow
from thalweg.runtime.context import Context
from thalweg.runtime.errors import BusyError, DataError, UnavailableError

from .opened import ask

if TYPE_CHECKING:
    from tests.operators.endpoints.conftest import Script

TWO = {"predictions": [1, 2]}


@pytest.mark.asyncio
async def test_rows_travel_as_a_split_data_frame(script: Script, context: Context) -> None:
    script.answer(200, TWO)
    rows: list[tuple[object, ...]] = [(5.1, None), ("a", True)]
    answer = await ask(mlflow(script.url + "/invocations"), context, rows=rows)
    (request,) = script.requests
    assert (request.method, request.path) == ("POST", "/invocations")
    assert request.headers["content-type"] == "application/json"
    assert request.json == {
        "dataframe_split": {"columns": ["length", "width"], "data": [[5.1, None], ["a", True]]}
    }
    assert answer == Answer(("prediction",), [(1,), (2,)])


@pytest.mark.asyncio
async def test_parameters_travel_beside_the_rows(script: Script, context: Context) -> None:
    script.answer(200, TWO)
    params = {"temperature": 0.5}
    endpoint = mlflow(script.url, params=params)
    params["temperature"] = 1.5  # what is changed after the graph is built has no part in it
    await ask(endpoint, context)
    (request,) = script.requests
    assert request.path == "/invocations"
    assert request.json["params"] == {"temperature": 0.5}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("predictions", "fields", "rows"),
    [
        (["a", "b"], ("prediction",), [("a",), ("b",)]),
        ([[0.5, 0.5], [1, 0]], ("prediction",), [([0.5, 0.5],), ([1, 0],)]),
        ([{"p": 1, "q": "a"}, {"p": 2, "q": "b"}], ("p", "q"), [(1, "a"), (2, "b")]),
        ([{"0": 1}, {"0": None}], ("0",), [(1,), (None,)]),
        ({"p": [1, 2], "q": [[1], [2]]}, ("p", "q"), [(1, [1]), (2, [2])]),
    ],
)
async def test_predictions_are_values_lists_records_or_columns(
    script: Script,
    context: Context,
    predictions: Any,
    fields: tuple[str, ...],
    rows: list[tuple[object, ...]],
) -> None:
    script.answer(200, {"predictions": predictions})
    assert await ask(mlflow(script.url), context) == Answer(fields, rows)


@pytest.mark.asyncio
async def test_nan_is_a_score_as_the_server_writes_it(script: Script, context: Context) -> None:
    script.answer(200, b'{"predictions": [NaN, 1.5]}')
    (first, second) = (await ask(mlflow(script.url), context)).rows
    assert isinstance(first[0], float)
    assert math.isnan(first[0])
    assert second == (1.5,)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "said",
    [
        [1, 2],
        "text",
        None,
        {},
        {"predictions": None},
        {"predictions": "ab"},
        {"predictions": [1]},
        {"predictions": [1, 2, 3]},
        {"predictions": {}},
        {"predictions": {"p": [1]}},
    ],
)
async def test_an_answer_of_another_shape_names_the_request(
    script: Script, context: Context, said: Any
) -> None:
    script.answer(200, said)
    with pytest.raises(
        UnavailableError, match=r"POST .*/invocations answered without usable predictions for 2"
    ) as caught:
        await ask(mlflow(script.url), context)
    assert caught.value.answered


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "said", "error"),
    [
        (400, {"error_code": "BAD_REQUEST", "message": "the reason"}, DataError),
        (415, b"the reason", DataError),
        (429, {"error_code": "RESOURCE_EXHAUSTED", "message": "the reason"}, BusyError),
        (500, {"error_code": "INTERNAL_ERROR", "message": "the reason"}, UnavailableError),
        # Text that calls itself JSON.
        (504, b"the reason", UnavailableError),
    ],
)
async def test_its_errors_are_told_by_their_class_and_reason(
    script: Script, context: Context, status: int, said: Any, error: type[Exception]
) -> None:
    script.answer(status, said)
    with pytest.raises(error, match=rf"/invocations answered {status}: the reason"):
        await ask(mlflow(script.url), context)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h:5000", "http://h:5000/invocations"),
        ("http://h:5000/", "http://h:5000/invocations"),
        ("http://h:5000/invocations/", "http://h:5000/invocations"),
        ("https://h/serving-endpoints/i/invocations", "https://h/serving-endpoints/i/invocations"),
    ],
)
def test_a_server_may_be_named_with_or_without_its_path(url: str, shown: str) -> None:
    assert repr(mlflow(url)) == f"mlflow({shown!r})"


@pytest.mark.parametrize("url", ["http://h/predict", "http://h/invocations/1", "ftp://h", ""])
def test_a_wrong_address_is_told_when_the_graph_is_built(url: str) -> None:
    with pytest.raises(ValueError, match=r"http://HOST/invocations"):
        mlflow(url)


def test_parameters_that_cannot_travel_are_told_when_the_graph_is_built() -> None:
    with pytest.raises(ValueError, match=r"params cannot be written as JSON: .*object"):
        mlflow("http://h", params={"a": object()})
    with pytest.raises(TypeError, match=r"params is a mapping"):
        mlflow("http://h", params=[1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
