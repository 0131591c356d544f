"""MLflow's scoring server: it answers 400 for whatever a model raises."""

from __future__ import annotations

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


def scoring(
    served: Served, records: list[Record] | None = None, *, path: str = "", timeout: float = 5.0
) -> Scoring:
    """A job that has the model score these records, or all."""
    return Scoring(
        f"mlflow+{served.server.url}{path}",
        served.flowers.records if records is None else records,
        fields=COLUMNS,
        timeout=timeout,
        limit=PATIENCE,
    )


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["", "/invocations"])
async def test_a_thousand_flowers_are_scored_in_order_with_what_the_model_itself_says(
    mlflow: Served, path: str
) -> None:
    job = scoring(mlflow, path=path)
    await job.run()
    assert job.scored.records == mlflow.flowers.scored("columns", "prediction")
    assert len(job.scored.records) == 1000
    assert not job.failed.records


@pytest.mark.asyncio
async def test_columns_go_by_their_names_and_a_join_gets_no_version(mlflow: Served) -> None:
    sink: CollectingSink[Joined] = CollectingSink()
    graph = Graph("joined")
    operator = score(
        f"mlflow+{mlflow.server.url}",
        fields=dict(reversed(COLUMNS.items())),
        join=joined,
    )
    stream = graph.read("records", sources.records(mlflow.flowers.records))
    stream.batch(64).via("score", operator).to("joined", sink)
    async with graph.start() as job:
        await job.wait()
    said = mlflow.flowers.said["columns"]
    assert sink.records == [(n, {"prediction": width}, None) for n, width in enumerate(said)]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        pytest.param(
            "species",
            "rose",
            "ValueError: Found unknown categories ['rose']",
            id="unknown category",
        ),
        pytest.param(
            "petal_length",
            1e300,
            "ValueError: Input X contains infinity or a value too large",
            id="too large",
        ),
        pytest.param("petal_length", "long", "Failed to convert column", id="text for a number"),
        pytest.param("species", 5, "", id="number for a text"),
    ],
)
@pytest.mark.parametrize("bad", [[0], [137], [999], [200, 201, 640]])
async def test_a_flower_that_the_model_refuses_with_a_400_stands_alone(
    mlflow: Served, field: str, value: object, reason: str, bad: list[int]
) -> None:
    records = mlflow.flowers.records
    for n in bad:
        records[n][field] = value
    job = scoring(mlflow, records)
    await job.run()
    assert job.failures == bad
    for letter in job.failed.records:
        assert letter.error.type == "DataError"
        assert f"POST {mlflow.server.url}/invocations answered 400: " in letter.error.message
        assert reason in letter.error.message
    good = [n for n in range(1000) if n not in bad]
    assert job.scored.records == mlflow.flowers.scored("columns", "prediction", good)


@pytest.mark.asyncio
async def test_fields_that_are_not_the_model_s_fail_the_job_and_not_each_record(
    mlflow: Served,
) -> None:
    job = Scoring(f"mlflow+{mlflow.server.url}", mlflow.flowers.records, fields=MEASURES)
    with pytest.raises(JobFailed) as caught:
        await job.run()
    assert "none has ever passed: it is not the data: POST " in str(caught.value)
    assert "answered 400: Failed to predict data: Model is missing inputs" in str(caught.value)
    assert not job.scored.records
    assert not job.failed.records


@pytest.mark.asyncio
async def test_a_path_that_is_not_there_fails_the_job_and_no_record(mlflow: Served) -> None:
    job = scoring(mlflow, path="/elsewhere/invocations")
    with pytest.raises(JobFailed) as caught:
        await job.run()
    assert "'score' failed on records, between records 0 and 15: " in str(caught.value)
    assert "/elsewhere/invocations answered 404: Not Found" in str(caught.value)
    assert not job.scored.records
    assert not job.failed.records


@pytest.mark.asyncio
async def test_a_server_that_stands_still_for_three_seconds_is_waited_for(mlflow: Served) -> None:
    job = scoring(mlflow, timeout=0.5)
    await stand_still(mlflow.server, job, 3.0)
    assert job.scored.records == mlflow.flowers.scored("columns", "prediction")
    assert not job.failed.records


@pytest.mark.asyncio
async def test_a_server_that_is_killed_and_started_again_costs_no_record(mlflow: Served) -> None:
    job = scoring(mlflow)
    await start_again(mlflow.server, job)
    assert job.scored.records == mlflow.flowers.scored("columns", "prediction")
    assert not job.failed.records


@pytest.mark.asyncio
async def test_a_server_that_starts_after_the_job_is_waited_for(mlflow: Served) -> None:
    job = scoring(mlflow)
    await start_late(mlflow.server, job)
    assert job.scored.records == mlflow.flowers.scored("columns", "prediction")
    assert not job.failed.records
