"""The URL of a PostgreSQL database, and what of it may be shown."""

from __future__ import annotations

from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

__all__ = ["read_url"]


def read_url(url: str) -> tuple[str, frozenset[str]]:
    """The database in words, without user, password and options; and each form of its secrets.

    >>> read_url("postgresql://flow:s3cret@db.example/flows?sslmode=require")
    ('postgresql://db.example/flows', frozenset({'s3cret'}))

    Raises ValueError, which does not show it, for what cannot be read.
    """
    parts = _split(url)
    user, _, place = parts.netloc.rpartition("@")
    given = [user.partition(":")[2]]
    given += [value for name, value in parse_qsl(parts.query) if "password" in name.lower()]
    secrets = frozenset(form for one in given for form in (one, unquote(one)) if form)
    return f"postgresql://{place}{parts.path}", secrets


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = None
    if parts is None or "@" in parts.path + parts.query or parts.fragment:
        # An error that shows it would show the password.
        raise ValueError(
            "the URL cannot be read: in a user, a password or a name, write '@' as %40, '/' as "
            "%2F, '?' as %3F, '#' as %23, '[' as %5B and ']' as %5D"
        ) from None
    if parts.scheme not in ("postgresql", "postgres") or not parts.netloc + parts.query:
        raise ValueError("url begins with 'postgresql://', such as 'postgresql://user@host/db'")
    return parts
