"""Services that a bench can use, where they answer."""

from __future__ import annotations

import asyncio
import os
import socket
from urllib.parse import urlsplit

import asyncpg

__all__ = ["POSTGRES", "forget", "postgres_at"]

POSTGRES = os.environ.get("THALWEG_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")


def postgres_at(url: str) -> str | None:
    """The URL, if a PostgreSQL answers there; None where none does, and for "none"."""
    parts = urlsplit(url)
    if not parts.hostname:
        return None
    try:
        socket.create_connection((parts.hostname, parts.port or 5432), timeout=5).close()
    except OSError:
        return None
    return url


def forget(url: str, job: str) -> None:
    """Delete what a job has left in PostgreSQL."""

    async def delete() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute("DELETE FROM thalweg.jobs WHERE name = $1", job)
        finally:
            await connection.close()

    asyncio.run(delete())
