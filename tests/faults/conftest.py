from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from .scripted_server import PROTOCOLS, ScriptedServer


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    """Each of the protocols over HTTP."""
    return str(request.param)


@pytest.fixture(params=["wml", "oip"])
def served(request: pytest.FixtureRequest) -> str:
    """Each of the protocols that `thalweg serve` speaks."""
    return str(request.param)


@pytest_asyncio.fixture
async def closed_server() -> AsyncIterator[ScriptedServer]:
    """A server that refuses connections until it listens."""
    server = ScriptedServer()
    yield server
    await server.close()


@pytest_asyncio.fixture
async def server(closed_server: ScriptedServer) -> ScriptedServer:
    """A server that listens."""
    await closed_server.listen()
    return closed_server
