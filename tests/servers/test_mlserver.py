"""MLServer, over the Open Inference Protocol: 500 is for bad data, and 400 while it loads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from thalweg import Graph, JobFailed
from thalweg.operators import score, sources
from thalweg.testing import CollectingSink

from ..faults.scoring import Scoring
from .flowers import COLUMNS, MEASURES, Joined, Record, joined
from .interruptions import PATIENCE, stand_still, start_again, start_late

if TYPE_CHECKING:
    from tests.servers.conftest import Served

pytestmark = [pytest.mark.service, pytest.mark.timeout(PATIENCE + 150)]

FIELDS: Mapping[str, Mapping[str, str]] = {"iris": MEASURES, "bare": MEASURES, "columns": COLUMNS}
VERSIONS: Mapping[str, str | None] = {"iris": "v7", "bare": None, "columns": None}


def scoring(
    served: Served, model: str, records: list[Record] | None = None, *, timeout: float = 5.0
) -> Scoring:
    """A job that has the model score these records, or all."""
    return Scoring(
        f"oip+{served.server.url}/v2/models/{model}",
        served.flowers.records if records is None else records,
        fields=FIELDS[model],
        timeout=timeout,
        limit=PATIENCE,
    )


@pytest.mark.asyncio
@pytest.mark.parametrize("model", ["iris", "bare", "columns"])
async def test_a_thousand_flowers_are_scored_in_order_with_what_the_model_itself_says(
    mlserver: Served, model: str
) -> None:
    """One tensor of FP32 as the metadata says, one where it says nothing, one for each field."""
    job = scoring(mlserver, model)
    await job.run()
    said = "iris" if model == "bare" else model
    assert job.scored.records == mlserver.flowers.scored(said, "predict", version=VERSIONS[model])
    assert len(job.scored.records) == 1000
    assert not job.failed.records


@pytest.mark.asyncio
async def test_a_join_gets_the_prediction_with_the_version_of_the_model(mlserver: Served) -> None:
    sink: CollectingSink[Joined] = CollectingSink()
    graph = Graph("joined")
    operator = score(
        f"oip+{mlserver.server.url}/v2/models/iris/versions/v7",
        fields=MEASURES,
        join=joined,
    )
    stream = graph.read("records", sources.records(mlserver.flowers.records))
    stream.batch(64).via("score", operator).to("joined", sink)
    async with graph.start() as job:
        await job.wait()
    said = mlserver.flowers.said["iris"]
    assert sink.records == [(n, {"predict": width}, "v7") for n, width in enumerate(said)]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("model", "field", "value", "told"),
    [
        ("bare", "petal_length", 1e300, "answered 500: builtins.ValueError: Input X contains"),
        ("bare", "sepal_width", -1e300, "answered 500: builtins.ValueError: Input X contains"),
        ("columns", "species", "rose", "answered 500: builtins.ValueError: Found unknown categ"),
    ],
)
@pytest.mark.parametrize("bad", [[0], [137], [999], [200, 201, 640]])
async def test_a_flower_that_the_model_refuses_with_a_500_stands_alone(
    mlserver: Served, model: str, field: str, value: object, told: str, bad: list[int]
) -> None:
    records = mlserver.flowers.records
    for n in bad:
        records[n][field] = value
    job = scoring(mlserver, model, records)
    await job.run()
    said = "iris" if model == "bare" else model
    good = [n for n in range(1000) if n not in bad]
    assert job.failures == bad
    assert all(told in letter.error.message for letter in job.failed.records)
    assert job.scored.records == mlserver.flowers.scored(said, "predict", good)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("model", "field", "value", "told"),
    [
        (
            "iris",
            "petal_length",
            1e300,
            "input 'flower' of the model takes FP32, which cannot carry the float '1e+300'",
        ),
        (
            "columns",
            "species",
            5,
            "input 'species' of the model takes BYTES, which cannot carry the int '5'",
        ),
        (
            "columns",
            "sepal_length",
            "long",
            "input 'sepal_length' of the model takes FP64, which cannot carry the str 'long'",
        ),
    ],
)
async def test_what_the_datatype_in_the_metadata_cannot_carry_is_not_sent(
    mlserver: Served, model: str, field: str, value: object, told: str
) -> None:
    records = mlserver.flowers.records
    records[137][field] = value
    job = scoring(mlserver, model, records)
    await job.run()
    assert [(letter.record, letter.error.message) for letter in job.failed.records] == [
        (records[137], told)
    ]
    good = [n for n in range(1000) if n != 137]
    expected = mlserver.flowers.scored(model, "predict", good, version=VERSIONS[model])
    assert job.scored.records == expected


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("nothing", "answered 404: Model nothing not found: no such model is served there"),
        ("iris/versions/9", "answered 404: Model iris with version 9 not found: no such model"),
    ],
)
async def test_a_model_that_is_not_there_fails_the_job_and_no_record(
    mlserver: Served, model: str, told: str
) -> None:
    job = Scoring(
        f"oip+{mlserver.server.url}/v2/models/{model}", mlserver.flowers.records, fields=MEASURES
    )
    with pytest.raises(JobFailed) as caught:
        await job.run()
    assert "'score' failed on records, between records 0 and 15: " in str(caught.value)
    assert told in str(caught.value)
    assert not job.scored.records
    assert not job.failed.records


@pytest.mark.asyncio
async def test_a_server_that_stands_still_for_three_seconds_is_waited_for(
    mlserver: Served,
) -> None:
    job = scoring(mlserver, "iris", timeout=0.5)
    await stand_still(mlserver.server, job, 3.0)
    assert job.scored.records == mlserver.flowers.scored("iris", "predict", version="v7")
    assert not job.failed.records


@pytest.mark.asyncio
@pytest.mark.parametrize("model", ["iris", "columns"])
async def test_a_server_that_is_killed_and_started_again_costs_no_record(
    mlserver: Served, model: str
) -> None:
    job = scoring(mlserver, model)
    await start_again(mlserver.server, job)
    assert job.scored.records == mlserver.flowers.scored(model, "predict", version=VERSIONS[model])
    assert not job.failed.records


@pytest.mark.asyncio
async def test_a_server_that_starts_after_the_job_is_waited_for_until_its_model_is_loaded(
    mlserver: Served,
) -> None:
    job = scoring(mlserver, "iris")
    await start_late(mlserver.server, job)
    assert job.scored.records == mlserver.flowers.scored("iris", "predict", version="v7")
    assert not job.failed.records
