"""A token that a token server gives for a secret: fetched, kept, and renewed before it expires."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable, Mapping
from math import inf, isfinite
from typing import Any, cast
from urllib.parse import urlencode

from ...runtime.contracts import (
    BusyError,
    Context,
    DataError,
    MisconfiguredError,
    ThalwegError,
    UnavailableError,
)
from .address import checked_url, shown, takes_secrets
from .auth import Auth
from .http import HttpJson
from .http_options import checked_options
from .secret import Secret
from .tls import Tls

__all__ = ["FetchedAuth", "Given"]

Given = tuple[Mapping[str, str], Mapping[str, str]]
"""The form and the headers of a request for a token."""

_PATIENCE = 30.0
_RENEWED_AT = 0.8
_LONGEST_PAUSE = 30.0
_LONGEST_ADVICE = 300.0
_LARGEST = 1024 * 1024


class FetchedAuth(Auth):
    """Fetches a token for a secret. See `iam` and `client_credentials`.

    Parameters: `text`, its repr; `url`, the token server; `secret`, read again for each fetch;
    `given`, what makes the form and the headers of the request; `tls`, for the token server.
    Raises ValueError where the secret would travel in the clear.
    """

    def __init__(
        self,
        text: str,
        url: str,
        secret: Secret,
        given: Callable[[str], Given],
        tls: Tls | None,
    ) -> None:
        parts = checked_url(url, example="https://HOST/token")
        if parts.username or parts.password:
            raise ValueError(f"the URL of a token server holds no user or password: {shown(url)}")
        if not takes_secrets(parts):
            raise ValueError(
                f"the secret would travel unencrypted to {parts.hostname}: use an https URL"
            )
        self._options = checked_options({"tls": tls, "max_answer_bytes": _LARGEST}, parts)
        self._text = text
        self._url = url
        self._secret = secret
        self._given = given

    def __repr__(self) -> str:
        return self._text

    async def open(self, context: Context) -> None:
        self._context = context
        # The loop's own time: that of the tests stands still, and jumps.
        self._now = asyncio.get_running_loop().time
        self._headers: Mapping[str, str] | None = None
        self._renew_at = self._ends_at = inf
        self._failures = 0
        self._fetching: asyncio.Task[ThalwegError | None] | None = None
        self._http: HttpJson | None = None
        # The token is fetched by the first request; what is missing here is told at the start.
        await context.in_thread(self._secret.read)
        http = HttpJson(for_tokens=True, **self._options)
        await http.open(context, secure=self._url.startswith("https:"))
        self._http = http

    async def headers(self) -> Mapping[str, str]:
        headers, now = self._headers, self._now()
        if headers is None or now >= self._ends_at:
            return await self._fetched()
        if now >= self._renew_at:
            # In the background: what is there is still good.
            self._fetch()
        return headers

    async def renewed(self, refused: Mapping[str, str]) -> Mapping[str, str] | None:
        if self._headers is not None and self._headers is not refused:
            return self._headers
        self._headers = None
        return await self._fetched()

    async def close(self) -> None:
        fetching, self._fetching = self._fetching, None
        if fetching is not None:
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    async def _fetched(self) -> Mapping[str, str]:
        # A call that is cancelled while it waits leaves the fetch to the others that wait.
        error = await asyncio.shield(self._fetch())
        if error is not None:
            raise copy.copy(error)
        assert self._headers is not None
        return self._headers

    def _fetch(self) -> asyncio.Task[ThalwegError | None]:
        """The fetch that is under way, or one that begins now; it returns what went wrong."""
        fetching = self._fetching
        if fetching is None or fetching.done():
            fetching = asyncio.create_task(self._fetch_once(), name="thalweg-token")
            self._fetching = fetching
        return fetching

    async def _fetch_once(self) -> ThalwegError | None:
        began = self._now()
        told = None
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await self._asked()
            token, life = self._read(answer)
        except TimeoutError:
            error: ThalwegError = UnavailableError(
                f"{self._text} got no token within {_PATIENCE:g} s"
            )
        except BusyError as busy:
            told = busy.retry_after
            error = BusyError(
                f"{self._text} got no token: {busy}", retry_after=told, retry_at=busy.retry_at
            )
        except UnavailableError as silent:
            # Not as an answer: whatever it is, it is not the data.
            error = UnavailableError(f"{self._text} got no token: {silent}")
        except (DataError, MisconfiguredError) as refused:
            error = MisconfiguredError(f"{self._text} got no token: {refused}")
        else:
            self._headers = {"Authorization": f"Bearer {token}"}
            self._renew_at, self._ends_at = began + _RENEWED_AT * life, began + life
            self._failures = 0
            return None
        # What is there may be good for a while: the token server is not asked by each request.
        pause = min(2.0**self._failures, _LONGEST_PAUSE)
        self._failures = min(self._failures + 1, 10)
        self._renew_at = self._now() + max(pause, min(told or 0.0, _LONGEST_ADVICE))
        return error

    async def _asked(self) -> Any:
        assert self._http is not None
        secret = await self._context.in_thread(self._secret.read)
        form, headers = self._given(secret)
        sent = [secret, *(value.rpartition(" ")[2] for value in headers.values())]
        self.mask.hide(*sent)
        self._http.mask.hide(*sent)
        body = urlencode(form).encode()
        return await self._http.send("POST", self._url, body, headers)

    def _read(self, answer: Any) -> tuple[str, float]:
        """The token, and for how many seconds it is good. The answer is never shown: it holds it.

        Raises MisconfiguredError for an answer that holds no token, or of another kind.
        """
        where = f"POST {shown(self._url)}"
        if not isinstance(answer, dict):
            raise MisconfiguredError(f"{where} answered no JSON object: is it a token server?")
        said = cast("dict[str, object]", answer)
        token = said.get("access_token")
        if not isinstance(token, str) or not token:
            raise MisconfiguredError(f"{where} answered without access_token")
        self.mask.hide(token)
        kind = said.get("token_type", "Bearer")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise MisconfiguredError(f"{where} answered a token that is no bearer token")
        if not token.isascii() or not token.isprintable() or " " in token:
            raise MisconfiguredError(f"{where} answered a token that no header can carry")
        life = _number(said.get("expires_in"))
        if life is None:
            ends = _number(said.get("expiration"))
            # Where nothing is told it is kept until it is refused.
            life = inf if ends is None else ends - time.time()
        return token, max(life, 0.0)


def _number(given: object) -> float | None:
    # Some token servers write numbers as text.
    try:
        number = float(cast(str, given))
    except (TypeError, ValueError):
        return None
    return number if isfinite(number) else None
