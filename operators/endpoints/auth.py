"""How requests prove who sends them: the seam, and secrets that are sent as they are."""

from __future__ import annotations

import asyncio
import base64
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import cast

from ...runtime.contracts import Context, MisconfiguredError
from .mask import Mask
from .secret import Secret

__all__ = ["Auth", "api_key", "basic", "bearer"]

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_TAKEN = frozenset(
    (
        "accept", "accept-encoding", "connection", "content-length", "content-type", "host",
        "transfer-encoding", "user-agent",
    )
)  # fmt: skip


class Auth(ABC):
    """How requests over HTTP prove who sends them.

    >>> from thalweg.operators.endpoints import bearer
    >>> bearer("env:SCORING_TOKEN")
    bearer('env:SCORING_TOKEN')

    One in a graph is a prototype: each endpoint that opens works on a shallow copy, so create what
    changes in `open`. `mask` is made before `open`: tell it each secret that leaves the machine,
    and no message will show it.
    """

    mask: Mask

    async def open(self, context: Context) -> None:
        """Read the secrets; MisconfiguredError where there is none. Connects to nothing."""

    @abstractmethod
    async def headers(self) -> Mapping[str, str]:
        """The headers of the next request: the same object as long as they do not change."""

    async def renewed(self, refused: Mapping[str, str]) -> Mapping[str, str] | None:
        """Other headers than these, which were refused with 401; None where there are none."""
        return None

    async def close(self) -> None:
        """Let go of everything."""


class StandingAuth(Auth):
    """A secret that is sent as it stands in its place, in one header. See `bearer`."""

    def __init__(
        self, text: str, secret: Secret, header: str, written: Callable[[str], str]
    ) -> None:
        self._text = text
        self._secret = secret
        self._header = header
        self._written = written

    def __repr__(self) -> str:
        return self._text

    async def open(self, context: Context) -> None:
        self._context = context
        self._reading = asyncio.Lock()
        self._headers = await self._read()

    async def headers(self) -> Mapping[str, str]:
        return self._headers

    async def renewed(self, refused: Mapping[str, str]) -> Mapping[str, str] | None:
        async with self._reading:
            # Not these: they were read again since, for another request.
            if self._headers is not refused:
                return self._headers
            if not self._secret.can_change:
                return None
            headers = await self._read()
            if headers == refused:
                return None
            self._headers = headers
            return headers

    async def _read(self) -> Mapping[str, str]:
        secret = await self._context.in_thread(self._secret.read)
        value = self._written(secret)
        # What stands in the header behind the name of a scheme is as good as the secret.
        self.mask.hide(secret, value.rpartition(" ")[2])
        if not value.isascii():
            raise MisconfiguredError(
                f"{self._text}: the secret holds characters that no header can carry"
            )
        return {self._header: value}


def bearer(token: str) -> Auth:
    """A token that stands in the environment or a file: `Authorization: Bearer …`.

    >>> bearer("file:/run/secrets/token")
    bearer('file:/run/secrets/token')

    It is read when the job opens; a file is read again when the server refuses the token (401).
    Parameters: `token`, `env:NAME` or `file:PATH`. Raises ValueError for any other text. At the
    start, MisconfiguredError where there is no token.
    """
    secret = Secret(token, "bearer()")
    return StandingAuth(f"bearer({secret})", secret, "Authorization", "Bearer {}".format)


def api_key(key: str, *, header: str = "X-API-Key") -> Auth:
    """A key in a header of its own.

    >>> api_key("env:MODEL_KEY")
    api_key('env:MODEL_KEY')

    It is read when the job opens; a file is read again when the server refuses the key (401).
    Parameters: `key`, `env:NAME` or `file:PATH`; `header`, the header's name (`X-API-Key`). Raises
    ValueError for any other text, and for a header that cannot be. At the start,
    MisconfiguredError where there is no key.
    """
    secret = Secret(key, "api_key()")
    if not _HEADER.match(header) or header.lower() in _TAKEN:
        raise ValueError(f"header is the name of a header for the key, and {header!r} cannot be")
    named = "" if header == "X-API-Key" else f", header={header!r}"
    return StandingAuth(f"api_key({secret}{named})", secret, header, str)


def basic(user: str, password: str) -> Auth:
    """A user and a password: `Authorization: Basic …`.

    >>> basic("scorer", "env:SCORER_PASSWORD")
    basic('scorer', 'env:SCORER_PASSWORD')

    The password is read when the job opens; a file is read again when the server refuses it (401).
    Parameters: `user`, the name itself, without a colon; `password`, `env:NAME` or `file:PATH`.
    Raises ValueError for any other text. At the start, MisconfiguredError where there is no
    password.
    """
    if not isinstance(cast(object, user), str) or not user or ":" in user or not user.isprintable():
        # Not shown: it may be both at once.
        raise ValueError("basic() takes the name of a user, which has no colon in it")
    secret = Secret(password, "basic()")
    return StandingAuth(
        f"basic({user!r}, {secret})",
        secret,
        "Authorization",
        lambda password: "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode(),
    )
