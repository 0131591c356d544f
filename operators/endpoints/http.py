"""The HTTP client that the protocols share: JSON out, JSON in, typed errors."""

from __future__ import annotations

import copy
import importlib
import ssl
from collections.abc import Mapping
from typing import Any, Unpack, cast

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
from .http_connection import LARGEST_ERROR
from .http_options import MAX_ANSWER_BYTES, HttpOptions
from .http_pool import Pool
from .http_request import Target
from .http_response import Response
from .json_answer import decoded
from .mask import Mask
from .refusals import Json, UnauthorizedError, reason, refusal, shortened, told
from .server_timing import ServerTiming
from .tls import alert_of

__all__ = ["HttpJson", "encoded"]

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_USUAL = {
    "Accept": _JSON,
    # Answers are small; a compressed one would cost more than it saves.
    "Accept-Encoding": "identity",
    "User-Agent": "thalweg",
}


class HttpJson:
    """What asks a server: verified TLS, no redirects, no proxy, no cookies, bounded answers.

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
        self.timing = ServerTiming()
        self._pool: Pool | None = None
        self._targets: dict[tuple[str, str], Target] = {}
        self.mask = Mask()
        """Hides in messages what it is told to."""

    async def open(self, context: Context, *, secure: bool) -> None:
        """Get ready; connects to nothing.

        `secure` says whether they go to https addresses: who is trusted is then read from files.
        Raises MisconfiguredError for a secret that is not there or a TLS file that is wrong.
        """
        try:
            for name in ("aiohappyeyeballs", "httptools", "yarl"):
                importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise MissingExtra("scoring over HTTP", "http") from error
        self._targets = {}
        if self._prototype is not None:
            # The graph's is shared by all endpoints that use it: open a copy.
            self._auth = copy.copy(self._prototype)
            self._auth.mask = self.mask
            await self._auth.open(context)
        trusted = None
        if secure:
            making = ssl.create_default_context if self._tls is None else self._tls.context
            trusted = await context.in_thread(making)  # Since it reads files.
            trusted.set_alpn_protocols(["http/1.1"])
        self._pool = Pool(max_answer_bytes=self._max_answer_bytes, tls=trusted)

    async def close(self) -> None:
        """Close all connections."""
        auth, self._auth = self._auth, None
        pool, self._pool = self._pool, None
        try:
            if auth is not None:
                await auth.close()
        finally:
            if pool is not None:
                await pool.close()

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
        pool = self._pool
        if pool is None:
            raise RuntimeError("an endpoint is opened before it is called")
        target = self._targets.get((method, url)) or self._target(method, url)
        asked = pool.ask(
            target.place, target.head(None if body is None else len(body), headers), body
        )
        del body  # The client has it now, and lets go of it when it is written.
        try:
            response = await asked
        except ssl.SSLCertVerificationError as error:
            raise MisconfiguredError(
                f"{method} {shown(url)}: the server's certificate is not trusted: "
                f"{shortened(str(error))}"
            ) from None
        except OSError as error:
            raise self._silent(f"{method} {shown(url)}", error) from None
        return self._read(method, url, response)

    def _target(self, method: str, url: str) -> Target:
        self.mask.hide(*secrets_in(url), standing=True)
        usual = {} if method == "GET" else {"Content-Type": _FORM if self._for_tokens else _JSON}
        target = self._targets[method, url] = Target(method, url, usual | _USUAL)
        return target

    def _read(self, method: str, url: str, response: Response) -> Any:
        """What is in the answer."""
        limit = self._max_answer_bytes
        if not response.succeeded:
            raise refusal(
                f"{method} {shown(url)}",
                response.status,
                response.headers,
                self._told_by(response),
                mask=self.mask,
                hints=not self._for_tokens,
            )
        if "Content-Encoding" in response.headers:
            try:
                response = response.unpacked(limit)
            except ConnectionError as error:
                raise self.garbage(method, url, f"{response.status}, and {error}") from None
        if not response.whole:
            raise DataError(
                f"{method} {shown(url)} answered more than {limit} bytes: send smaller batches, "
                "or raise max_answer_bytes"
            )
        self.timing.look(response.headers)
        try:
            return decoded(response.body, not_finite=self._not_finite)
        except ValueError:
            what = f"{response.status} with what is not JSON"
            if not self._for_tokens:
                what += f": {reason(response.body, self.mask)}"
            raise self.garbage(method, url, what) from None

    def _told_by(self, response: Response) -> bytes:
        """The body of an error; the status means the same where that cannot be unpacked."""
        try:
            return response.unpacked(LARGEST_ERROR).body
        except ConnectionError as error:
            return str(error).encode()

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


def encoded(request: object) -> bytes:
    """The request as JSON; UnwritableError for a value that JSON cannot carry."""
    try:
        return orjson.dumps(request, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    except TypeError as error:
        raise UnwritableError(f"the rows cannot be written as JSON: {error}") from error
