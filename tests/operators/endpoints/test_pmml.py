from __future__ import annotations

import asyncio
import csv
import gc
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from thalweg.operators.endpoints import Answer, Endpoint, pmml
from thalweg.operators.endpoints.java_machine import JavaMachine
from thalweg.operators.endpoints.pmml_model import PmmlModel
from thalweg.operators.endpoints.tensors import Tensor
from thalweg.runtime.context import Context
from thalweg.runtime.errors import (
    DataError,
    MisconfiguredError,
    MissingExtra,
    UnavailableError,
)

from .ending import gone_within, is_gone

pytestmark = pytest.mark.usefixtures("java")

ROOT = Path(__file__).resolve().parents[3]
CHAID = ROOT / "graphs" / "models" / "iris_chaid.pmml"
KINDS = Path(__file__).resolve().parent / "kinds.pmml"
FIELDS = ("Sepal.Length", "Sepal.Width", "Petal.Length", "Petal.Width")


def flowers() -> tuple[list[tuple[object, ...]], list[str]]:
    with (ROOT / "graphs" / "data" / "iris.csv").open(newline="") as file:
        _, *rows = csv.reader(file)
    return [tuple(map(float, row[:4])) for row in rows], [row[4] for row in rows]


@asynccontextmanager
async def opened(context: Context, path: Path = CHAID) -> AsyncGenerator[Endpoint]:
    endpoint = pmml(path)
    await endpoint.open(context)
    try:
        yield endpoint
    finally:
        await endpoint.close()


def machine() -> int | None:
    """The process of the Java machine that runs, if one does."""
    from thalweg.operators.endpoints import java_machine

    current = java_machine._current  # pyright: ignore[reportPrivateUsage]
    return None if current is None else current.process_id


@pytest.mark.asyncio
async def test_the_chaid_tree_knows_most_flowers(context: Context) -> None:
    rows, species = flowers()
    async with opened(context) as endpoint:
        answer = await endpoint.predict(FIELDS, rows)
    assert answer.fields == (
        "prediction",
        "probability",
        "$R-Species",
        "$RC-Species",
        "$RP-setosa",
        "$RP-versicolor",
        "$RP-virginica",
        "$RI-Species",
    )
    assert answer.model_version == "1"
    right = sum(row[0] == name for row, name in zip(answer.rows, species, strict=True))
    assert 0.9 < right / len(species) < 1
    nodes = {row[-1] for row in answer.rows}
    assert len({node for node in nodes if str(node).count(".") == 1}) > 2
    for name, probability, *own, _ in answer.rows:
        classes: dict[str, object] = dict(
            zip(("setosa", "versicolor", "virginica"), own[2:], strict=True)
        )
        assert own[:2] == [name, probability]
        assert classes[str(name)] == probability == max(map(float, map(str, own[2:])))


@pytest.mark.asyncio
async def test_it_tells_the_fields_that_it_takes(context: Context) -> None:
    async with opened(context) as endpoint:
        fields = await endpoint.fields()
    assert fields is not None
    assert set(fields) == set(FIELDS)


@pytest.mark.asyncio
async def test_the_order_of_the_fields_is_the_caller_s(context: Context) -> None:
    rows, _ = flowers()
    async with opened(context) as endpoint:
        straight = await endpoint.predict(FIELDS, rows)
    async with opened(context) as endpoint:
        turned = await endpoint.predict(FIELDS[::-1], [row[::-1] for row in rows])
    assert turned == straight


@pytest.mark.asyncio
async def test_a_missing_value_follows_the_model_s_own_rule(context: Context) -> None:
    async with opened(context) as endpoint:
        # The tree splits by the length of the petal first, and its default is the largest branch.
        answer = await endpoint.predict(FIELDS, [(5.0, 3.0, None, 1.0), (None, None, 6.0, None)])
    assert [row[0] for row in answer.rows] == ["setosa", "virginica"]


