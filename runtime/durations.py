"""Lengths of time, as numbers of seconds or as text."""

from __future__ import annotations

import math
import re

__all__ = ["Duration", "in_seconds"]

Duration = float | str
"""A length of time: seconds, or text such as `"15min"`, `"1.5h"` or `"1d12h"`."""

_UNITS = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3,
    "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0,
}  # fmt: skip
_PIECE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Zµμ]+)\s*")


def in_seconds(length: Duration, what: str = "a length of time") -> float:
    """The seconds of a length of time, 0 or more; `what` names it in messages.

    >>> in_seconds("15min"), in_seconds("1d12h"), in_seconds(2)
    (900.0, 129600.0, 2.0)

    The units are ns, us, ms, s, min, h, d (24 hours) and w. Raises TypeError for what is neither a
    number nor text, ValueError for what is no length of time.
    """
    if isinstance(length, str):
        return _parsed(length, what)
    if not _is_number(length):
        raise TypeError(f"{what} is a number of seconds, or text such as '15min', not {length!r}")
    if not 0 <= length < math.inf:
        raise ValueError(f"{what} is 0 seconds or more, not {length!r}")
    return float(length)


def _is_number(given: object) -> bool:
    """Options are given unchecked, as functions are."""
    return isinstance(given, int | float) and not isinstance(given, bool)


def _parsed(text: str, what: str) -> float:
    total, at = 0.0, 0
    while at < len(text) or not text:
        piece = _PIECE.match(text, at)
        unit = _UNITS.get(piece[2]) if piece is not None else None
        if piece is None or unit is None:
            hint = ": 'm' could be a month, say 'min'" if piece and piece[2] == "m" else ""
            raise ValueError(
                f"{what} is a number of seconds, or text such as '30s', '15min', '1.5h' or "
                f"'1d12h' (units: ns, us, ms, s, min, h, d, w), not {text!r}{hint}"
            )
        total += float(piece[1]) * unit
        at = piece.end()
    return total
