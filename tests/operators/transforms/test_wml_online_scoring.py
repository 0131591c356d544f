"""`wml_online_scoring`: what it builds, what it sends, and what it refuses."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy
import pytest
import pytest_asyncio
from aiohttp import web

from thalweg import Graph, Source, Stream
from thalweg.operators import sinks, sources, wml_online_scoring
from thalweg.operators.endpoints.array_field import ArrayField
from thalweg.runtime.errors import DataError

Record = dict[str, Any]

MAPPING = [
    {"model_field": "A", "tuple_field": "a", "is_mandatory": True},
    {"model_field": "B", "tuple_field": "b", "is_mandatory": False},
]
ARRAY = [{"model_field": "__array__", "tuple_field": "row"}]
CLOUD = {"url": "https://us-south.ml.cloud.ibm.com"}


@dataclass
class Deployment:
    """A server of deployments that answers the sum of each row, and refuses a bundle with a 13."""

    url: str = ""
    asked: list[Any] = field(default_factory=list[Any])
    paths: list[str] = field(default_factory=list[str])
    tokens: list[str | None] = field(default_factory=list["str | None"])

    async def answer(self, request: web.Request) -> web.Response:
        (part,) = (await request.json())["input_data"]
        self.asked.append(part)
        self.paths.append(request.path_qs)
        self.tokens.append(request.headers.get("Authorization"))
        if any(13 in row for row in part["values"]):
            errors = [{"code": "invalid_input", "message": "13 is refused"}]
            return web.json_response({"trace": "t", "errors": errors}, status=400)
        values = [[sum(value or 0 for value in row)] for row in part["values"]]
        return web.json_response({"predictions": [{"fields": ["sum"], "values": values}]})


@pytest_asyncio.fixture
async def deployment() -> AsyncIterator[Deployment]:
    deployment = Deployment()
    app = web.Application()
    app.router.add_post("/{path:.*}", deployment.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    deployment.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield deployment
    await runner.cleanup()


def declared(records: list[Record] | Source[Record] | None = None, **given: Any) -> Graph:
    """A graph with the operator in it, with these parameters and the others at their usual."""
    graph = Graph("scoring")
    source = records if isinstance(records, Source) else sources.records(records or [])
    usual: Record = {
        "deployment_guid": "d1",
        "field_mapping": MAPPING,
        "credentials": CLOUD,
        "space_guid": None,
    }
    add = cast("Callable[..., Stream[Record] | tuple[Stream[Record], ...]]", wml_online_scoring)
    made = add(graph.read("records", source), **{**usual, **given})
    both = made if isinstance(made, tuple) else (made,)
    for name, stream in zip(("scored", "failed"), both, strict=False):
        stream.to(name, sinks.collect(OUT.setdefault(name, [])))
    return graph


OUT: dict[str, list[Record]] = {}


@pytest.fixture(autouse=True)
def out() -> dict[str, list[Record]]:
    OUT.clear()
    return OUT


async def run(graph: Graph) -> None:
    async with graph.start() as job:
        await job.wait()


@pytest.mark.asyncio
async def test_what_is_scored_and_what_fails_come_out_apart_with_the_names_of_the_original(
    deployment: Deployment,
) -> None:
    records: list[Record] = [{"n": n, "a": n, "b": 1} for n in range(40)]
    records[5] = {"n": 5, "b": 1}
    records[7] = {"n": 7, "a": 7}
    await run(declared(records, credentials={"url": deployment.url}, bundle_size=10))
    good = [n for n in range(40) if n not in (5, 13)]
    assert [one["n"] for one in OUT["scored"]] == good
    assert [one["Prediction"] for one in OUT["scored"]] == [{"sum": n + (n != 7)} for n in good]
    assert OUT["scored"][0] == {"n": 0, "a": 0, "b": 1, "Prediction": {"sum": 1}}
    missing, refused = sorted(OUT["failed"], key=lambda one: int(one["n"]))
    assert missing == {
        "n": 5,
        "b": 1,
        "PredictionError": "DataError: field 'a' (model field 'A') is missing",
    }
    assert refused.pop("PredictionError").endswith("answered 400: 13 is refused")
    assert refused == {"n": 13, "a": 13, "b": 1}
    # What is not mandatory travels as null.
    assert [7, None] in deployment.asked[0]["values"]
    assert deployment.asked[0]["fields"] == ["A", "B"]
    assert set(deployment.paths) == {"/ml/v4/deployments/d1/predictions?version=2020-09-01"}


@pytest.mark.asyncio
async def test_both_come_out_as_one_stream_where_that_is_asked(deployment: Deployment) -> None:
    records = [{"n": n, "a": n, "b": 0} for n in range(30)]
    await run(declared(records, credentials={"url": deployment.url}, single_output=True))
    assert sorted(one["n"] for one in OUT["scored"]) == list(range(30))
    assert [one["n"] for one in OUT["scored"] if "PredictionError" in one] == [13]
    scored = [one["n"] for one in OUT["scored"] if "Prediction" in one]
    assert scored == [n for n in range(30) if n != 13]


@pytest.mark.asyncio
async def test_a_whole_row_travels_without_the_names_of_fields(deployment: Deployment) -> None:
    records: list[Record] = [
        {"row": [1, 2.5]},
        {"row": numpy.array([3.0, 4.0])},
        {"row": [float("nan")]},
        {"row": "text"},
        {},
    ]
    await run(declared(records, credentials={"url": deployment.url}, field_mapping=ARRAY))
    assert deployment.asked == [{"values": [[1, 2.5], [3.0, 4.0]]}]
    assert [one["Prediction"]["sum"] for one in OUT["scored"]] == [3.5, 7.0]
    nan, text, missing = [one["PredictionError"] for one in OUT["failed"]]
    assert "a value is nan" in nan
    assert "a list or an array that is not empty is asked for" in text
    assert "field 'row' (the whole row) is missing" in missing


@pytest.mark.asyncio
async def test_the_token_is_taken_from_its_place(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WML_TOKEN", "s3cret")
    credentials = {"url": deployment.url + "/", "token": "env:WML_TOKEN"}
    await run(declared([{"a": 1}], credentials=credentials))
    assert deployment.tokens == ["Bearer s3cret"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("version", "path"),
    [
        ("2.5.0", "/v4/deployments/d1/predictions"),
        ("3.0.1", "/v4/deployments/d1/predictions"),
        ("3.5", "/ml/v4/deployments/d1/predictions?version=2020-09-01"),
        ("4.0", "/ml/v4/deployments/d1/predictions?version=2020-09-01"),
    ],
)
async def test_a_cluster_of_an_older_version_is_asked_at_its_own_path(
    deployment: Deployment, version: str, path: str
) -> None:
    credentials = {"url": deployment.url, "instance_id": "wml_local", "version": version}
    await run(declared([{"a": 1}], credentials=credentials))
    assert deployment.paths == [path]


def nodes(graph: Graph) -> Mapping[str, Any]:
    return {node.name: node for node in graph.nodes}


@pytest.mark.parametrize(
    ("given", "size", "in_flight"),
    [
        ({}, 100, 2),
        ({"bundle_size": 7}, 7, 2),
        ({"threads_per_node": 3, "node_count": 4}, 100, 12),
        ({"expected_load": 1000}, 500, 2),
        ({"expected_load": 1000, "bundle_size": 7, "node_count": 2}, 250, 4),
        ({"expected_load": 3, "threads_per_node": 4}, 1, 4),
    ],
)
def test_bundles_and_requests_are_those_of_the_parameters(
    given: dict[str, Any], size: int, in_flight: int
) -> None:
    found = nodes(declared(**given))
    assert found["online_scoring_batch"].work.max_batch_size == size
    assert found["online_scoring"].options.max_in_flight == in_flight


def test_the_nodes_have_the_name_that_is_given() -> None:
    assert {"iris", "iris_batch", "iris_failed"} <= set(nodes(declared(name="iris")))


def test_the_parameters_are_those_of_the_original_in_their_order() -> None:
    found = inspect.signature(wml_online_scoring).parameters
    defaults = {name: one.default for name, one in found.items() if one.default is not one.empty}
    assert list(found)[:5] == [
        "stream", "deployment_guid", "field_mapping", "credentials", "space_guid",
    ]  # fmt: skip
    assert list(defaults.items()) == [
        ("expected_load", 0),
        ("queue_size", 2000),
        ("threads_per_node", 2),
        ("single_output", False),
        ("node_count", 1),
        ("connectionConfiguration", None),
        ("name", None),
        ("bundle_size", 100),
    ]


def test_what_has_no_counterpart_is_told() -> None:
    with pytest.warns(UserWarning, match="queue_size=500 .*channel_records=500") as told:
        declared(queue_size=500)
    assert told[0].filename == __file__
    with pytest.warns(UserWarning, match="space_guid is not sent"):
        declared(space_guid="s1")
    declared(queue_size=8192)  # That is the bound.


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"connectionConfiguration": "wml"}, "connectionConfiguration .*'token': 'env:NAME'"),
        ({"bundle_size": 0}, "bundle_size is a whole number, 1 or more, not 0"),
        ({"expected_load": -1}, "expected_load is a whole number, 0 or more"),
        ({"threads_per_node": 1.5}, "threads_per_node"),
        ({"deployment_guid": " "}, "deployment_guid is the id"),
        ({"credentials": {}}, "credentials lacks 'url'"),
        ({"credentials": {**CLOUD, "wml": "x"}}, "credentials has 'wml'"),
        ({"credentials": {**CLOUD, "token": "env:T", "apikey": "env:K"}}, "leave one out"),
        (
            {"credentials": {**CLOUD, "apikey": "env:K", "instance_id": "openshift"}},
            "give 'token' instead",
        ),
        ({"field_mapping": "no"}, "field_mapping is no JSON"),
        ({"field_mapping": "[]"}, "field_mapping is a list"),
        ({"field_mapping": [{"model_field": "A"}]}, "field_mapping holds"),
        ({"field_mapping": [{**MAPPING[0], "is_mandatory": "yes"}]}, "field_mapping holds"),
        ({"field_mapping": [{**MAPPING[0], "mandatory": True}]}, "field_mapping holds"),
        ({"field_mapping": [MAPPING[0], {**MAPPING[1], "tuple_field": "a"}]}, "'a' twice"),
        ({"field_mapping": [MAPPING[0], {**MAPPING[1], "model_field": "A"}]}, "'A'"),
        ({"field_mapping": [*ARRAY, MAPPING[0]]}, "__array__ is the whole row"),
    ],
)
def test_a_wrong_parameter_is_refused(given: Record, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        declared(**given)


@pytest.mark.parametrize("key", ["token", "apikey"])
def test_a_secret_in_the_graph_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match="write 'env:NAME'") as caught:
        declared(credentials={**CLOUD, key: "s3cret"})
    assert "s3cret" not in str(caught.value)


def test_a_key_of_the_cloud_fetches_tokens() -> None:
    graph = declared(credentials={**CLOUD, "apikey": "file:/run/secrets/key"})
    endpoint = nodes(graph)["online_scoring"].work.endpoint
    assert repr(endpoint._options["auth"]) == "iam('file:/run/secrets/key')"


def test_an_array_may_hold_arrays_and_a_field_that_is_none_is_told() -> None:
    rows, rejected = ArrayField("x").rows([{"x": [[1, True], ["a", 2.5]]}, {"x": None}])
    assert rows == [([1, True], ["a", 2.5])]
    assert isinstance(rejected[1], DataError)
    assert str(rejected[1]) == "field 'x' (the whole row) is None"
    with pytest.raises(ValueError, match="not empty"):
        ArrayField("")
