from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from thalweg.operators.endpoints import Answer, Endpoint, oip
from thalweg.operators.endpoints.oip import TensorLayout
from thalweg.runtime.context import Context
from thalweg.runtime.errors import (
    BusyError,
    DataError,
    MisconfiguredError,
    UnavailableError,
)

if TYPE_CHECKING:
    from tests.operators.endpoints.conftest import Script

FIELDS = ("length", "width")
ROWS = [(5.1, 3.5), (6.0, 3.0)]
OUTPUTS = [
    {"name": "prediction", "shape": [2], "datatype": "BYTES", "data": ["setosa", "virginica"]},
    {"name": "probability", "shape": [2, 2], "datatype": "FP32", "data": [0.5, 0.25, 0.75, 1]},
]
GOOD = {"model_name": "iris", "model_version": "7", "outputs": OUTPUTS}


def metadata(*inputs: tuple[str, str, list[int]]) -> dict[str, object]:
    named = [{"name": name, "datatype": kind, "shape": shape} for name, kind, shape in inputs]
    return {"name": "iris", "versions": ["7"], "platform": "p", "inputs": named, "outputs": []}


EACH = metadata(("length", "FP32", [-1, 1]), ("width", "FP64", [-1]))
ALL = metadata(("x", "FP32", [-1, 2]))


@asynccontextmanager
async def opened(endpoint: Endpoint, context: Context) -> AsyncGenerator[Endpoint, None]:
    await endpoint.open(context)
    try:
        yield endpoint
    finally:
        await endpoint.close()


async def ask(
    script: Script,
    context: Context,
    rows: list[tuple[object, ...]] | None = None,
    layout: TensorLayout = "auto",
) -> Answer:
    async with opened(oip(script.url + "/v2/models/iris", layout=layout), context) as endpoint:
        return await endpoint.predict(FIELDS, rows or list(ROWS))


@pytest.mark.asyncio
async def test_inputs_named_like_the_fields_become_one_tensor_each(
    script: Script, context: Context
) -> None:
    script.answer(200, EACH)
    script.answer(200, GOOD)
    answer = await ask(script, context)
    asked, inferred = script.requests
    assert (asked.method, asked.path) == ("GET", "/v2/models/iris")
    assert (inferred.method, inferred.path) == ("POST", "/v2/models/iris/infer")
    assert inferred.json == {
        "inputs": [
            {"name": "length", "shape": [2, 1], "datatype": "FP32", "data": [5.1, 6.0]},
            {"name": "width", "shape": [2], "datatype": "FP64", "data": [3.5, 3.0]},
        ]
    }
    assert answer.fields == ("prediction", "probability")
    assert list(answer.rows) == [("setosa", [0.5, 0.25]), ("virginica", [0.75, 1])]
    assert answer.model_version == "7"


@pytest.mark.asyncio
async def test_a_single_input_of_another_name_takes_all_fields(
    script: Script, context: Context
) -> None:
    script.answer(200, ALL)
    script.answer(200, GOOD)
    await ask(script, context)
    assert script.requests[1].json["inputs"] == [
        {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [5.1, 3.5, 6.0, 3.0]}
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("layout", "inputs"),
    [
        ("auto", [("input-0", [2, 2], "FP64", [5, 3.5, 6, 3])]),
        ("stacked", [("input-0", [2, 2], "FP64", [5, 3.5, 6, 3])]),
        ("per_field", [("length", [2, 1], "FP64", [5, 6]), ("width", [2, 1], "FP64", [3.5, 3])]),
    ],
)
async def test_where_the_metadata_names_no_inputs_the_layout_option_decides(
    script: Script,
    context: Context,
    layout: TensorLayout,
    inputs: list[tuple[str, list[int], str, list[object]]],
) -> None:
    script.answer(200, {"name": "iris", "platform": "", "inputs": []})
    script.answer(200, GOOD)
    await ask(script, context, [(5, 3.5), (6, 3)], layout)
    assert script.requests[1].json["inputs"] == [
        {"name": name, "shape": shape, "datatype": datatype, "data": data}
        for name, shape, datatype, data in inputs
    ]


@pytest.mark.asyncio
async def test_fields_of_several_kinds_without_metadata_need_a_tensor_each(
    script: Script, context: Context
) -> None:
    script.answer(200, {"name": "iris", "platform": ""})
    script.answer(200, GOOD)
    rows: list[tuple[object, ...]] = [("a", 3.5), ("b", 3.0)]
    with pytest.raises(DataError, match=r"layout='per_field'"):
        await ask(script, context, rows)
    assert len(script.requests) == 1
    script.answer(200, {"name": "iris", "platform": ""})
    script.answer(200, GOOD)
    script.answers.pop(0)
    await ask(script, context, rows, "per_field")
    kinds = [said["datatype"] for said in script.requests[-1].json["inputs"]]
    assert kinds == ["BYTES", "FP64"]


