"""The three stores, each behind the same few things that a test does to it from outside."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import pytest

from thalweg.runtime.stores import Store
from thalweg.runtime.stores.local import LocalStore
from thalweg.runtime.stores.memory import MemoryStore
from thalweg.runtime.stores.postgres import PostgresStore
from thalweg.runtime.stores.postgres_link import PostgresLink


class Place(ABC):
    """Where states are kept, outside of any store."""

    @abstractmethod
    def store(self) -> Store:
        """Another hand on it, as another process would have."""

    @abstractmethod
    async def forget(self, job: str) -> None:
        """Delete the state of a job, as its owner would."""


class InMemory(Place):
    def __init__(self) -> None:
        self.first = MemoryStore()

    def store(self) -> MemoryStore:
        return self.first.another()

    async def forget(self, job: str) -> None:
        self.first.forget(job)


class InDirectory(Place):
    def __init__(self, path: Path) -> None:
        self.path = path

    def store(self) -> LocalStore:
        return LocalStore(self.path)

    async def forget(self, job: str) -> None:
        shutil.rmtree(self.path / job)


class InPostgres(Place):
    """A schema of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.schema = f"test_{uuid.uuid4().hex}"

    def store(self, lease: float = 30.0) -> PostgresStore:
        return PostgresStore(self.url, lease=lease, schema=self.schema)

    async def forget(self, job: str) -> None:
        await self.run(f"DELETE FROM {self.schema}.jobs WHERE name = $1", job)

    async def run(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """Run a query as somebody else."""
        link = PostgresLink(self.url, patience=30)
        try:
            async with link.use() as connection:
                return [tuple(row.values()) for row in await connection.fetch(query, *values)]
        finally:
            await link.close()


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[InPostgres]:
    place = InPostgres(postgres_url)
    yield place
    asyncio.run(place.run(f"DROP SCHEMA IF EXISTS {place.schema} CASCADE"))


@pytest.fixture
def local(tmp_path: Path) -> InDirectory:
    return InDirectory(tmp_path / "state")


@pytest.fixture(
    params=["memory", "local", pytest.param("postgres", marks=pytest.mark.service)],
)
def place(request: pytest.FixtureRequest) -> Place:
    """Each of the three in turn."""
    if request.param == "memory":
        return InMemory()
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Place)
    return found
