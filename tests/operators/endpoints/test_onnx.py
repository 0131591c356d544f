from __future__ import annotations

import asyncio
import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from thalweg.operators.endpoints import Answer, onnx
from thalweg.runtime.context import Context
from thalweg.runtime.errors import DataError, MisconfiguredError, MissingExtra

HERE = Path(__file__).resolve().parent
GRAPHS = HERE.parents[2] / "graphs"
MODEL = GRAPHS / "models" / "iris.onnx"
FIELDS = ("Sepal.Length", "Sepal.Width", "Petal.Length", "Petal.Width")


def flowers() -> tuple[list[tuple[object, ...]], list[str]]:
    with (GRAPHS / "data" / "iris.csv").open(newline="") as file:
        _, *rows = csv.reader(file)
    return [tuple(map(float, row[:4])) for row in rows], [row[4] for row in rows]


async def ask(
    path: Path, context: Context, fields: tuple[str, ...], rows: list[tuple[object, ...]]
) -> Answer:
    endpoint = onnx(path)
    await endpoint.open(context)
    try:
        return await endpoint.predict(fields, rows)
    finally:
        await endpoint.close()


@pytest.mark.asyncio
async def test_the_iris_model_knows_nearly_all_flowers(context: Context) -> None:
    rows, species = flowers()
    answer = await ask(MODEL, context, FIELDS, rows)
    assert answer.fields == ("prediction", "probability")
    assert answer.model_version == "1"
    assert len(answer.rows) == len(species) == 150
    right = sum(row[0] == name for row, name in zip(answer.rows, species, strict=True))
    assert 0.95 * 150 <= right < 150
    classes = ["setosa", "versicolor", "virginica"]
    for name, probability in answer.rows:
        probability = cast("list[float]", probability)
        assert sum(probability) == pytest.approx(1.0, abs=1e-5)
        assert classes[probability.index(max(probability))] == name


@pytest.mark.asyncio
async def test_the_order_of_the_fields_is_the_caller_s(context: Context) -> None:
    rows, _ = flowers()
    straight = await ask(MODEL, context, FIELDS, rows)
    turned = await ask(MODEL, context, FIELDS[::-1], [row[::-1] for row in rows])
    assert turned.rows == straight.rows


@pytest.mark.asyncio
async def test_calls_side_by_side_answer_their_own_rows(context: Context) -> None:
    rows, _ = flowers()
    endpoint = onnx(MODEL)
    await endpoint.open(context)
    parts = [rows[start : start + 10] for start in range(0, 150, 10)]
    alone = [(await endpoint.predict(FIELDS, part)).rows for part in parts]
    together = await asyncio.gather(*(endpoint.predict(FIELDS, part) for part in parts))
    await endpoint.close()
    assert [answer.rows for answer in together] == alone
    assert len({str(part) for part in alone}) == 15


@pytest.mark.asyncio
async def test_a_single_input_takes_all_fields_and_one_value_a_row_is_a_value(
    context: Context,
) -> None:
    answer = await ask(HERE / "stacked.onnx", context, ("a", "b", "c"), [(1, 2, 3), (0.5, 0, 0)])
    assert answer.fields == ("sum", "same")
    assert list(answer.rows) == [(6.0, [1.0, 2.0, 3.0]), (0.5, [0.5, 0.0, 0.0])]
    assert answer.model_version is None


@pytest.mark.asyncio
async def test_text_integers_and_booleans_keep_their_kind(context: Context) -> None:
    rows: list[tuple[object, ...]] = [(2**62 + 1, "é\x00x", True, 255), (-1, "", False, 0)]
    answer = await ask(HERE / "kinds.onnx", context, ("count", "name", "flag", "small"), rows)
    assert list(answer.rows) == rows


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "row", [(1, "x", True, 256), (1.5, "x", True, 1), (1, 2, True, 1), (1, "x", 1, 1)]
)
async def test_a_value_that_the_input_cannot_carry_is_a_data_error(
    context: Context, row: tuple[object, ...]
) -> None:
    with pytest.raises(DataError, match="of the model takes"):
        await ask(HERE / "kinds.onnx", context, ("count", "name", "flag", "small"), [row])


@pytest.mark.asyncio
async def test_an_output_that_is_not_by_row_is_a_misconfiguration(context: Context) -> None:
    with pytest.raises(
        MisconfiguredError, match=r"'total' of the model total\.onnx holds 0 values for 2 rows"
    ):
        await ask(HERE / "total.onnx", context, ("a", "b", "c"), [(1, 2, 3), (4, 5, 6)])


@pytest.mark.asyncio
async def test_fields_that_the_model_does_not_have_are_a_misconfiguration(
    context: Context,
) -> None:
    with pytest.raises(MisconfiguredError, match=r"the model iris\.onnx .*'Sepal.Size'"):
        await ask(MODEL, context, ("Sepal.Size", *FIELDS[1:]), [(1, 2, 3, 4)])


def test_a_model_that_is_not_there_is_no_error_before_the_job_starts() -> None:
    assert repr(onnx("nowhere/model.onnx")) == "onnx('nowhere/model.onnx')"


@pytest.mark.asyncio
async def test_a_missing_file_is_named_when_the_job_starts(
    context: Context, tmp_path: Path
) -> None:
    with pytest.raises(MisconfiguredError, match=r"no model file /.*nowhere\.onnx"):
        await onnx(tmp_path / "nowhere.onnx").open(context)


@pytest.mark.asyncio
async def test_a_file_that_is_no_model_is_named_when_the_job_starts(
    context: Context, tmp_path: Path
) -> None:
    (tmp_path / "broken.onnx").write_bytes(MODEL.read_bytes()[:500])
    with pytest.raises(MisconfiguredError, match=r"/broken\.onnx is no ONNX model"):
        await onnx(tmp_path / "broken.onnx").open(context)


@pytest.mark.asyncio
async def test_a_missing_onnxruntime_names_the_extra(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"thalweg\[onnx\]"):
        await onnx(MODEL).open(context)


def test_wrong_options_are_told_when_the_graph_is_built() -> None:
    with pytest.raises(ValueError, match="threads must be 1 or more, not 0"):
        onnx("m.onnx", threads=0)
    with pytest.raises(ValueError, match="it is empty"):
        onnx(" ")


def test_a_model_tells_nobody_that_it_runs(tmp_path: Path) -> None:
    code = "import sys; from thalweg.operators.endpoints.onnx_model import OnnxModel as M; "
    environment = {name: text for name, text in os.environ.items() if "TELEMETRY" not in name}
    subprocess.run(
        [sys.executable, "-c", code + "M(sys.argv[1])", str(MODEL)],
        env={**environment, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        check=True,
        timeout=50,
    )
    # Where it reports, onnxruntime keeps an identity of the machine and a queue in the home folder.
    assert list(tmp_path.iterdir()) == []
