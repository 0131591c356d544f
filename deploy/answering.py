"""`POST /sql`: a query for the tables of the job, and its answer as JSON or as Arrow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

import orjson

from ..runtime.columns import arrow
from ..runtime.errors import QueryError, QueryTimeout
from ..runtime.promises import tables_of
from ..runtime.tables.answer import Answer
from ..runtime.tables.asking import Asking
from ..runtime.tables.sql import in_time

if TYPE_CHECKING:
    from aiohttp import web

    from ..runtime.job import Job

__all__ = ["ARROW", "VERSION", "answering", "asker"]

ARROW = "application/vnd.apache.arrow.stream"
"""The type of an answer in Arrow's format, for who asks for it."""

VERSION = "Thalweg-Version"
"""The header with the version of the tables that the answer has seen."""

_JSON = "application/json"
_LONGEST = 64 * 1024
"""Bytes that a request may have."""

_SECONDS, _ROWS, _SIZE = 10.0, 100_000, 64 * 2**20
"""What an answer over the network may take."""


def asker(job: Job) -> Callable[[str], Answer] | None:
    """What answers queries for the tables of a job; None where its graph has no table."""
    if not tables_of(job.plan):
        return None
    tables = job.tables
    return lambda query: tables.answer(Asking(query, seconds=_SECONDS, rows=_ROWS, size=_SIZE))


def answering(
    ask: Callable[[str], Answer],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Answers `POST /sql` with `{"sql": "select …"}`.

    The body has to say that it is JSON: a page of another site, open in a browser of this machine,
    cannot send that without asking first, which nobody here answers. An error is an object too,
    with the status 400, or 408 for a query that takes too long.
    """

    async def handle(request: web.Request) -> web.Response:
        if request.content_type != _JSON:
            return _error(415, "send application/json")
        body = await request.content.read(_LONGEST + 1)
        while len(body) <= _LONGEST and (more := await request.content.read(_LONGEST)):
            body += more
        if len(body) > _LONGEST:
            return _error(413, f"a query has at most {_LONGEST:,} bytes")
        try:
            wanted: Any = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            return _error(400, f"the body is no JSON: {error}")
        given = cast("dict[str, object]", wanted) if isinstance(wanted, dict) else {}
        query = given.get("sql")
        if not isinstance(query, str) or len(given) > 1:
            return _error(400, 'send an object with a query and nothing else: {"sql": "select …"}')
        packed = ARROW in request.headers.get("Accept", "")
        try:
            answered = asyncio.to_thread(_answered, ask, query, packed)
            data, version = await in_time(answered, _SECONDS)
        except QueryTimeout as error:
            return _error(408, str(error))
        except QueryError as error:
            return _error(400, str(error))
        response = _response(200, data, ARROW if packed else _JSON)
        response.headers[VERSION] = str(version)
        return response

    return handle


def _answered(ask: Callable[[str], Answer], query: str, packed: bool) -> tuple[bytes, int]:
    answer = ask(query)
    if not packed:
        return orjson.dumps(answer.as_dict()), answer.version
    pa = arrow()
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, answer.table.schema) as writer:
        writer.write_table(answer.table)
    return stream.getvalue().to_pybytes(), answer.version


def _error(status: int, text: str) -> web.Response:
    return _response(status, orjson.dumps({"error": text}), _JSON)


def _response(status: int, body: bytes, kind: str) -> web.Response:
    from aiohttp import web

    headers = {"Content-Type": kind, "Cache-Control": "no-store"}
    return web.Response(status=status, headers=headers, body=body)
