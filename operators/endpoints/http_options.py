"""The options that all protocols over HTTP share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict, cast
from urllib.parse import SplitResult

from ...runtime.contracts import did_you_mean
from .address import takes_secrets
from .auth import Auth
from .tls import Tls

__all__ = ["MAX_ANSWER_BYTES", "HttpOptions", "checked_options"]

MAX_ANSWER_BYTES = 64 * 1024 * 1024


class HttpOptions(TypedDict, total=False):
    """The options of every endpoint over HTTP, each of which may be left out.

    >>> from thalweg.operators.endpoints import bearer, oip
    >>> options: HttpOptions = {"auth": bearer("env:TOKEN"), "max_request_bytes": 6_000_000}
    >>> oip("https://example.org/v2/models/iris", **options)
    oip('https://example.org/v2/models/iris')

    A secret is sent over https, or to this machine; along a redirect it is never sent.
    """

    auth: Auth | None
    """How requests prove who sends them, such as `bearer("env:TOKEN")` (None: they do not)."""

    tls: Tls | None
    """Whom connections trust, and the certificate that they show (None: the authorities of the
    system, and none)."""

    max_answer_bytes: int
    """The largest answer that is read, in bytes (64 MiB); of a batch with a larger one, each half
    is asked for alone."""

    max_request_bytes: int | None
    """The largest body that the server takes, in bytes (None: any). A batch that makes a larger
    one is halved before it is sent; a record that does so alone is rejected."""


_NAMES = ("auth", "tls", "max_answer_bytes", "max_request_bytes")


def checked_options(options: Mapping[str, object], parts: SplitResult | None = None) -> HttpOptions:
    """All of the options, those that are left out at their defaults; `parts` are of the URL.

    Raises TypeError or ValueError for one that is unknown or wrong, or does not fit the URL.
    """
    for name in options:
        if name not in _NAMES:
            raise TypeError(
                f"{name!r} is no option of an endpoint over HTTP{did_you_mean(name, _NAMES)}; "
                f"the options are {', '.join(_NAMES)}"
            )
    auth, tls = options.get("auth"), options.get("tls")
    if auth is not None and not isinstance(auth, Auth):
        # Not shown: it may be the secret itself.
        raise TypeError(
            f"auth is an Auth, such as bearer('env:TOKEN'), and not a {type(auth).__name__}"
        )
    if tls is not None and not isinstance(tls, Tls):
        raise TypeError(f"tls is a Tls, such as Tls(ca='ca.pem'), not {tls!r}")
    largest = {
        "max_answer_bytes": options.get("max_answer_bytes", MAX_ANSWER_BYTES),
        "max_request_bytes": options.get("max_request_bytes"),
    }
    for name, limit in largest.items():
        if limit is None and name == "max_request_bytes":
            continue
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise ValueError(f"{name} is a number of bytes, 1 or more, not {limit!r}")
    if parts is not None:
        _fit(auth, tls, parts)
    return HttpOptions(
        auth=auth,
        tls=tls,
        max_answer_bytes=cast(int, largest["max_answer_bytes"]),
        max_request_bytes=cast("int | None", largest["max_request_bytes"]),
    )


def _fit(auth: Auth | None, tls: Tls | None, parts: SplitResult) -> None:
    if auth is not None and not takes_secrets(parts):
        raise ValueError(
            f"auth would send a secret unencrypted to {parts.hostname}: use an https URL"
        )
    if auth is not None and (parts.username or parts.password):
        raise ValueError("the URL holds a user or a password, and auth is given: leave one out")
    if tls is not None and parts.scheme != "https":
        raise ValueError(f"tls is given, and the URL of {parts.hostname} is not https")
