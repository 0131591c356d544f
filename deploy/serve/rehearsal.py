"""Makes a server do what `Faults` say."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import accumulate
from random import Random
from time import monotonic

from aiohttp import web

from ...operators.endpoints.endpoint import Answer
from ...runtime.errors import ThalwegError
from .faults import Faults
from .served_model import ServedModel
from .workers import Workers, until

__all__ = ["Rehearsal", "Rehearsed"]

Scoring = Callable[[ServedModel], Awaitable[bytes]]
"""Answers a request with this model."""

_PAGE = b"<!DOCTYPE html><html><body><h1>It works!</h1></body></html>\n"
_LOOK = 0.02


class Rehearsed(ThalwegError):
    """An error on purpose: the status to answer, and the headers that go with it."""

    def __init__(self, message: str, status: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


class Rehearsal:
    """Stands between the routes and the models.

    Parameters: `faults`, what to do at first, `change` does something else from then on; `clock`,
    what tells the time in seconds. That is not the loop's: some loops tell it in milliseconds, as
    it was when their turn began.
    """

    def __init__(self, faults: Faults, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        now = clock()
        self._faults = faults
        self._workers = Workers(faults.workers, now=now)
        self._present = 0
        self._stopped = asyncio.Event()
        self._seed(faults.seed)
        self._refill(now)

    @property
    def faults(self) -> Faults:
        """What it does now."""
        return self._faults

    def change(self, faults: Faults) -> None:
        """Do this from now on; requests that have a worker keep their time."""
        before, self._faults = self._faults, faults
        now = self._clock()
        if faults.workers != before.workers:
            self._workers.resize(faults.workers, now=now)
        if faults.rate != before.rate:
            self._refill(now)
        if faults.seed != before.seed:
            self._seed(faults.seed)

    def stop(self) -> None:
        """Let go of those who hang."""
        self._stopped.set()

    async def answer(
        self, request: web.Request, model: ServedModel, scoring: Scoring
    ) -> web.StreamResponse:
        """Answer as the faults say. Raises what `scoring` does, after the same time, and Rehearsed.

        Which faults there are is asked once, when the request comes.
        """
        arrived = self._clock()
        faults = self._faults
        fault, extra = self._drawn(faults)
        limit = faults.workers + faults.queue if faults.queue >= 0 else None
        if (limit is not None and self._present >= limit) or not self._admitted(arrived):
            fault = "busy"
        if fault == "busy":
            raise Rehearsed("busy, as rehearsed", 429, _patience(faults.retry_after))
        if fault == "reset":
            return _reset(request)
        if fault == "hang":
            return await self._hang(request)
        counted = _Counted(model, {"short_rows": -1, "long_rows": 1}.get(fault, 0))
        self._present += 1
        try:
            try:
                body = await scoring(counted)
            finally:
                seconds = faults.latency + extra + faults.per_row * counted.rows
                await until(self._workers.done_at(arrived, seconds), self._clock)
        finally:
            self._present -= 1
        if fault == "error":
            raise Rehearsed("broken, as rehearsed", faults.status)
        return await _answered(request, fault, body)

    def _drawn(self, faults: Faults) -> tuple[str, float]:
        """What happens to this request, and how much longer it takes."""
        # Both are drawn each time, so that what a request gets depends on its turn alone.
        drawn, extra = self._random.random(), faults.jitter * self._random.random()
        chances = faults.chances
        for name, below in zip(chances, accumulate(chances.values()), strict=True):
            if drawn < below:
                return name, extra
        return "", extra

    def _seed(self, seed: int) -> None:
        self._random = Random(seed)

    def _refill(self, now: float) -> None:
        self._tokens, self._counted_at = max(1.0, self._faults.rate), now

    def _admitted(self, now: float) -> bool:
        """Whether the rate allows one more request now."""
        rate = self._faults.rate
        if not rate:
            return True
        self._tokens = min(max(1.0, rate), self._tokens + rate * (now - self._counted_at))
        self._counted_at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    async def _hang(self, request: web.Request) -> web.Response:
        # Nothing tells a handler that its client has gone, so this looks.
        while request.transport is not None and not self._stopped.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await self._stopped.wait()
        return _reset(request)


class _Counted(ServedModel):
    """A model that remembers how many rows it was given, and answers some more or less of them."""

    def __init__(self, model: ServedModel, more: int) -> None:
        self.name = model.name
        self.platform = model.platform
        self.version = model.version
        self.inputs = model.inputs
        self.outputs = model.outputs
        self.rows = 0
        self._model = model
        self._more = more

    def predict(self, fields: tuple[str, ...] | None, rows: Sequence[tuple[object, ...]]) -> Answer:
        self.rows += len(rows)
        answer = self._model.predict(fields, rows)
        if self._more < 0:
            answer.rows = answer.rows[: self._more]
        elif self._more > 0:
            answer.rows = [*answer.rows, answer.rows[-1]]
        return answer


async def _answered(request: web.Request, fault: str, body: bytes) -> web.StreamResponse:
    if fault == "html":
        return web.Response(body=_PAGE, content_type="text/html")
    if fault == "truncated":
        body = body[: len(body) // 2]
    if fault != "cut":
        return web.Response(body=body, content_type="application/json")
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


def _reset(request: web.Request) -> web.Response:
    """Break the connection, so that the client hears of it at once."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


def _patience(seconds: float) -> dict[str, str]:
    """How long to wait, in the standard's whole seconds where that says it."""
    if seconds == int(seconds):
        return {"Retry-After": str(int(seconds))}
    return {"Retry-After": str(int(seconds) + 1), "Retry-After-Ms": f"{seconds * 1000:g}"}
