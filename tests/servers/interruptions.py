"""What happens to a server in the middle of a stream, whichever it is: it is killed, or stopped."""

from __future__ import annotations

import asyncio

from ..faults.scoring import Scoring, until
from .model_server import ModelServer

__all__ = ["PATIENCE", "stand_still", "start_again", "start_late"]

PATIENCE = 150.0
"""Seconds for a job beside which a server starts."""


async def start_again(server: ModelServer, scoring: Scoring) -> None:
    """Run the job to its end, and kill the server and start it again when a part is scored."""
    async with scoring.job() as job:
        await scoring.scored.received(160)
        server.kill()
        assert job.progress().settled < 500
        await asyncio.to_thread(server.start)
        await job.wait()
    assert job.progress().node("score").retries > 0


async def start_late(server: ModelServer, scoring: Scoring) -> None:
    """Run the job to its end, and start the server when the job has asked for it in vain."""
    server.kill()
    async with scoring.job() as job:
        await until(lambda: job.progress().node("score").retries > 0)
        await asyncio.to_thread(server.start)
        await job.wait()


async def stand_still(server: ModelServer, scoring: Scoring, seconds: float) -> None:
    """Run the job to its end, and let the server do nothing for some seconds in the middle."""
    loop = asyncio.get_running_loop()
    async with scoring.job() as job:
        await scoring.scored.received(160)
        server.pause()
        since = loop.time()
        try:
            assert job.progress().settled < 500
            await until(lambda: loop.time() - since >= seconds, 2 * seconds)
            waiting = job.progress().node("score").waiting
        finally:
            server.resume()
        assert waiting is not None
        assert f"gave no answer within {scoring.timeout:g} s" in waiting
        await job.wait()
    assert job.progress().node("score").retries >= scoring.max_in_flight
