"""Several models at once, of each kind, over each protocol."""

from __future__ import annotations

import asyncio
import gc
import shutil
import signal
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from thalweg.deploy.cli import main
from thalweg.deploy.serve import Faults, ModelStore, Serving, serving
from thalweg.deploy.serve.served_file import ServedFile
from thalweg.deploy.serve.served_model import ServedModel
from thalweg.operators.endpoints import Answer
from thalweg.operators.endpoints.tensors import Tensor
from thalweg.runtime.errors import MisconfiguredError

ROOT = Path(__file__).resolve().parents[2]
IRIS = ROOT / "graphs" / "models" / "iris.onnx"
STACKED = ROOT / "tests" / "operators" / "endpoints" / "stacked.onnx"
NAMES = ["Sepal.Length", "Sepal.Width", "Petal.Length", "Petal.Width"]
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]
SPECIES = ["setosa", "virginica"]


@asynccontextmanager
async def client_of(*models: str) -> AsyncGenerator[ClientSession]:
    async with serving(*models) as server, ClientSession(server.url) as session:
        yield session


async def posted(session: ClientSession, path: str, body: object) -> tuple[int, Any]:
    async with session.post(path, json=body) as response:
        return response.status, await response.json()


@pytest.mark.asyncio
async def test_each_of_several_models_answers_under_its_name() -> None:
    async with client_of(f"first={IRIS}", str(STACKED), f"second={IRIS}") as session:
        for name in ("first", "second"):
            body = {"input_data": [{"fields": NAMES, "values": ROWS}]}
            status, answer = await posted(session, f"/v4/deployments/{name}/predictions", body)
            assert status == 200
            assert [row[0] for row in answer["predictions"][0]["values"]] == SPECIES
        body = {"input_data": [{"values": [[1, 2, 3]]}]}
        _, answer = await posted(session, "/v4/deployments/stacked/predictions", body)
        assert answer["predictions"][0]["values"] == [[6.0, [1.0, 2.0, 3.0]]]
        status, answer = await posted(session, "/v4/deployments/third/predictions", body)
        assert status == 404
        told = "model third is not served here, first, stacked, second are"
        assert answer["errors"][0]["message"] == told


@pytest.mark.asyncio
async def test_the_server_tells_the_endpoints_of_each() -> None:
    async with serving(f"first={IRIS}", str(STACKED)) as server:
        assert server.name == "first"
        assert server.at("stacked") == Serving("stacked", server.url)
        assert server.at("stacked").oip == f"oip+{server.url}/v2/models/stacked"
        assert server.at("stored.since").wml.startswith(f"wml+{server.url}/ml/v4/deployments/stor")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("models", "name", "told"),
    [
        ([], None, "nothing to serve: name a model, or a store"),
        ([f"a={IRIS}", f"a={STACKED}"], None, "two models are called 'a'"),
        ([str(IRIS), str(STACKED)], "a", "'a' is for a single model, and there are 2"),
        ([f"a={IRIS}"], "b", "names the model, and so does 'b'"),
        ([str(IRIS)], "", "the model's name '' does not fit into a URL"),
        (["a=nowhere.onnx"], None, "there is no model file"),
        ([f"../x={IRIS}"], None, "there is no model file|is no model"),
    ],
)
async def test_models_that_cannot_be_served_together_are_refused(
    models: list[str], name: str | None, told: str
) -> None:
    with pytest.raises(MisconfiguredError, match=told):
        async with serving(*models, name=name):
            pass


@pytest.mark.asyncio
async def test_a_file_whose_path_looks_like_a_name_is_still_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(IRIS, tmp_path / "a=b.onnx")
    async with serving("a=b.onnx", name="iris") as server:
        assert server.name == "iris"


@pytest.mark.asyncio
async def test_the_older_path_of_wml_asks_for_no_version_and_the_newer_one_does() -> None:
    body = {"input_data": [{"fields": NAMES, "values": ROWS}]}
    async with client_of(str(IRIS)) as session:
        assert (await posted(session, "/v4/deployments/iris/predictions", body))[0] == 200
        status, answer = await posted(session, "/ml/v4/deployments/iris/predictions", body)
        assert status == 400
        assert "version=YYYY-MM-DD" in answer["errors"][0]["message"]


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/v1/models/iris:predict", "/v1/models/iris/versions/1:predict"])
async def test_kserve_takes_rows_as_objects_or_lists_and_columns(path: str) -> None:
    async with client_of(str(IRIS)) as session:
        objects = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
        for instances in (objects, [dict(reversed(objects[0].items())), objects[1]], ROWS):
            status, answer = await posted(session, path, {"instances": instances})
            assert status == 200
            assert [row["prediction"] for row in answer["predictions"]] == SPECIES
            assert [len(row["probability"]) for row in answer["predictions"]] == [3, 3]
        columns = dict(zip(NAMES, zip(*ROWS, strict=True), strict=True))
        _, answer = await posted(session, path, {"inputs": columns})
        assert answer["outputs"]["prediction"] == SPECIES
        nested = {name: [[value] for value in values] for name, values in columns.items()}
        assert (await posted(session, path, {"inputs": nested}))[1] == answer
        async with session.get(path.removesuffix(":predict")) as response:
            assert await response.json() == {"name": "iris", "ready": True}


