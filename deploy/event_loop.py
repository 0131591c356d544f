"""The event loop that the launcher gives to what it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["loop_factory"]


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it is installed, else None for asyncio's own; no policy is changed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
