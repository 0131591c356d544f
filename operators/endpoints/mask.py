"""What hides secrets in what the other side says about them."""

from __future__ import annotations

from collections import deque
from urllib.parse import quote, quote_plus

import orjson

__all__ = ["Mask"]

_KEPT = 16
"""Secrets that are remembered: those of now, and of before, since an answer may come late."""


class Mask:
    """Puts `[secret]` in the place of each secret that it was told.

    >>> mask = Mask()
    >>> mask.hide("open-sesame")
    >>> mask("token open-sesame has expired")
    'token [secret] has expired'
    """

    __slots__ = ("_forms", "_secrets")

    def __init__(self) -> None:
        self._secrets: deque[str] = deque(maxlen=_KEPT)
        self._forms: list[str] = []

    def hide(self, *secrets: str) -> None:
        """Hide these from now on, also as they stand in a URL, a form or in JSON."""
        for secret in secrets:
            if secret and secret not in self._secrets:
                self._secrets.append(secret)
        forms = {form for secret in self._secrets for form in _forms(secret)}
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
