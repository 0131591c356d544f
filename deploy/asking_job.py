"""Asks the tables of a job in another process."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import Any

import orjson

from ..runtime.columns import arrow
from ..runtime.errors import QueryError, ThalwegError
from ..runtime.tables.answer import Answer
from .answering import ARROW, VERSION

__all__ = ["ask_job"]

_PATIENCE = 20.0
"""Seconds to wait for an answer, which the job itself gives up after 10."""

_LARGEST = 256 * 2**20
"""Bytes of an answer: more than a job sends."""


def ask_job(url: str, query: str) -> Answer:
    """What a query finds in the tables of the job at this address.

    Raises QueryError in the words of the job, ThalwegError where it cannot be asked.
    """
    request = urllib.request.Request(
        url,
        data=orjson.dumps({"sql": query}),
        headers={"Content-Type": "application/json", "Accept": ARROW},
    )
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE) as response:
            if response.headers.get_content_type() != ARROW:
                raise ThalwegError(f"{url} is no job with tables: it answers something else")
            data: bytes = response.read(_LARGEST + 1)
            version = int(response.headers.get(VERSION, "0"))
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(url, error) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise ThalwegError(f"nobody answers at {url}: {reason}. Was it run with --http?") from None
    if len(data) > _LARGEST:
        raise ThalwegError(f"{url} answers with more than {_LARGEST:,} bytes")
    pa = arrow()
    try:
        return Answer(pa.ipc.open_stream(data).read_all(), version=version)
    except pa.ArrowException as error:
        raise ThalwegError(f"the answer of {url} cannot be read: {error}") from None


def _refusal(url: str, error: urllib.error.HTTPError) -> ThalwegError:
    if error.code in (404, 405):
        return ThalwegError(
            f"the job at {url} has no tables: its graph sends nothing .to(…) sinks.table(…)"
        )
    try:
        said: Any = orjson.loads(error.read(1 << 16))
        return QueryError(str(said["error"]))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ThalwegError(f"{url} answers {error.code} {error.reason}")
