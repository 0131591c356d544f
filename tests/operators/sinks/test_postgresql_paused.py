"""A copy of a job that stands still in the middle of a commit holds up no other for long."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from thalweg.operators import sinks
from thalweg.operators.sinks import _postgresql_link, _postgresql_staging
from thalweg.testing import HeldFence, context

asyncpg = pytest.importorskip("asyncpg")


@pytest_asyncio.fixture
async def schema(postgres_url: str) -> AsyncIterator[str]:
    """A schema of its own."""
    name = f"paused_{uuid.uuid4().hex}"
    connection: Any = await asyncpg.connect(postgres_url)
    await connection.execute(f"CREATE SCHEMA {name}; CREATE TABLE {name}.rows (n bigint)")
    yield name
    await connection.execute(f"DROP SCHEMA {name} CASCADE")
    await connection.close()


async def copy(url: str, schema: str, token: int) -> sinks.Postgresql:
    """The sink of one copy of the job."""
    sink = sinks.postgresql(url, f"{schema}.rows")
    await sink.open(context(graph="paused", fence=HeldFence(schema, token)))
    return sink


@pytest.mark.service
@pytest.mark.asyncio
async def test_the_next_copy_takes_over_and_commits(
    postgres_url: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text: str = vars(_postgresql_link)["_SAFELY"]
    monkeypatch.setattr(_postgresql_link, "_SAFELY", text.replace("30000", "500"))
    stands = asyncio.Event()

    async def stand_still(*_: object) -> None:
        stands.set()
        await asyncio.Event().wait()

    first = await copy(postgres_url, schema, 1)
    await first.discard(0)
    await first.write([{"n": 1}, {"n": 2}])
    prepared = await first.prepare(1)
    with monkeypatch.context() as patched:
        patched.setattr(_postgresql_staging.PostgresqlStaging, "_move", stand_still)
        committing = asyncio.create_task(first.commit(1, prepared))
        await stands.wait()
    second = await copy(postgres_url, schema, 2)
    async with asyncio.timeout(20):
        await second.discard(1)
        await second.commit(1, prepared)
    committing.cancel()
    await asyncio.wait([committing])
    connection: Any = await asyncpg.connect(postgres_url)
    found = await connection.fetch(f"SELECT n FROM {schema}.rows ORDER BY n")
    await connection.close()
    assert [row["n"] for row in found] == [1, 2]
    await first.close()
    await second.close()
