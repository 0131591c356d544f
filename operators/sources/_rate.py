"""The one option that sources share."""

from __future__ import annotations

import math
from typing import cast

__all__ = ["checked_rate"]


def checked_rate(rate: float | None) -> float | None:
    """`rate` as it is, or a ValueError: records a second, above 0, or None for no limit."""
    if rate is None:
        return None
    if not isinstance(cast(object, rate), int | float) or not 0 < rate < math.inf:
        raise ValueError(
            f"rate is in records a second, above 0, or None for no limit, not {rate!r}"
        )
    return rate
