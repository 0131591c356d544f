"""Which store a location means."""

from __future__ import annotations

import os
import re

from .local import LocalStore
from .store import Store

__all__ = ["store_at"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


def store_at(location: str | os.PathLike[str]) -> Store:
    """The store at a location: a directory of this machine, or a PostgreSQL by its URL.

    >>> store_at("state")
    LocalStore('state')
    >>> store_at("postgresql://flow:secret@db.example/flows")
    PostgresStore('postgresql://flow:***@db.example/flows')

    Nothing is looked at yet. Raises ValueError for a location of another kind, or an empty one.
    """
    if isinstance(location, str) and (found := _SCHEME.match(location)):
        if found[1].lower() in ("postgresql", "postgres"):
            from .postgres import PostgresStore

            return PostgresStore(location)
        raise ValueError(
            f"a store is a directory, such as 'state', or 'postgresql://user@host/database', and "
            f"not a {found[1]!r} location (a directory of such a name is written './{found[1]}:…')"
        )
    return LocalStore(location)
