"""The token servers that are known: IBM Cloud, and those of OAuth 2."""

from __future__ import annotations

import base64
from typing import cast
from urllib.parse import quote_plus

from .address import shown
from .auth import Auth
from .fetched import FetchedAuth, Given
from .secret import Secret
from .tls import Tls

__all__ = ["client_credentials", "iam"]

_IAM = "https://iam.cloud.ibm.com/identity/token"


def iam(api_key: str, *, url: str = _IAM, tls: Tls | None = None) -> Auth:
    """A token of IBM Cloud for an API key.

    >>> iam("env:IBM_API_KEY")
    iam('env:IBM_API_KEY')

    The first request fetches the token; when 80 % of its life are over, the next one has it
    renewed in the background; a request that is refused with 401 has it renewed and is made again.
    The key is read again for each fetch. A token server that is busy or down makes requests wait
    as a model server does; one that refuses the key fails the job.

    Parameters: `api_key`, `env:NAME` or `file:PATH`; `url`, the token server (that of IBM Cloud);
    `tls`, whom connections to it trust (the authorities of the system). Raises ValueError for any
    other text, and for a URL that is not https. At the start, MisconfiguredError where there is no
    key.
    """
    secret = Secret(api_key, "iam()")

    def given(key: str) -> Given:
        return {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": key}, {}

    named = "" if url == _IAM else f", url={shown(url)!r}"
    return FetchedAuth(f"iam({secret}{named})", url, secret, given, tls)


def client_credentials(
    token_url: str,
    *,
    client_id: str,
    client_secret: str,
    scope: str | None = None,
    in_body: bool = False,
    tls: Tls | None = None,
) -> Auth:
    """A token of an OAuth 2 server, by the client credentials grant (RFC 6749, 4.4).

    >>> client_credentials(
    ...     "https://login.example.org/token", client_id="scorer", client_secret="env:SCORER_SECRET"
    ... )
    client_credentials('https://login.example.org/token', client_id='scorer', client_secret='env:SCORER_SECRET')

    It is fetched and renewed as with `iam`. Parameters: `token_url`, the token endpoint;
    `client_id`, the name of the client; `client_secret`, `env:NAME` or `file:PATH`; `scope`, what
    is asked for, names with spaces between them (None: what the server gives by default);
    `in_body`, whether name and secret are sent in the form and not as HTTP Basic (False); `tls`,
    whom connections to the token server trust (the authorities of the system). Raises ValueError
    for any other secret, an empty name, and a URL that is not https. At the start,
    MisconfiguredError where there is no secret.
    """  # noqa: E501
    if not isinstance(cast(object, client_id), str) or not client_id:
        raise ValueError("client_id is the name of the client, and it is empty or no text")
    if scope is not None and (not isinstance(cast(object, scope), str) or not scope.strip()):
        raise ValueError("scope is names with spaces between them, or None")
    secret = Secret(client_secret, "client_secret")
    form = {"grant_type": "client_credentials"} | ({} if scope is None else {"scope": scope})

    def given(password: str) -> Given:
        if in_body:
            return {**form, "client_id": client_id, "client_secret": password}, {}
        pair = f"{quote_plus(client_id)}:{quote_plus(password)}".encode()
        return form, {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}

    text = f"client_credentials({shown(token_url)!r}, client_id={client_id!r}, {client_secret=!r}"
    if scope is not None:
        text += f", {scope=!r}"
    if in_body:
        text += ", in_body=True"
    return FetchedAuth(text + ")", token_url, secret, given, tls)
