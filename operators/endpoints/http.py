"""The HTTP client that the protocols share: JSON out, JSON in, typed errors."""

from __future__ import annotations

import os
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, urlsplit, urlunsplit

import orjson

from ...runtime.contracts import (
    DataError,
    MisconfiguredError,
    MissingExtra,
    UnavailableError,
)
from .endpoint import UnwritableError
from .prompt import prompt_requests
from .refusals import reason, refusal, shortened

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession
    from yarl import URL

__all__ = ["MAX_ANSWER_BYTES", "HttpJson", "checked_url", "encoded", "shown"]

MAX_ANSWER_BYTES = 64 * 1024 * 1024
_ERROR_BYTES = 64 * 1024
_LARGE_BODY = 1024 * 1024
_NOT_SECRET = frozenset(("version",))


class HttpJson:
    """One session to one server: verified TLS, no redirects, no proxy, bounded answers.

    Parameters: `token_from`, the environment variable that holds a bearer token, read in `open`;
    `max_answer_bytes`, the largest answer that is read. It keeps no token in its repr.
    """

    def __init__(self, *, token_from: str | None, max_answer_bytes: int) -> None:
        self._token_from = token_from
        self._max_answer_bytes = max_answer_bytes
        self._session: ClientSession | None = None
        self._token: str | None = None
        self._urls: dict[str, URL] = {}

    async def open(self, connections: int) -> None:
        """Get ready for as many requests at once as `connections` says; connects to nothing."""
        try:
            from aiohttp import (
                ClientConnectorCertificateError,
                ClientError,
                ClientSession,
                ClientTimeout,
                DummyCookieJar,
                TCPConnector,
            )
        except ModuleNotFoundError as error:
            raise MissingExtra("scoring over HTTP", "http") from error
        self._untrusted = ClientConnectorCertificateError
        self._silence = (ClientError, OSError)
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            # Answers are small; a compressed one would cost more than it saves.
            "Accept-Encoding": "identity",
            "User-Agent": "thalweg",
        }
        if self._token_from is not None:
            self._token = os.environ.get(self._token_from, "").strip()
            if not self._token:
                raise MisconfiguredError(
                    f"the environment variable {self._token_from} holds no token: set it, "
                    "or leave token_from out"
                )
            headers["Authorization"] = f"Bearer {self._token}"
        self._session = ClientSession(
            connector=TCPConnector(limit=connections),
            headers=headers,
            cookie_jar=DummyCookieJar(),
            # The runtime limits each attempt as a whole; a second clock would only cost.
            timeout=ClientTimeout(total=None, sock_connect=None),
            trust_env=False,
            request_class=prompt_requests(),
        )

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def request(self, method: str, url: str, body: bytes | None = None) -> Any:
        """Send the request and return the decoded answer.

        Raises what `refusals.refusal` says for a status that is no success. Silence (no
        connection, a reset, an answer that breaks off) is `UnavailableError`. So is a whole answer
        that is not JSON, with `answered=True`: a model that computes NaN for one row makes such
        an answer, and dividing the batch finds the row. An answer beyond the limit is a
        `DataError`, since half of the batch makes half of it.
        """
        session = self._session
        if session is None:
            raise RuntimeError("an endpoint is opened before it is called")
        data = BytesIO(body) if body is not None and len(body) >= _LARGE_BODY else body
        asked = session.request(method, self._parsed(url), data=data, allow_redirects=False)
        del data, body  # The client has it now, and lets go of it when it is written.
        try:
            response = await asked
            try:
                if not 200 <= response.status < 300:
                    raise self._refused(method, url, response, await self._some(response))
                if _is_plain(response, self._max_answer_bytes):
                    answer = await response.read()
                else:
                    answer = await self._read(method, url, response)
            except BaseException:
                # Read to the end it has gone back to the pool; else this closes the connection.
                response.release()
                raise
        except self._untrusted as error:
            raise MisconfiguredError(
                f"{method} {shown(url)}: the server's certificate is not trusted: "
                f"{shortened(str(error.certificate_error))}"
            ) from None
        except self._silence as error:
            said = shortened(self._without_token(str(error))) or type(error).__name__
            raise UnavailableError(f"{method} {shown(url)} got no answer: {said}") from None
        try:
            return orjson.loads(answer)
        except orjson.JSONDecodeError:
            raise self.garbage(
                method, url, f"{response.status} with what is not JSON: {reason(answer)}"
            ) from None

    def _parsed(self, url: str) -> URL:
        """The URL as the client wants it, taken apart once and not for each request."""
        parsed = self._urls.get(url)
        if parsed is None:
            from yarl import URL

            parsed = self._urls[url] = URL(url)
        return parsed

    def garbage(self, method: str, url: str, what: str) -> UnavailableError:
        """The error for an answer that came whole and cannot be used."""
        said = self._without_token(what)
        return UnavailableError(f"{method} {shown(url)} answered {said}", answered=True)

    async def _read(self, method: str, url: str, response: ClientResponse) -> bytes:
        limit = self._max_answer_bytes
        length = response.content_length
        body = bytearray()
        if length is None or length <= limit:
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > limit:
                    break
            else:
                return bytes(body)
        response.close()
        raise DataError(
            f"{method} {shown(url)} answered more than {limit} bytes: send smaller batches, "
            "or raise max_answer_bytes"
        )

    def _refused(self, method: str, url: str, response: ClientResponse, body: bytes) -> Exception:
        if self._token:
            body = body.replace(self._token.encode(), b"[token]")
        return refusal(f"{method} {shown(url)}", response.status, response.headers, body)

    async def _some(self, response: ClientResponse) -> bytes:
        """The start of an error's body; where it breaks off, what came is enough."""
        body = bytearray()
        try:
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _ERROR_BYTES:
                    response.close()
                    break
        except self._silence:
            pass
        return bytes(body[:_ERROR_BYTES])

    def _without_token(self, text: str) -> str:
        return text.replace(self._token, "[token]") if self._token else text


def _is_plain(response: ClientResponse, limit: int) -> bool:
    """Whether the answer says that it is within the limit, and will not grow when unpacked."""
    length = response.content_length
    return length is not None and length <= limit and "Content-Encoding" not in response.headers


def encoded(request: object) -> bytes:
    """The request as JSON; UnwritableError for a value that JSON cannot carry."""
    try:
        return orjson.dumps(request, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    except TypeError as error:
        raise UnwritableError(f"the rows cannot be written as JSON: {error}") from error


def checked_url(url: str, *, example: str, token_from: str | None) -> SplitResult:
    """The parts of a URL; ValueError where it is none, or would send a token in the clear."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{shown(url)!r} is no URL ({error}); one looks like {example}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"{shown(url)!r} is no http or https URL; one looks like {example}")
    if token_from is not None:
        if not token_from or "=" in token_from:
            raise ValueError("token_from is the name of an environment variable, not a token")
        if parts.scheme == "http" and not _is_loopback(host):
            raise ValueError(
                f"token_from would send the token unencrypted to {host}: use an https URL"
            )
    return parts


def _is_loopback(host: str) -> bool:
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def shown(url: str) -> str:
    """The URL as messages show it: no user, no password, no values of the query but `version`."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        query = "&".join(
            f"{key}={value if key in _NOT_SECRET else '…'}"
            for key, value in parse_qsl(parts.query, keep_blank_values=True)
        )
        return urlunsplit((parts.scheme, host, parts.path, query, ""))
    except ValueError:
        return url.rpartition("@")[2].partition("?")[0]
