from __future__ import annotations

import asyncio
import csv
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pytest
import pytest_asyncio
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from thalweg.deploy.serve import ServeError, serving
from thalweg.deploy.serve.application import application
from thalweg.deploy.serve.catalogue import Catalogue
from thalweg.deploy.serve.kinds import load
from thalweg.operators.transforms.score import score
from thalweg.runtime.context import Context
from thalweg.runtime.contracts import BatchFunction
from thalweg.runtime.counters import Counters
from thalweg.runtime.errors import DataError, MisconfiguredError

T = TypeVar("T")
Record = dict[str, object]
Client = TestClient[web.Request, web.Application]

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "graphs" / "models" / "iris.onnx"
MEASURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
INPUTS = ("Sepal.Length", "Sepal.Width", "Petal.Length", "Petal.Width")
FIELDS: dict[str, str] = dict(zip(MEASURES, INPUTS, strict=True))
WML = "/ml/v4/deployments/iris/predictions"
OIP = "/v2/models/iris"


def thread(function: Callable[[], T], /) -> Awaitable[T]:
    return asyncio.to_thread(function)


def flowers() -> list[Record]:
    with (ROOT / "graphs" / "data" / "iris.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        {name: text if name == "species" else float(text) for name, text in row.items()}
        for row in rows
    ]


async def scored(endpoint: str, records: list[Record]) -> list[Record]:
    operator: BatchFunction[Record, Record] = score(endpoint, fields=FIELDS, version_field=None)
    await operator.open(Context("graph", "score", thread=thread, counters=Counters()))
    try:
        made = await operator.call(records)
    finally:
        await operator.close()
    assert isinstance(made, list)
    return made


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    app = application(Catalogue([load(str(MODEL))]), max_body_bytes=100_000)
    async with TestClient(TestServer(app, host="127.0.0.1")) as client:
        yield client


def tensors(**changes: Any) -> list[dict[str, Any]]:
    return [
        {"name": name, "shape": [2, 1], "datatype": "FP32", "data": [5.1, 6.3], **changes}
        for name in INPUTS
    ]


@pytest.mark.asyncio
async def test_each_protocol_answers_for_150_flowers_what_the_model_does() -> None:
    records = flowers()
    assert len(records) == 150
    direct = await scored(f"onnx:{MODEL}", records)
    async with serving(str(MODEL)) as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert await scored(server.wml, records) == direct
        assert await scored(server.oip, records) == direct
    right = sum(flower["prediction"] == flower["species"] for flower in direct)
    assert 0.95 * 150 <= right < 150
    assert {type(flower["probability"]) for flower in direct} == {list}


@pytest.mark.asyncio
async def test_a_value_of_the_wrong_type_is_refused_by_both_protocols() -> None:
    records = [{**flowers()[0], "sepal_width": "wide"}]
    async with serving(str(MODEL)) as server:
        with pytest.raises(
            DataError, match=r"answered 400: input 'Sepal.Width' of the model takes"
        ):
            await scored(server.wml, records)
        with pytest.raises(DataError, match="which cannot carry the str 'wide'"):
            await scored(server.oip, records)


@pytest.mark.asyncio
async def test_the_server_tells_about_itself_and_its_model(client: Client) -> None:
    async def told(path: str) -> Any:
        async with client.get(path) as response:
            assert response.status == 200
            assert response.content_type == "application/json"
            return await response.json()

    assert (await told("/v2"))["name"] == "thalweg"
    assert await told("/v2/health/live") == {"live": True}
    assert await told("/v2/health/ready") == {"ready": True}
    assert await told(OIP + "/ready") == {"name": "iris", "ready": True}
    assert await told(OIP + "/versions/1/ready") == {"name": "iris", "ready": True}
    metadata = {
        "name": "iris",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": name, "datatype": "FP32", "shape": [-1, 1]} for name in INPUTS],
        "outputs": [
            {"name": "prediction", "datatype": "BYTES", "shape": [-1]},
            {"name": "probability", "datatype": "FP32", "shape": [-1, 3]},
        ],
    }
    assert await told(OIP) == metadata
    assert await told(OIP + "/versions/1") == metadata


@pytest.mark.asyncio
async def test_oip_answers_in_tensors(client: Client) -> None:
    async with client.post(
        OIP + "/versions/1/infer", json={"id": "42", "inputs": tensors()}
    ) as response:
        answer = await response.json()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("iris", "1", "42")
    prediction, probability = answer["outputs"]
    assert (prediction["name"], prediction["datatype"], prediction["shape"]) == (
        "prediction",
        "BYTES",
        [2],
    )
    assert (probability["datatype"], probability["shape"]) == ("FP32", [2, 3])
    assert len(probability["data"]) == 6


