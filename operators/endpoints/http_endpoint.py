"""What all protocols over HTTP have in common: options, a client, and its errors."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Unpack

from ...runtime.contracts import Context, UnavailableError
from .address import checked_url
from .endpoint import Endpoint
from .http import HttpJson, encoded
from .http_options import HttpOptions, checked_options

__all__ = ["HttpEndpoint"]


class HttpEndpoint(Endpoint):
    """The base of the protocols that send JSON over HTTP: they say what to send, and read it.

    >>> from thalweg.operators.endpoints import Answer
    >>> class Sums(HttpEndpoint):
    ...     def __init__(self, url, **options):
    ...         super().__init__(url, example="https://HOST/sums", **options)
    ...     async def predict(self, fields, rows):
    ...         asked = self._post(self._url, {"rows": rows})
    ...         del rows
    ...         return Answer(("sum",), [[value] for value in await asked])
    >>> endpoint = Sums("https://example.org/sums", max_request_bytes=6_000_000)

    `_url` is the address and `_parts` are its parts. Where `open` is overridden, it calls that of
    this class. Parameters: `url`, an http or https address; `example`, one as it should be, for
    messages; the others, see `HttpOptions`. Raises TypeError or ValueError for what is wrong.
    """

    reads_not_finite: bool = False
    """Whether NaN and Infinity in an answer are numbers, for servers that write them so."""

    def __init__(self, url: str, *, example: str, **options: Unpack[HttpOptions]) -> None:
        self._url = url
        self._parts = checked_url(url, example=example)
        self._options = checked_options(options, self._parts)
        self._http = HttpJson(not_finite=self.reads_not_finite, **self._options)

    async def open(self, context: Context) -> None:
        self._http = HttpJson(not_finite=self.reads_not_finite, **self._options)
        secure = self._parts.scheme == "https"
        await self._http.open(context, secure=secure)

    async def close(self) -> None:
        await self._http.close()

    def told_seconds(self) -> float | None:
        """By the header Server-Timing, where the server sends it."""
        return self._http.timing.seconds

    def _post(self, url: str, request: object) -> Awaitable[Any]:
        """Write the request as JSON, now, and return what waits for the decoded answer.

        Many requests are under way at once: let go of the rows before awaiting. Raises
        `UnwritableError` for a value that JSON cannot carry, and what `HttpJson.request` does.
        """
        return self._http.request("POST", url, encoded(request))

    def _get(self, url: str) -> Awaitable[Any]:
        """Ask for what is there, and return what waits for the decoded answer."""
        return self._http.request("GET", url)

    def _garbage(self, method: str, url: str, what: str, answer: Any = None) -> UnavailableError:
        """The error for an answer that came whole and cannot be used: `what` says how it is, and
        what was decoded, `answer`, may hold an error.
        """
        return self._http.garbage(method, url, what, answer)