@pytest.mark.asyncio
async def test_calls_side_by_side_answer_their_own_rows(context: Context) -> None:
    rows, _ = flowers()
    parts = [rows[start : start + 10] for start in range(0, 150, 10)]
    async with opened(context) as endpoint:
        alone = [(await endpoint.predict(FIELDS, part)).rows for part in parts]
        together = await asyncio.gather(*(endpoint.predict(FIELDS, part) for part in parts))
    assert [answer.rows for answer in together] == alone


@pytest.mark.asyncio
async def test_an_output_section_without_a_prediction_still_has_one(context: Context) -> None:
    async with opened(context, KINDS) as endpoint:
        row = (3, "a", True, "x\n\u00e9\U0001f33c")
        answer = await endpoint.predict(("count", "letter", "flag", "text"), [row])
    assert (
        dict(zip(answer.fields, answer.rows[0], strict=True)).items()
        >= {
            "prediction": 1,
            "probability": 0.75,
            "$RC-y": 0.75,
        }.items()
    )
    assert answer.model_version is None


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("row", "told"),
    [
        ((1.5, "a", True, "t"), "input 'count' of the model takes INT64, which cannot carry"),
        (("3", "a", True, "t"), "input 'count' of the model takes INT64, which cannot carry"),
        ((3, 1, True, "t"), "input 'letter' of the model takes BYTES, which cannot carry"),
        ((3, "a", 1, "t"), "input 'flag' of the model takes BOOL, which cannot carry"),
        ((3, "z", True, "t"), "field 'letter' holds 'z', for which .* it knows a, b"),
        ((11, "a", True, "t"), r"field 'count' holds '11', for which .* it knows \[0.*10"),
    ],
)
async def test_a_value_that_the_model_does_not_take_is_a_data_error(
    context: Context, row: tuple[object, ...], told: str
) -> None:
    async with opened(context, KINDS) as endpoint:
        good = (3, "a", True, "t")
        with pytest.raises(DataError, match=told):
            await endpoint.predict(("count", "letter", "flag", "text"), [good, row])


@pytest.mark.asyncio
async def test_no_prediction_for_values_that_are_valid_is_an_answer(context: Context) -> None:
    async with opened(context, KINDS) as endpoint:
        fields = ("count", "letter", "flag", "text")
        answer = await endpoint.predict(fields, [(3, "b", True, "t"), (3, "a", True, "t")])
    assert [row[0] for row in answer.rows] == [None, 1]


@pytest.mark.asyncio
async def test_fields_that_differ_are_told_with_the_nearest(context: Context) -> None:
    async with opened(context) as endpoint:
        with pytest.raises(
            MisconfiguredError, match=r"no field 'Petal.Size' \(did you mean 'Petal.Width'\?\)"
        ):
            await endpoint.predict((*FIELDS[:3], "Petal.Size"), [(1, 2, 3, 4)])
        with pytest.raises(MisconfiguredError, match=r"also needs 'Petal\.Width': map a field"):
            await endpoint.predict(FIELDS[:3], [(1, 2, 3)])


def test_the_model_tells_what_it_takes_and_answers() -> None:
    model = PmmlModel(CHAID)
    try:
        assert model.inputs == tuple(Tensor(name, "FP64", (-1, 1)) for name in FIELDS)
        assert model.outputs[:2] == (
            Tensor("prediction", "BYTES", (-1, 1)),
            Tensor("probability", "FP64", (-1, 1)),
        )
        assert model.version == "1"
    finally:
        model.close()
        model.close()  # twice is once


@pytest.mark.asyncio
async def test_the_machine_ends_with_the_last_model(context: Context) -> None:
    async with opened(context) as endpoint:
        first = machine()
        assert first is not None
        async with opened(context, KINDS):
            assert machine() == first
        assert machine() == first
        assert os.getpgid(first) != os.getpgid(0)  # a ^C at the terminal does not reach it
        assert (await endpoint.predict(FIELDS, [(5, 3, 1, 1)])).rows[0][0] == "setosa"
    assert machine() is None
    assert is_gone(first)


