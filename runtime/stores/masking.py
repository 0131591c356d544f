"""URLs without the secrets in them."""

from __future__ import annotations

from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

__all__ = ["masked", "secrets_of"]


def masked(url: str) -> str:
    """The URL, with `***` in the place of a password.

    >>> masked("postgresql://flow:secret@db.example/flows?sslmode=require")
    'postgresql://flow:***@db.example/flows?sslmode=require'

    Raises ValueError, which does not show it, where it cannot be told what is the password.
    """
    parts = _split(url)
    place = parts.netloc
    if "@" in place:
        user, _, host = place.rpartition("@")
        name, colon, _ = user.partition(":")
        place = f"{name}{colon and ':***'}@{host}"
    fields = [
        f"{name}=***" if _is_secret(name) else f"{name}={value}"
        for name, _, value in (field.partition("=") for field in parts.query.split("&"))
    ]
    query = "&".join(fields) if parts.query else ""
    return parts._replace(netloc=place, query=query).geturl()


def secrets_of(url: str) -> frozenset[str]:
    """Each form in which the secrets of a URL may turn up in a text."""
    parts = _split(url)
    user, at, _ = parts.netloc.rpartition("@")
    written = [user.partition(":")[2]] if at else []
    written += [value for name, value in parse_qsl(parts.query) if _is_secret(name)]
    plain = [unquote(one) for one in written]
    return frozenset({*written, *plain, *(quote(one, safe="") for one in plain)} - {""})


def _is_secret(name: str) -> bool:
    return "password" in unquote(name).lower()


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = None
    if parts is None or "@" in parts.path + parts.query + parts.fragment or parts.fragment:
        # An error that shows it would show the password.
        raise ValueError(
            "the URL cannot be read: in a user, a password or a name, write '@' as %40, '/' as "
            "%2F, '?' as %3F, '#' as %23, '[' as %5B and ']' as %5D"
        ) from None
    return parts
