"""Lines that the reader of NDJSON would give up a whole file for, and a copy without them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["LONGEST", "tamed", "wild"]

LONGEST = 4 << 20
"""Bytes that one row may take."""

_DEEPEST = 100
"""How deep lists and objects may stand in one another: DuckDB gives up at 128."""


def wild(line: bytes) -> str | None:
    """Why a line is not handed to the reader, or None.

    >>> wild(b'{"n": ' + b"[" * 200 + b"]" * 200 + b"}")
    'lists and objects stand more than 100 deep in one another'
    """
    if len(line) > LONGEST:
        return f"it takes {len(line):,} bytes, and a row may take {LONGEST:,}"
    if line.count(b"[") + line.count(b"{") > _DEEPEST and _depth(line) > _DEEPEST:
        return f"lists and objects stand more than {_DEEPEST} deep in one another"
    return None


def _depth(line: bytes) -> int:
    """How deep brackets stand in one another, whatever stands in texts left out."""
    deepest = depth = at = 0
    while at < len(line):
        letter = line[at]
        if letter == 0x22:  # A text: to its end, whatever is escaped in it.
            at += 1
            while at < len(line) and line[at] != 0x22:
                at += 2 if line[at] == 0x5C else 1
        elif letter in b"[{":
            depth += 1
            deepest = max(deepest, depth)
            if deepest > _DEEPEST:
                break
        elif letter in b"]}":
            depth -= 1
        at += 1
    return deepest


@contextmanager
def tamed(plain: str) -> Generator[str]:
    """The path of a copy in which what is wild stands as a line that is no JSON."""
    import tempfile  # Such lines are rare.

    with tempfile.NamedTemporaryFile(prefix="thalweg-", suffix=".plain") as copy:
        with open(plain, "rb") as file:
            for line in file:
                copy.write(b"!\n" if wild(line) else line)
        copy.flush()
        yield copy.name