@pytest.mark.asyncio
async def test_the_metadata_is_read_once_however_many_calls_start_together(
    script: Script, context: Context
) -> None:
    script.answer(200, EACH)
    script.answer(200, GOOD)
    async with opened(oip(script.url + "/v2/models/iris"), context) as endpoint:
        await asyncio.gather(*(endpoint.predict(FIELDS, ROWS) for _ in range(8)))
    assert [request.method for request in script.requests].count("GET") == 1


@pytest.mark.asyncio
async def test_a_server_that_is_not_up_yet_is_asked_again_at_the_next_call(
    script: Script, context: Context
) -> None:
    script.answers += [None, None]  # the client asks twice where nothing can happen twice
    script.answer(503, {"error": "loading"}, Retry_After="2")
    script.answer(200, EACH)
    script.answer(200, GOOD)
    async with opened(oip(script.url + "/v2/models/iris"), context) as endpoint:
        with pytest.raises(UnavailableError, match=r"GET .*/v2/models/iris got no answer"):
            await endpoint.predict(FIELDS, ROWS)
        with pytest.raises(BusyError, match=r"loading") as busy:
            await endpoint.predict(FIELDS, ROWS)
        assert busy.value.retry_after == 2.0
        assert len((await endpoint.predict(FIELDS, ROWS)).rows) == 2


@pytest.mark.asyncio
async def test_a_call_cancelled_while_it_asks_for_metadata_does_not_block_the_next(
    script: Script, context: Context
) -> None:
    script.answers.append(b"")
    script.answer(200, EACH)
    script.answer(200, GOOD)
    async with opened(oip(script.url + "/v2/models/iris"), context) as endpoint:
        call = asyncio.ensure_future(endpoint.predict(FIELDS, ROWS))
        await script.arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert len((await endpoint.predict(FIELDS, ROWS)).rows) == 2


@pytest.mark.asyncio
async def test_a_model_with_other_inputs_is_a_misconfiguration(
    script: Script, context: Context
) -> None:
    script.answer(200, metadata(("lenght", "FP32", [-1, 1]), ("width", "FP32", [-1, 1])))
    with pytest.raises(MisconfiguredError, match=r"no input 'length'.*did you mean 'lenght'"):
        await ask(script, context)
    assert len(script.requests) == 1


@pytest.mark.asyncio
async def test_a_value_that_the_datatype_cannot_carry_makes_no_request(
    script: Script, context: Context
) -> None:
    script.answer(200, EACH)
    with pytest.raises(DataError, match=r"'width' of the model takes FP64.*str 'wide'"):
        await ask(script, context, [(5.1, 3.5), (6.0, "wide")])
    assert [request.method for request in script.requests] == ["GET"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "answer",
    [
        [],
        {},
        {"outputs": "none"},
        {"outputs": [{"name": "p", "shape": [2]}]},
        {"outputs": [{"name": "p", "shape": [2], "data": 5}]},
        {"outputs": [{"name": "p", "shape": [3], "data": [1, 2, 3]}]},
        {"outputs": [{"name": "p", "shape": [1], "data": [1]}]},
        {"outputs": [{"name": "p", "shape": [2], "data": [1]}]},
        {"outputs": [{"name": "p", "shape": ["2"], "data": [1, 2]}]},
        {"outputs": [OUTPUTS[0], {"name": "p", "shape": [1], "data": [1]}]},
    ],
)
async def test_an_answer_of_another_shape_names_the_request(
    script: Script, context: Context, answer: object
) -> None:
    script.answer(200, EACH)
    script.answer(200, answer)
    with pytest.raises(
        UnavailableError, match=r"POST .*/infer answered without a usable"
    ) as caught:
        await ask(script, context)
    assert caught.value.answered


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", [[], "x", {"inputs": [{"name": "x"}]}, {"inputs": 5}])
async def test_metadata_of_another_shape_names_the_request(
    script: Script, context: Context, answer: object
) -> None:
    script.answer(200, answer)
    with pytest.raises(UnavailableError, match=r"GET .*/v2/models/iris answered with metadata"):
        await ask(script, context)


@pytest.mark.parametrize(
    ("url", "model"),
    [
        ("http://h/v2/models/iris", "http://h/v2/models/iris"),
        ("http://h/v2/models/iris/", "http://h/v2/models/iris"),
        ("http://h/v2/models/iris/infer", "http://h/v2/models/iris"),
        (
            "https://h/a/b/v2/models/iris/versions/3/infer",
            "https://h/a/b/v2/models/iris/versions/3",
        ),
    ],
)
def test_a_model_may_be_named_with_or_without_its_infer_path(url: str, model: str) -> None:
    assert repr(oip(url)) == f"oip({model!r})"


@pytest.mark.parametrize("url", ["http://h", "http://h/v2/models/", "http://h/v2/models/a/b", "x"])
def test_a_wrong_address_is_told_when_the_graph_is_built(url: str) -> None:
    with pytest.raises(ValueError, match=r"http://HOST/v2/models/NAME"):
        oip(url)


def test_an_unknown_layout_lists_the_valid_ones() -> None:
    with pytest.raises(ValueError, match=r"auto.*per_field.*stacked.*not 'flat'"):
        oip("http://h/v2/models/iris", layout="flat")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
