"""The HTTP client that the protocols share: JSON out, JSON in, typed errors."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, Unpack, cast

import orjson

from ...runtime.contracts import (
    Context,
    DataError,
    MisconfiguredError,
    MissingExtra,
    UnavailableError,
)
from .address import secrets_in, shown
from .auth import Auth
from .endpoint import UnwritableError
from .http_options import MAX_ANSWER_BYTES, HttpOptions
from .json_answer import decoded
from .mask import Mask
from .prompt import prompt_requests
from .refusals import Json, UnauthorizedError, reason, refusal, shortened, told
from .tls import alert_of

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession
    from yarl import URL

__all__ = ["HttpJson", "encoded"]

_ERROR_BYTES = 64 * 1024
_LARGE_BODY = 1024 * 1024
_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"


class HttpJson:
    """One session to one server: verified TLS, no redirects, no proxy, bounded answers.

    Parameters: `for_tokens`, whether it asks a token server: bodies are forms, and no message shows
    what came with success (False); `not_finite`, whether NaN and Infinity in an answer are numbers,
    see `json_answer` (False); the others, see `HttpOptions`. It keeps no secret in its repr.
    """

    def __init__(
        self,
        *,
        for_tokens: bool = False,
        not_finite: bool = False,
        **options: Unpack[HttpOptions],
    ) -> None:
        self._for_tokens = for_tokens
        self._not_finite = not_finite
        self._prototype = options.get("auth")
        self._auth: Auth | None = None
        self._tls = options.get("tls")
        self._max_answer_bytes = options.get("max_answer_bytes", MAX_ANSWER_BYTES)
        self._max_request_bytes = options.get("max_request_bytes")
        self._session: ClientSession | None = None
        self._urls: dict[str, URL] = {}
        self.mask = Mask()
        """Hides in messages what it is told to."""

    async def open(self, context: Context, connections: int) -> None:
        """Get ready for as many requests at once as `connections` says; connects to nothing.

        Raises MisconfiguredError for a secret that is not there or a TLS file that is wrong.
        """
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
            "Content-Type": _FORM if self._for_tokens else _JSON,
            "Accept": _JSON,
            # Answers are small; a compressed one would cost more than it saves.
            "Accept-Encoding": "identity",
            "User-Agent": "thalweg",
        }
        if self._prototype is not None:
            # The graph's is shared by all endpoints that use it: open a copy.
            self._auth = copy.copy(self._prototype)
            self._auth.mask = self.mask
            await self._auth.open(context)
        trusted = True if self._tls is None else await context.in_thread(self._tls.context)
        self._session = ClientSession(
            connector=TCPConnector(limit=connections, ssl=trusted),
            headers=headers,
            cookie_jar=DummyCookieJar(),
            # The runtime limits each attempt as a whole; a second clock would only cost.
            timeout=ClientTimeout(total=None, sock_connect=None),
            trust_env=False,
            request_class=prompt_requests(),
        )

    async def close(self) -> None:
        """Close all connections."""
        auth, self._auth = self._auth, None
        session, self._session = self._session, None
        try:
            if auth is not None:
                await auth.close()
        finally:
            if session is not None:
                await session.close()

    async def request(self, method: str, url: str, body: bytes | None = None) -> Any:
        """Send the request and return the decoded answer.

        A body beyond the limit is a `DataError` and is not sent. A request that is refused with
        401 is made once more where `auth` has other headers for it by then.

        Raises what `refusals.refusal` says for a status that is no success. Silence (no
        connection, a reset, an answer that breaks off) is `UnavailableError`. So is a whole answer
        that is not JSON, with `answered=True`: a model that computes NaN for one row makes such
        an answer, and dividing the batch finds the row. An answer beyond the limit is a
        `DataError`, since half of the batch makes half of it.
        """
        limit = self._max_request_bytes
        if limit is not None and body is not None and len(body) > limit:
            raise DataError(
                f"{method} {shown(url)} would send {len(body)} bytes, and max_request_bytes "
                f"allows {limit}"
            )
        auth = self._auth
        if auth is None:
            asked = self.send(method, url, body)
            del body  # What was written need not be kept.
            try:
                return await asked
            except UnauthorizedError as error:
                raise MisconfiguredError(
                    f"{error}: give the endpoint auth=, such as bearer('env:TOKEN')"
                ) from None
        given = await auth.headers()
        try:
            return await self.send(method, url, body, given)
        except UnauthorizedError as error:
            refused = str(error)  # Not itself: it would hold the body by its traceback.
        renewed = await auth.renewed(given)
        if renewed is None:
            raise MisconfiguredError(f"{refused} (it does not accept {auth!r})")
        try:
            return await self.send(method, url, body, renewed)
        except UnauthorizedError as error:
            raise MisconfiguredError(
                f"{error} (it does not accept {auth!r}, also when that is renewed)"
            ) from None

    async def send(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send one request with these headers beside the usual ones, and no other, once."""
        session = self._session
        if session is None:
            raise RuntimeError("an endpoint is opened before it is called")
        data = BytesIO(body) if body is not None and len(body) >= _LARGE_BODY else body
        asked = session.request(
            method, self._parsed(url), data=data, headers=headers, allow_redirects=False
        )
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
            raise self._silent(f"{method} {shown(url)}", error) from None
        try:
            return decoded(answer, not_finite=self._not_finite)
        except ValueError:
            what = f"{response.status} with what is not JSON"
            if not self._for_tokens:
                what += f": {reason(answer, self.mask)}"
            raise self.garbage(method, url, what) from None

    def _parsed(self, url: str) -> URL:
        """The URL as the client wants it, taken apart once and not for each request."""
        parsed = self._urls.get(url)
        if parsed is None:
            from yarl import URL

            parsed = self._urls[url] = URL(url)
            self.mask.hide(*secrets_in(url), standing=True)
        return parsed

    def garbage(self, method: str, url: str, what: str, answer: Any = None) -> UnavailableError:
        """The error for an answer that came whole and cannot be used.

        `what` says how it is, and `answer` is what was decoded: an error may be in it, since there
        are servers that answer one as a success.
        """
        said = told(cast("Json", answer)) if isinstance(answer, dict) else ""
        # Masked before it is cut: half of a secret would not be found.
        what = self.mask(what) + (f": {shortened(self.mask(said))}" if said else "")
        return UnavailableError(f"{method} {shown(url)} answered {what}", answered=True)

    def _silent(self, request: str, error: Exception) -> MisconfiguredError | UnavailableError:
        """The error where no answer came, or the connection was refused in the course of it."""
        refused = alert_of(error)
        if refused is not None:
            return MisconfiguredError(f"{request} was refused by the server: {refused}")
        said = shortened(self.mask(str(error))) or type(error).__name__
        return UnavailableError(f"{request} got no answer: {said}")

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
        return refusal(
            f"{method} {shown(url)}",
            response.status,
            response.headers,
            body,
            mask=self.mask,
            hints=not self._for_tokens,
        )

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
