"""What a model may be called."""

from __future__ import annotations

import re

from ...runtime.errors import MisconfiguredError

__all__ = ["checked_name"]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.~-]{0,99}\Z")


def checked_name(name: str) -> str:
    """The name, if it fits into a URL as it is.

    >>> checked_name("iris-2.1")
    'iris-2.1'

    Raises MisconfiguredError for any other.
    """
    if not _NAME.match(name):
        raise MisconfiguredError(
            f"the model's name {name[:120]!r} does not fit into a URL: begin with a letter or a "
            "digit and go on with letters, digits, '_', '-', '.' or '~', 100 at most"
        )
    return name