@pytest.mark.asyncio
async def test_oip_answers_only_the_outputs_that_are_asked_for(client: Client) -> None:
    body = {"inputs": tensors(data=[[5.1], [6.3]]), "outputs": [{"name": "prediction"}]}
    async with client.post(OIP + "/infer", json=body) as response:
        assert [output["name"] for output in (await response.json())["outputs"]] == ["prediction"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"garbage", 400, "the body is not"),
        (b"", 400, "the body is not"),
        (b"[1]", 400, "the body is not"),
        (b'{"inputs": []}', 400, "inputs is empty"),
        (b'{"inputs": [{"name": "x"}]}', 400, "the body is not"),
        (b'{"inputs": [NaN]}', 400, "the body is not"),
        (tensors()[:3], 400, "takes the inputs Sepal.Length, Sepal.Width, Petal.Length, Petal.W"),
        (tensors(datatype="FP64"), 400, "input 'Sepal.Length' takes FP32, not FP64"),
        (tensors(shape=[3, 1]), 400, "'Sepal.Length' does not fit the 3 rows"),
        (tensors(shape=[0, 1], data=[]), 400, "number of rows, 1 or more"),
        (tensors(shape=[2, 2], data=[1, 2, 3, 4]), 400, "which cannot carry the list"),
        (tensors(data=["a", "b"]), 400, "which cannot carry the str 'a'"),
        (tensors(data=[1.0, None]), 400, "there is no value"),
        (tensors(data=[1.0, 1e300]), 400, "which cannot carry the float"),
        (tensors(data=[1.0] * 20_000), 413, "Maximum request body size 100000 exceeded"),
    ],
)
async def test_oip_refuses_in_its_own_words(
    client: Client, body: object, status: int, told: str
) -> None:
    data = body if isinstance(body, bytes) else orjson.dumps({"inputs": body})
    async with client.post(OIP + "/infer", data=data) as response:
        assert response.status == status
        answer = await response.json()
    assert list(answer) == ["error"]
    assert told in answer["error"]


WRONG: list[tuple[object, bool, int, str]] = [
    (b"garbage", True, 400, "the body is not"),
    (b'{"input_data": []}', True, 400, "input_data is empty"),
    (b'{"input_data": [5]}', True, 400, "the body is not"),
    ([[1, 2, 3, 4]], False, 400, "the query parameter version=YYYY-MM-DD is missing"),
    ([], True, 400, "values is a list that is not empty"),
    ([[]], True, 400, "each row of values is a list that is not empty"),
    ([5], True, 400, "each row of values is a list"),
    ([[1, 2, 3]], True, 400, "holds 4 values"),
    ([[1, 2, 3, 4], [1, 2, 3]], True, 400, "holds 4 values"),
    ([[1, 2, 3, "x"]], True, 400, "'Petal.Width' of the model takes FP32"),
    ([[1, 2, 3, None]], True, 400, "there is no value"),
    ([[1, 2, 3, 4]] * 20_000, True, 413, "Maximum request body size 100000 exceeded"),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("body", "query", "status", "told"), WRONG)
async def test_wml_refuses_in_its_own_words(
    client: Client, body: object, query: bool, status: int, told: str
) -> None:
    data = body
    if not isinstance(body, bytes):
        data = orjson.dumps({"input_data": [{"fields": INPUTS, "values": body}]})
    params = {"version": "2020-09-01"} if query else {}
    async with client.post(WML, data=data, params=params) as response:
        assert response.status == status
        answer = await response.json()
    assert answer["status_code"] == status
    (error,) = answer["errors"]
    assert told in error["message"]


