"""The JSON of an answer, also where a server writes numbers that JSON does not have."""

from __future__ import annotations

import json
from typing import Any

import orjson

__all__ = ["decoded"]

_NOT_FINITE = (b"NaN", b"Infinity")


def decoded(answer: bytes, *, not_finite: bool = False) -> Any:
    """What the answer says; ValueError where it is not JSON in UTF-8.

    >>> decoded(b'{"predictions": [0.5, NaN, -Infinity]}', not_finite=True)
    {'predictions': [0.5, nan, -inf]}

    With `not_finite`, the words NaN, Infinity and -Infinity are numbers, as some servers write
    them. JSON itself has none of them, so elsewhere they are a reason to refuse an answer.
    """
    try:
        return orjson.loads(answer)
    except orjson.JSONDecodeError:
        if not (not_finite and any(word in answer for word in _NOT_FINITE)):
            raise
    try:
        # Several times slower, which is why it comes second.
        said = json.loads(answer.decode())
        # It takes more than those words: half of a surrogate pair, integers beyond 64 bits. What
        # cannot be written again is not to get into records.
        orjson.dumps(said)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return said