FORMS: list[tuple[str, object]] = [
    ("dataframe_split", {"columns": NAMES, "data": ROWS, "index": [0, 1]}),
    ("dataframe_records", [dict(zip(NAMES, row, strict=True)) for row in ROWS]),
    ("instances", ROWS),
    ("inputs", dict(zip(NAMES, zip(*ROWS, strict=True), strict=True))),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("form", "given"), FORMS)
async def test_mlflow_takes_each_of_its_forms(form: str, given: object) -> None:
    async with client_of(str(IRIS)) as session:
        status, answer = await posted(session, "/invocations", {form: given})
        assert status == 200
        assert [row["prediction"] for row in answer["predictions"]] == SPECIES


@pytest.mark.asyncio
async def test_mlflows_path_names_no_model_so_there_must_be_one_alone() -> None:
    async with client_of(f"a={IRIS}", f"b={IRIS}") as session:
        status, answer = await posted(session, "/invocations", {"instances": ROWS})
        assert (status, answer["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
        assert "2 models are served here" in answer["message"]


@pytest.mark.asyncio
async def test_a_model_of_one_answer_gives_bare_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bare_for_the_test.py").write_text("def add(rows): return [r['a'] for r in rows]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    async with client_of("bare_for_the_test:add") as session:
        path = "/v1/models/add:predict"
        _, answer = await posted(session, path, {"instances": [{"a": 1}, {"a": 2}]})
        assert answer == {"predictions": [1, 2]}
        _, answer = await posted(session, path, {"inputs": {"a": [1, 2]}})
        assert answer == {"outputs": [1, 2]}
        _, answer = await posted(session, "/invocations", {"dataframe_records": [{"a": 5}]})
        assert answer == {"predictions": [5]}
        status, answer = await posted(session, path, {"instances": [1]})
        assert (status, answer) == (400, {"error": "add takes rows with fields"})


WRONG: list[tuple[object, str]] = [
    ({}, "the body is neither"),
    ([], "the body is neither"),
    ("instances", "the body is neither"),
    ({"instances": ROWS, "inputs": ROWS}, "the body is neither"),
    ({"instances": {"a": [1]}}, "instances is a list that is not empty"),
    ({"instances": []}, "instances is a list that is not empty"),
    ({"instances": [{}]}, "each of instances holds the same fields, one at least"),
    ({"instances": [{"a": 1}, {"b": 1}]}, "each of instances holds the same fields"),
    ({"instances": [[1], [1, 2]]}, "each of instances holds the same number of values"),
    ({"instances": [[]]}, "each of instances holds the same number of values"),
    ({"instances": [[1], 1]}, "not a mixture"),
    ({"instances": [[1, 2, 3]]}, "each row holds 4 values for iris"),
    ({"instances": [1]}, "each row holds 4 values for iris"),
    ({"instances": [[1, 2, 3, "x"]]}, "which cannot carry the str 'x'"),
    ({"inputs": {"a": 1}}, "inputs holds a list of values for each field"),
    ({"inputs": {"a": []}}, "inputs holds a list of values for each field"),
    ({"inputs": {"a": [1], "b": [1, 2]}}, "each of inputs holds the same number of values"),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("body", "told"), WRONG)
async def test_kserve_refuses_in_its_own_words(body: object, told: str) -> None:
    async with client_of(str(IRIS)) as session:
        status, answer = await posted(session, "/v1/models/iris:predict", body)
        assert (status, list(answer)) == (400, ["error"])
        assert told in answer["error"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "an object with one of dataframe_split"),
        ([], "an object with one of dataframe_split"),
        ({"instances": ROWS, "inputs": ROWS}, "an object with one of dataframe_split"),
        ({"dataframe_split": ROWS}, "dataframe_split is {"),
        ({"dataframe_split": {"columns": NAMES[:3], "data": ROWS}}, "as many columns as values"),
        ({"dataframe_split": {"columns": NAMES, "data": []}}, "is a list that is not empty"),
        ({"dataframe_split": {"columns": 4, "data": ROWS}}, "as many columns as values"),
    ],
)
async def test_mlflow_refuses_in_its_own_words(body: object, told: str) -> None:
    async with client_of(str(IRIS)) as session:
        status, answer = await posted(session, "/invocations", body)
        assert (status, answer["error_code"]) == (400, "BAD_REQUEST")
        assert told in answer["message"]