@pytest.mark.asyncio
async def test_wml_takes_rows_without_fields_and_several_parts(client: Client) -> None:
    part = {"values": [[5.1, 3.5, 1.4, 0.2]]}
    body = {"input_data": [part, {**part, "fields": INPUTS}]}
    async with client.post(WML, json=body, params={"version": "2020-09-01"}) as response:
        first, second = (await response.json())["predictions"]
    assert first == second
    assert first["fields"] == ["prediction", "probability"]
    assert first["values"][0][0] == "setosa"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/nope", 404),
        ("POST", "/v2/models/nope/infer", 404),
        ("GET", "/v2/models/iris/versions/2", 404),
        ("GET", "/nothing", 404),
        ("GET", "/v2/models/iris/infer", 405),
        ("POST", "/ml/v4/deployments/nope/predictions?version=2020-09-01", 404),
        ("GET", WML, 405),
    ],
)
async def test_what_is_not_there_is_told_in_the_words_of_the_protocol(
    client: Client, method: str, path: str, status: int
) -> None:
    async with client.request(method, path) as response:
        assert response.status == status
        answer = await response.json()
    if path.startswith("/ml"):
        assert answer["status_code"] == status
        assert answer["errors"][0]["message"]
    else:
        assert answer["error"]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module of the working directory, by name."""
    name = "served_by_the_test"
    (tmp_path / f"{name}.py").write_text(
        "def double(rows):\n    return [{'twice': 2 * row['a'], 'kind': 'x'} for row in rows]\n"
        "def bad(rows):\n    raise ValueError('broken model')\n"
        "number = 5\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield name
    sys.modules.pop(name, None)


@pytest.mark.asyncio
async def test_a_python_callable_is_served(module: str) -> None:
    async with serving(f"{module}:double", name="twice") as server, ClientSession() as session:
        body: dict[str, Any] = {"input_data": [{"fields": ["a"], "values": [[1], [2.5]]}]}
        async with session.post(server.wml.removeprefix("wml+"), json=body) as response:
            assert await response.json() == {
                "predictions": [{"fields": ["twice", "kind"], "values": [[2, "x"], [5.0, "x"]]}]
            }
        tensor = {"name": "a", "shape": [2], "datatype": "FP64", "data": [1, 2.5]}
        url = server.oip.removeprefix("oip+")
        async with session.post(url + "/infer", json={"inputs": [tensor]}) as response:
            assert await response.json() == {
                "model_name": "twice",
                "outputs": [
                    {"name": "twice", "datatype": "FP64", "shape": [2], "data": [2, 5.0]},
                    {"name": "kind", "datatype": "BYTES", "shape": [2], "data": ["x", "x"]},
                ],
            }
        assert not server.named_inputs


@pytest.mark.asyncio
async def test_a_callable_that_raises_is_a_broken_server_and_not_bad_data(module: str) -> None:
    async with serving(f"{module}:bad") as server, ClientSession() as session:
        body = {"input_data": [{"fields": ["a"], "values": [[1]]}]}
        async with session.post(server.wml.removeprefix("wml+"), json=body) as response:
            assert response.status == 500
            assert "ValueError: broken model" in await response.text()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("model", "name", "told"),
    [
        ("nowhere.onnx", None, r"no model file /.*nowhere\.onnx"),
        (
            "served_by_the_test.py",
            None,
            "is no model: give the path of an .onnx, .skops or",
        ),
        ("served_by_the_test:nope", None, "cannot be loaded"),
        ("no_such_module:nope", None, "cannot be loaded: No module named 'no_such_module'"),
        ("served_by_the_test:number", None, "is a int, which cannot be called"),
        (str(MODEL), "a/b", "does not fit into a URL"),
    ],
)
@pytest.mark.usefixtures("module")
async def test_a_model_that_cannot_be_served_is_named(
    model: str, name: str | None, told: str
) -> None:
    with pytest.raises(MisconfiguredError, match=told):
        async with serving(model, name=name):
            pass


@pytest.mark.asyncio
async def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServeError, match=f"cannot listen on 127.0.0.1:{port}: .*port 0"):
            async with serving(str(MODEL), port=port):
                pass


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("number", "host", "said"),
    [
        (signal.SIGTERM, "127.0.0.1", b""),
        (signal.SIGINT, "0.0.0.0", b"can be reached from other machines"),
    ],
)
async def test_serve_prints_the_endpoints_and_ends_cleanly_on_a_signal(
    number: signal.Signals, host: str, said: bytes
) -> None:
    code = (
        "import asyncio, sys; from thalweg.deploy.serve import serve; "
        "asyncio.run(serve(sys.argv[1], host=sys.argv[2], port=0))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        str(MODEL),
        host,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    endpoints = [part.split("'")[0] for part in line.split("endpoint=")[1:]]
    assert [endpoint.split(":")[0] for endpoint in endpoints] == ["wml+http", "oip+http"]
    records = flowers()[:3]
    answers = [await scored(endpoint, records) for endpoint in endpoints]
    assert answers[0] == answers[1]
    process.send_signal(number)
    rest, errors = await process.communicate()
    assert (process.returncode, rest) == (0, b"")
    assert bool(errors) == bool(said)
    assert said in errors
