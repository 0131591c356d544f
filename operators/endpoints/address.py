"""The address of a server: whether it is one, what is safe to send to it, how messages show it."""

from __future__ import annotations

import base64
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

__all__ = ["checked_url", "secrets_in", "shown", "takes_secrets"]

_NOT_SECRET = frozenset(("version",))
_LONGEST_LABEL = 63
"""Characters (RFC 1035); beyond, looking the name up fails, and not as for one that nobody has."""

_SHORT = 8
"""Characters: a value of the query that is shorter is hardly a secret, and may stand anywhere."""


def checked_url(url: str, *, example: str) -> SplitResult:
    """The parts of a URL; ValueError where it is none, or holds a password that would travel in
    the clear.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{shown(url)!r} is no URL ({error}); one looks like {example}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"{shown(url)!r} is no http or https URL; one looks like {example}")
    if not _can_be(host):
        raise ValueError(
            f"{shown(url)!r} names a host that cannot be: between its dots stand 1 to "
            f"{_LONGEST_LABEL} characters, and none is a space or a backslash; one looks like "
            f"{example}"
        )
    if (parts.username or parts.password) and not takes_secrets(parts):
        raise ValueError(
            f"the password in the URL would travel unencrypted to {host}: use an https URL"
        )
    return parts


def _can_be(host: str) -> bool:
    """Whether the name can be looked up. Where it cannot, the error would not be an OSError."""
    if "\\" in host or any(sign.isspace() for sign in host):
        return False
    try:
        # A name of another alphabet is longer as it is looked up.
        written = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return False
    return all(0 < len(label) <= _LONGEST_LABEL for label in written.removesuffix(".").split("."))


def takes_secrets(parts: SplitResult) -> bool:
    """Whether what is sent there stays on this machine, or travels encrypted."""
    return parts.scheme == "https" or _is_loopback(parts.hostname or "")


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


def secrets_in(url: str) -> list[str]:
    """What a URL holds that a message may not show: its password, also as it travels with the user,
    and long values of its query.
    """
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    held = [value for key, value in pairs if key not in _NOT_SECRET and len(value) >= _SHORT]
    if not parts.password:
        return held
    password = unquote(parts.password)
    pair = f"{unquote(parts.username or '')}:{password}".encode()
    return [*held, password, base64.b64encode(pair).decode()]