@pytest.mark.asyncio
async def test_each_answer_tells_how_long_it_took_here() -> None:
    async with client_of(str(IRIS)) as session:
        for path, status in (("/v2", 200), ("/v2/models/nope", 404), ("/nothing", 404)):
            async with session.get(path) as response:
                assert response.status == status
                assert duration(response.headers["Server-Timing"]) >= 0
        async with session.post("/v1/models/iris:predict", json={"instances": ROWS}) as response:
            # The model takes some time, and a test's patience is a minute.
            assert 0 < duration(response.headers["Server-Timing"]) < 60_000


def duration(text: str) -> float:
    name, _, milliseconds = text.partition(";dur=")
    assert name == "total"
    return float(milliseconds)


@pytest.mark.asyncio
@pytest.mark.parametrize("named", [False, True])
async def test_a_scikit_learn_model_is_stored_and_served(tmp_path: Path, named: bool) -> None:
    pandas, linear = pytest.importorskip("pandas"), pytest.importorskip("sklearn.linear_model")
    skops = pytest.importorskip("skops.io")
    given: Any = pandas.DataFrame({"a": [0.0, 1.0, 2.0, 3.0]}) if named else [[0], [1], [2], [3]]
    model = linear.LogisticRegression().fit(given, ["low", "low", "high", "high"])
    skops.dump(model, tmp_path / "level.skops")
    store = ModelStore(tmp_path / "models")
    assert store.add(tmp_path / "level.skops", "level").kind == "skops"
    async with serving(store=store.folder) as server, ClientSession(server.url) as session:
        field = "a" if named else "anything"
        body: object = {"input_data": [{"fields": [field], "values": [[-5], [9]]}]}
        _, answer = await posted(session, "/v4/deployments/level/predictions", body)
        assert [row[0] for row in answer["predictions"][0]["values"]] == ["low", "high"]
        _, answer = await posted(session, "/v1/models/level:predict", {"instances": [[-5], [9]]})
        assert [row["prediction"] for row in answer["predictions"]] == ["low", "high"]
        async with session.get("/v2/models/level") as response:
            metadata = await response.json()
        assert (metadata["platform"], metadata["versions"]) == ("sklearn", ["1"])


def test_what_a_model_holds_is_let_go_of_when_nobody_uses_it() -> None:
    closed: list[str] = []

    class Held:
        inputs: tuple[Tensor, ...] = ()
        outputs: tuple[Tensor, ...] = ()
        version: str | None = None

        def arrange(self, fields: tuple[str, ...]) -> None: ...

        def predict(self, layout: None, rows: Sequence[tuple[object, ...]]) -> Answer:
            return Answer(("held",), rows)

        def close(self) -> None:
            closed.append("closed")

    served, used = ServedFile(Held(), "held", "any"), list[ServedModel]()
    used.append(served)
    del served
    assert closed == []
    used.clear()
    gc.collect()
    assert closed == ["closed"]
    served = ServedFile(Held(), "held", "any")
    served.close()
    served.close()
    assert closed == ["closed", "closed"]


TREE = """\
<PMML xmlns="http://www.dmg.org/PMML-4_2" version="4.2">
  <Header><Application name="by hand"/></Header>
  <DataDictionary numberOfFields="2">
    <DataField name="length" optype="continuous" dataType="double"/>
    <DataField name="kind" optype="categorical" dataType="string">
      <Value value="short"/><Value value="middling"/><Value value="long"/>
    </DataField>
  </DataDictionary>
  <TreeModel functionName="classification" splitCharacteristic="multiSplit">
    <MiningSchema>
      <MiningField name="length"/><MiningField name="kind" usageType="target"/>
    </MiningSchema>
    <Node id="1" score="middling"><True/>
      <Node id="2" score="short">
        <SimplePredicate field="length" operator="lessOrEqual" value="1"/>
        <ScoreDistribution value="short" recordCount="9"/>
        <ScoreDistribution value="middling" recordCount="1"/>
        <ScoreDistribution value="long" recordCount="0"/>
      </Node>
      <Node id="3" score="middling">
        <CompoundPredicate booleanOperator="and">
          <SimplePredicate field="length" operator="greaterThan" value="1"/>
          <SimplePredicate field="length" operator="lessOrEqual" value="5"/>
        </CompoundPredicate>
        <ScoreDistribution value="short" recordCount="1"/>
        <ScoreDistribution value="middling" recordCount="8"/>
        <ScoreDistribution value="long" recordCount="1"/>
      </Node>
      <Node id="4" score="long">
        <SimplePredicate field="length" operator="greaterThan" value="5"/>
        <ScoreDistribution value="short" recordCount="0"/>
        <ScoreDistribution value="middling" recordCount="1"/>
        <ScoreDistribution value="long" recordCount="9"/>
      </Node>
    </Node>
  </TreeModel>
</PMML>
"""


