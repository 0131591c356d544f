"""What hides secrets in what the other side says about them."""

from __future__ import annotations

from collections import deque
from urllib.parse import quote, quote_plus

import orjson

__all__ = ["Mask"]

_KEPT = 16
"""Secrets that are remembered of those that change: an answer may come late, and say an old one."""


class Mask:
    """Puts `[secret]` in the place of each secret that it was told.

    >>> mask = Mask()
    >>> mask.hide("open-sesame")
    >>> mask("token open-sesame has expired")
    'token [secret] has expired'
    """

    __slots__ = ("_forms", "_secrets", "_standing")

    def __init__(self) -> None:
        self._secrets: deque[str] = deque(maxlen=_KEPT)
        self._standing: set[str] = set()
        self._forms: list[str] = []

    def hide(self, *secrets: str, standing: bool = False) -> None:
        """Hide these from now on, also as they stand in a URL, a form or in JSON.

        Those that are `standing` are never forgotten; of the others, the last 16 are remembered.
        """
        for secret in filter(None, secrets):
            if standing:
                self._standing.add(secret)
                continue
            if secret in self._secrets:
                self._secrets.remove(secret)  # It is used again: the last to be forgotten.
            self._secrets.append(secret)
        held = (*self._secrets, *self._standing)
        forms = {form for secret in held for form in _forms(secret)}
        # The longest first: a secret may begin with another.
        self._forms = sorted(forms, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without them."""
        for form in self._forms:
            text = text.replace(form, "[secret]")
        return text


def _forms(secret: str) -> tuple[str, ...]:
    json = orjson.dumps(secret).decode()[1:-1]
    return secret, json, json.replace("/", "\\/"), quote_plus(secret), quote(secret, safe="")
