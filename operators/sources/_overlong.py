"""Lines that are longer than they may be: what is said of one, and what is kept of it."""

from __future__ import annotations

__all__ = ["beginning", "too_long"]

_SHOWN = 1_000


def too_long(length: int, limit: int) -> str:
    """What is said of a line that is too long."""
    return f"the line is {length:,} bytes long, more than max_line_bytes={limit}"


def beginning(line: bytes) -> bytes:
    """What is kept of a line that is too long."""
    return line[:_SHOWN] + b" ..."