@pytest.mark.asyncio
async def test_after_the_end_nothing_speaks_to_the_port_any_more(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[object] = []

    def start(connection: object) -> None:
        begun.append(connection)

    async with opened(context) as endpoint:
        await endpoint.predict(FIELDS, flowers()[0][:1])
        monkeypatch.setattr("py4j.java_gateway.GatewayConnection.start", start)
    gc.collect()  # What stood for objects of Java goes now, at the latest.
    assert not begun


@pytest.mark.asyncio
async def test_a_machine_that_dies_is_unavailable_and_replaced(context: Context) -> None:
    async with opened(context) as endpoint, opened(context) as other:
        before = await endpoint.predict(FIELDS, [(5, 3, 1, 1)])
        first = machine()
        assert first is not None
        os.kill(first, signal.SIGKILL)

        told: list[UnavailableError] = []

        async def again(asked: Endpoint) -> Answer:
            while True:
                try:
                    return await asked.predict(FIELDS, [(5, 3, 1, 1)])
                except UnavailableError as error:
                    told.append(error)

        assert await again(endpoint) == await again(other) == before
        assert all(error.answered and "has gone" in str(error) for error in told)
        second = machine()
        assert second is not None
        assert second != first
    assert is_gone(second)


@pytest.mark.parametrize("how", ["killed", "ended without closing"])
def test_no_java_process_outlives_python(how: str) -> None:
    code = (
        "import sys; from thalweg.operators.endpoints.pmml_model import PmmlModel as M; "
        "m = M(sys.argv[1]); print(m._machine.process_id, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(CHAID)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        java = int(process.stdout.readline())
        assert not is_gone(java)
        if how == "killed":
            process.kill()
        process.stdin.close()
        process.wait(30)
    assert gone_within(java, 30.0)


@pytest.mark.asyncio
async def test_nobody_without_the_token_is_answered(context: Context) -> None:
    from py4j import java_gateway
    from py4j.protocol import Py4JError

    held = JavaMachine.held()
    try:
        port = held._gateway.gateway_parameters.port  # pyright: ignore[reportPrivateUsage]
        bridge = cast(Any, java_gateway)
        stranger = bridge.JavaGateway(gateway_parameters=bridge.GatewayParameters(port=port))
        with pytest.raises(Py4JError):
            stranger.jvm.java.lang.System.currentTimeMillis()
        stranger.close()
    finally:
        held.release()


@pytest.mark.asyncio
async def test_a_file_that_is_no_model_leaves_no_machine(context: Context, tmp_path: Path) -> None:
    (tmp_path / "broken.pmml").write_bytes(CHAID.read_bytes()[:500])
    with pytest.raises(MisconfiguredError, match=r"/broken\.pmml is no PMML model"):
        await pmml(tmp_path / "broken.pmml").open(context)
    with pytest.raises(MisconfiguredError, match=r"no model file /.*nowhere\.pmml"):
        await pmml(tmp_path / "nowhere.pmml").open(context)
    assert machine() is None


@pytest.mark.asyncio
async def test_no_java_tells_what_to_install(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    with pytest.raises(MisconfiguredError, match=r"/nowhere/bin/java cannot be run: No such file"):
        await pmml(CHAID).open(context)


@pytest.mark.asyncio
async def test_java_that_does_not_start_says_why(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_OPTS", "-Xnonsense")
    with pytest.raises(MisconfiguredError, match=r"java did not start: .*-Xnonsense"):
        await pmml(CHAID).open(context)


@pytest.mark.asyncio
async def test_a_missing_package_names_the_extra(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "py4j", None)
    with pytest.raises(MissingExtra, match=r"thalweg\[pmml\]"):
        await pmml(CHAID).open(context)


def test_an_empty_path_is_told_when_the_graph_is_built() -> None:
    with pytest.raises(ValueError, match="it is empty"):
        pmml("")