@pytest.mark.usefixtures("java")
@pytest.mark.asyncio
async def test_a_pmml_tree_with_branches_of_three_is_stored_and_served(tmp_path: Path) -> None:
    (tmp_path / "tree.pmml").write_text(TREE)
    (tmp_path / "bad.pmml").write_text(TREE.replace("TreeModel", "Tree"))
    store = ModelStore(tmp_path / "models")
    with pytest.raises(MisconfiguredError, match=r"bad\.pmml is no PMML .*nothing was stored"):
        store.add(tmp_path / "bad.pmml", "lengths")
    assert store.add(tmp_path / "tree.pmml", "lengths").kind == "pmml"
    async with serving(store=store.folder) as server, ClientSession(server.url) as session:
        expected = ["short", "middling", "long"]
        values = [[0.5], [3.0], [7.0]]
        body: object = {"input_data": [{"fields": ["length"], "values": values}]}
        status, answer = await posted(session, "/v4/deployments/lengths/predictions", body)
        assert status == 200
        (part,) = answer["predictions"]
        place = next(n for n, name in enumerate(part["fields"]) if "predict" in name.lower())
        assert [row[place] for row in part["values"]] == expected
        _, answer = await posted(session, "/v1/models/lengths:predict", {"instances": values})
        assert [row[part["fields"][place]] for row in answer["predictions"]] == expected
        tensor = {"name": "length", "shape": [3, 1], "datatype": "FP64", "data": values}
        _, answer = await posted(session, "/v2/models/lengths/infer", {"inputs": [tensor]})
        assert answer["model_version"] == "1"
        assert answer["outputs"][place]["data"] == expected


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["serve"], "there is nothing to serve: name a model, or a store of models"),
        (["serve", str(IRIS), str(IRIS)], "two models are called 'iris'"),
        (["serve", str(IRIS), "--fault", "latency=20"], "latency is a time with its unit"),
        (["serve", str(IRIS), "--fault", "seed=1", "--fault", "seed=2"], "seed is said twice"),
        (["serve", "--store", str(IRIS)], "is no folder: name the models before --store"),
    ],
)
def test_a_server_that_cannot_begin_says_why(
    capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert main([*words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("thalweg: ")
    assert told in err


@pytest.mark.asyncio
async def test_thalweg_serve_serves_models_with_a_store_and_faults_from_the_command_line(
    tmp_path: Path,
) -> None:
    ModelStore(tmp_path / "models").add(STACKED, "sums")
    words = ["serve", f"flowers={IRIS}", "--store", str(tmp_path / "models"), "--port", "0"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "thalweg.deploy.cli", *words),
        *("--fault", "latency=5ms,workers=2", "--fault", "busy=0.5"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    lines = [(await process.stdout.readline()).decode() for _ in range(2)]
    assert [line.split()[0] for line in lines] == ["flowers", "sums"]
    url = lines[0].split("wml+")[1].split("/ml/")[0]
    async with ClientSession(url) as session, session.get("/faults") as response:
        assert await response.json() == Faults(latency=0.005, workers=2, busy=0.5).as_dict()
    process.send_signal(signal.SIGTERM)
    _, errors = await process.communicate()
    assert process.returncode == 0
    told = errors.decode().splitlines()
    assert told[0] == "thalweg: sums version 1 is served"
    assert told[1].startswith("thalweg: a rehearsal with Faults(latency=0.005, workers=2, busy=0.5")


@pytest.mark.asyncio
async def test_an_empty_store_is_served_until_there_is_something(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "thalweg.deploy.cli", "serve", "--port", "0", "--store"),
        stdout=asyncio.subprocess.PIPE,
        env={"THALWEG_MODELS": str(tmp_path / "models"), "PYTHONPATH": str(ROOT / "src")},
    )
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert "serves no model yet: store one" in line
    ModelStore(tmp_path / "models").add(STACKED, "sums")
    async with (
        ClientSession(line.split()[0]) as session,
        session.get("/v2/models/sums") as response,
    ):
        assert (await response.json())["versions"] == ["1"]
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0
