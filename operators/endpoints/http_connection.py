"""One connection to a server over HTTP/1.1: a request goes out, and its answer comes back."""

from __future__ import annotations

import asyncio
import select
from typing import Protocol, cast

from .http_response import Headers, Response

__all__ = ["LARGEST_ERROR", "Connection"]

_SLICE = 64 * 1024
"""Bytes: a body that is larger is written in slices of this size, as the server takes them."""

_LARGEST_HEAD = 64 * 1024
"""Bytes of status line and headers, and of what is no body behind them."""

LARGEST_ERROR = 64 * 1024
"""Bytes of the body of an answer that is no success: more is not read."""


class Parser(Protocol):
    """What is used of `httptools.HttpResponseParser`, which calls the connection back."""

    def feed_data(self, data: bytes, /) -> None: ...
    def get_status_code(self) -> int: ...
    def should_keep_alive(self) -> bool: ...


class Connection(asyncio.Protocol):
    """Sends one request at a time and reads the answer to it.

    An answer is given to the request that it is for, or to nobody: a connection on which anything
    went wrong, on which a request was given up, or on which something came that nobody asked for,
    is closed and never used again. `ask` raises ConnectionError, or the OSError that ended it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, max_answer_bytes: int) -> None:
        from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

        self._loop = loop
        self._max_answer_bytes = max_answer_bytes
        self._wrong = (HttpParserError, HttpParserUpgrade)
        self._parser: Parser = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._arrivals: select.poll | None = None
        self._waiter: asyncio.Future[Response] | None = None
        self._writable: asyncio.Future[None] | None = None
        self.closed: asyncio.Future[None] = loop.create_future()
        """Done when the connection is closed to the end."""
        self.used_at = 0.0
        """When the last answer was read, by the clock of the loop."""
        self._forget()

    def _forget(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._status = 0
        self._size = 0  # Of what came since there was anything to keep.
        self._held = 0  # Of the body.
        self._limit = -1  # Not known before the headers are complete.
        self._complete = False
        self._kept = False
        self._more = False
        self._sized = False

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        transport = self._transport
        return transport is not None and self._waiter is None and not transport.is_closing()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has come that the loop, busy with other things, has not read yet.

        It would be taken for the answer to what is sent now; or the server has closed.
        """
        return self._arrivals is None or not self._arrivals.poll(0)

    async def ask(self, head: bytes, body: bytes | None) -> Response:
        """Send a request, and wait for the answer."""
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the server closed the connection")
        waiter: asyncio.Future[Response] = self._loop.create_future()
        self._waiter = waiter
        heard = False
        try:
            if body is None or len(body) <= _SLICE:
                transport.write(head if body is None else head + body)
                written = True
            else:
                written = await self._write(transport, waiter, head, body)
            del head, body  # What was written need not be kept.
            response = await waiter
            if not written and response.succeeded:
                # It cannot be for these rows: it may be a late one, for what was asked before.
                raise ConnectionError("a success was answered before all of the request was sent")
            heard = written
            return response
        finally:
            self._waiter = None
            if not heard:  # Also where it was given up just as the answer came.
                self.abort()

    async def _write(
        self,
        transport: asyncio.Transport,
        waiter: asyncio.Future[Response],
        head: bytes,
        body: bytes,
    ) -> bool:
        """Write it all, unless the answer is there before; tell whether it was all."""
        transport.write(head)
        view = memoryview(body)
        for start in range(0, len(view), _SLICE):
            if self._writable is not None:
                await asyncio.wait((self._writable, waiter), return_when="FIRST_COMPLETED")
            if waiter.done():
                return False
            transport.write(view[start : start + _SLICE])
        return True

    def abort(self) -> None:
        """Close the connection now."""
        if self._transport is not None:
            self._transport.abort()

    # What follows is called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(
            asyncio.Transport, transport
        )  # Other loops have classes of their own.
        plain = transport.get_extra_info("socket")
        if plain is not None and hasattr(select, "poll"):
            self._arrivals = select.poll()
            self._arrivals.register(plain.fileno(), select.POLLIN)

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    def data_received(self, data: bytes) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            self.abort()  # Nobody asked for it: it might be the answer to what was given up.
            return
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except self._wrong as error:
            if not self._complete:
                self._fail(ConnectionError(f"what came is not HTTP: {error}"))
                return
            self._more = True  # The answer is whole; what came behind it is nobody's.
        if self._complete:
            self._answer()
        elif self._size > _LARGEST_HEAD:
            self._fail(ConnectionError(f"its headers are larger than {_LARGEST_HEAD} bytes"))
        elif self._limit >= 0 and self._is_too_large():
            self._more = True
            self._answer(whole=False)

    def connection_lost(self, exc: Exception | None) -> None:
        self.resume_writing()
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            self._end(exc)
        if not self.closed.done():
            self.closed.set_result(None)

    def _end(self, exc: Exception | None) -> None:
        """The connection ended before the answer did, or with it."""
        if self._limit < 0:
            self._fail(exc or ConnectionResetError("the server closed the connection"))
        elif exc is None and not self._has_an_end():
            self._answer()  # It lasts until the connection ends, as of old.
        elif self._is_an_error():
            self._answer(whole=False)  # What came of it is enough.
        else:
            self._fail(exc or ConnectionResetError("the answer broke off"))

    # What follows is called by the parser, in the course of `feed_data`.

    def on_message_begin(self) -> None:
        if self._complete:
            self._more = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._limit < 0:  # What comes behind the body says nothing about the answer.
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if not self._complete:
            self._status = self._parser.get_status_code()
            self._size = 0
            self._limit = LARGEST_ERROR if self._is_an_error() else self._max_answer_bytes

    def on_body(self, body: bytes) -> None:
        if not self._complete:
            self._parts.append(body)
            self._held += len(body)
            self._size = 0

    def on_message_complete(self) -> None:
        if self._complete:
            return  # It is another one's.
        if 100 <= self._status < 200:
            self._forget()  # "Go on": the answer is still to come.
        else:
            self._complete = True
            self._kept = self._parser.should_keep_alive()  # The parser forgets it after this.

    # What follows is of its own.

    def _is_an_error(self) -> bool:
        return not 200 <= self._status < 300

    def _has_an_end(self) -> bool:
        headers = Headers(self._headers)
        return "Content-Length" in headers or "Transfer-Encoding" in headers

    def _is_too_large(self) -> bool:
        """Looked at where an answer did not come in one piece."""
        if not self._sized:
            self._sized = True
            length = Headers(self._headers).get("Content-Length", "")
            if not self._is_an_error() and length.isdecimal() and int(length) > self._limit:
                return True
        return self._held > self._limit

    def _answer(self, *, whole: bool = True) -> None:
        waiter, transport, parts = self._waiter, self._transport, self._parts
        assert waiter is not None
        assert transport is not None
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        if len(body) > self._limit:
            body, whole = body[: self._limit], False
        kept = whole and self._kept and not self._more
        waiter.set_result(Response(self._status, Headers(self._headers), body, whole))
        self._forget()
        if kept:
            self.used_at = self._loop.time()
        else:
            transport.abort()

    def _fail(self, error: Exception) -> None:
        assert self._waiter is not None
        self._waiter.set_exception(error)
        self.abort()
