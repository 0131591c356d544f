from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from thalweg.operators.endpoints import Answer, oip
from thalweg.operators.endpoints.oip import TensorLayout
from thalweg.runtime.context import Context
from thalweg.runtime.errors import (
    BusyError,
    DataError,
    MisconfiguredError,
    UnavailableError,
)

from .opened import opened

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
    assert sorted(inferred.json) == ["id", "inputs"]
    assert inferred.json["inputs"] == [
        {"name": "length", "shape": [2, 1], "datatype": "FP32", "data": [5.1, 6.0]},
        {"name": "width", "shape": [2], "datatype": "FP64", "data": [3.5, 3.0]},
    ]
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
    script.answers.append(None)
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
        {"outputs": [{"name": "p", "shape": [2] + [1] * 2000, "data": [[1], [2]]}]},
        {"error": "with status 200"},
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
async def test_each_request_has_a_number_of_its_own(script: Script, context: Context) -> None:
    script.answer(200, EACH)
    script.answer(200, GOOD)
    for _ in range(2):
        async with opened(oip(script.url + "/v2/models/iris"), context) as endpoint:
            await asyncio.gather(*(endpoint.predict(FIELDS, ROWS) for _ in range(3)))
        script.answers.insert(0, script.answers[0])
        script.answer(200, EACH)
        script.answers.insert(0, script.answers.pop())
    numbers = [r.json["id"] for r in script.requests if r.method == "POST"]
    assert len(numbers) == len(set(numbers)) == 6


@pytest.mark.asyncio
async def test_an_answer_with_the_number_of_another_request_is_not_used(
    script: Script, context: Context
) -> None:
    script.answer(200, EACH)
    script.answer(200, GOOD | {"id": "another"})
    script.answer(200, GOOD | {"id": None})
    async with opened(oip(script.url + "/v2/models/iris"), context) as endpoint:
        with pytest.raises(UnavailableError, match=r"it answers request 'another', not '") as e:
            await endpoint.predict(FIELDS, ROWS)
        assert e.value.answered
        assert len((await endpoint.predict(FIELDS, ROWS)).rows) == 2


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("version", "told"), [("7", "7"), (7, "7"), ("", None), (None, None), ("v1.2-rc", "v1.2-rc")]
)
async def test_the_version_is_told_where_the_server_tells_it(
    script: Script, context: Context, version: object, told: str | None
) -> None:
    script.answer(200, EACH)
    script.answer(200, GOOD | {"model_version": version})
    assert (await ask(script, context)).model_version == told


@pytest.mark.asyncio
async def test_an_answer_without_a_version_has_none(script: Script, context: Context) -> None:
    script.answer(200, EACH)
    script.answer(200, {"outputs": OUTPUTS})
    assert (await ask(script, context)).model_version is None


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("output", "values"),
    [
        ({"shape": [2, 1], "datatype": "BYTES", "data": ["a", "é"]}, ["a", "é"]),
        ({"shape": [2, 1], "datatype": "BYTES", "data": [["a"], ["b"]]}, ["a", "b"]),
        ({"shape": [2], "datatype": "BYTES", "data": ["", "NaN"]}, ["", "NaN"]),
        (
            {"shape": [2, 2], "datatype": "BYTES", "data": ["a", "b", "c", "d"]},
            [["a", "b"], ["c", "d"]],
        ),
        (
            {
                "shape": [2],
                "datatype": "BYTES",
                "parameters": {"content_type": "str"},
                "data": ["a", "b"],
            },
            ["a", "b"],
        ),
        ({"shape": [2], "datatype": "FP16", "data": [0.5, 65504]}, [0.5, 65504]),
        ({"shape": [2, 1], "datatype": "BF16", "data": [[0.5], [3e38]]}, [0.5, 3e38]),
        ({"shape": [2], "datatype": "BOOL", "data": [True, False]}, [True, False]),
        ({"shape": [2], "datatype": "UINT64", "data": [2**64 - 1, 0]}, [2**64 - 1, 0]),
        (
            {"shape": [2, 2, 1], "datatype": "FP32", "data": [1, 2, 3, 4]},
            [[[1], [2]], [[3], [4]]],
        ),
    ],
)
async def test_outputs_of_each_kind_are_values_or_lists(
    script: Script, context: Context, output: dict[str, object], values: list[object]
) -> None:
    script.answer(200, EACH)
    script.answer(200, {"parameters": {"took": 1}, "outputs": [{"name": "p"} | output]})
    answer = await ask(script, context)
    assert answer.fields == ("p",)
    assert list(answer.rows) == [(value,) for value in values]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("datatype", "good", "bad"),
    [
        ("FP16", 65504.0, 65520.0),
        ("BF16", 3.3e38, 3.4e38),
        ("FP32", 3.4e38, 3.5e38),
        ("UINT8", 255.0, 256),
        ("INT64", -(2**63), 0.5),
        ("BYTES", "", 1.5),
        ("BOOL", False, 0),
    ],
)
async def test_what_the_datatype_of_an_input_cannot_carry_stays_at_home(
    script: Script, context: Context, datatype: str, good: object, bad: object
) -> None:
    told = metadata(("length", datatype, [-1]), ("width", "FP64", [-1, 1]))
    script.answer(200, told)
    script.answer(200, GOOD)
    await ask(script, context, [(good, 1), (good, 1)])
    assert script.requests[1].json["inputs"][0]["data"] == [good, good]
    script.answers.insert(0, script.answers[0])
    script.answer(200, told)
    script.answers.insert(0, script.answers.pop())
    with pytest.raises(DataError, match=rf"'length' of the model takes {datatype}"):
        await ask(script, context, [(good, 1), (bad, 1)])
    assert [request.method for request in script.requests] == ["GET", "POST", "GET"]


@pytest.mark.asyncio
async def test_a_tensor_in_the_binary_extension_is_no_answer(
    script: Script, context: Context
) -> None:
    output = {"name": "p", "shape": [2], "datatype": "FP32"}
    script.answer(200, EACH)
    script.answer(200, {"outputs": [output | {"parameters": {"binary_data_size": 8}}]})
    with pytest.raises(UnavailableError, match=r"without a usable tensor"):
        await ask(script, context)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, DataError),
        (404, MisconfiguredError),
        (422, DataError),
        (500, UnavailableError),  # MLServer, for rows of the wrong width
        (501, MisconfiguredError),
        (503, BusyError),
    ],
)
async def test_its_errors_are_told_by_their_class_and_reason(
    script: Script, context: Context, status: int, error: type[Exception]
) -> None:
    script.answer(200, EACH)
    script.answer(status, {"error": "ValueError: X has 3 features"})
    with pytest.raises(error, match=rf"infer answered {status}: ValueError: X has 3 features"):
        await ask(script, context)


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


@pytest.mark.asyncio
async def test_a_model_that_is_not_ready_yet_blames_no_row(
    script: Script, context: Context
) -> None:
    script.answer(200, ALL)
    script.answer(400, {"error": "Model iris is not ready yet."})
    with pytest.raises(UnavailableError, match=r"answered 400: Model iris is not ready") as caught:
        await ask(script, context)
    assert caught.value.answered


@pytest.mark.asyncio
async def test_the_name_of_a_model_does_not_make_it_unready(
    script: Script, context: Context
) -> None:
    script.answer(200, ALL)
    script.answer(400, {"error": "the width is wrong"})
    async with opened(oip(script.url + "/v2/models/is%20not%20ready"), context) as endpoint:
        with pytest.raises(DataError, match="the width is wrong"):
            await endpoint.predict(FIELDS, list(ROWS))
