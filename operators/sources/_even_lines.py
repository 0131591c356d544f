"""CSV of which lines end in different ways, and a copy in which all end alike.

The reader gives up a whole file when CRLF and LF are mixed, as in one that two programs wrote to.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from ._csv_header import CsvHeader, goes_on

__all__ = ["evened", "is_uneven"]


def is_uneven(told: str) -> bool:
    """Whether the words of the reader may mean this."""
    return "state machine" in told


@contextmanager
def evened(plain: str, header: CsvHeader) -> Generator[str | None]:
    """The path of a copy of as many lines, which end alike; None where they do anyway.

    What stands in quotes stays as it is.
    """
    import tempfile  # Such files are rare.

    opening, inside, ends = header.delimiter + '"', False, set[str]()
    with tempfile.NamedTemporaryFile(prefix="thalweg-", suffix=".plain") as copy:
        # What is no UTF-8 stays what it is, too: the reader says so of its row alone.
        with open(plain, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            for line in file:
                inside = goes_on(line, opening, inside=inside)
                bare = line if inside else line.rstrip("\r\n")
                if not inside:
                    ends.add(line[len(bare) :])
                    bare += "\n"
                copy.write(bare.encode("utf-8", "surrogateescape"))
        copy.flush()
        yield copy.name if len(ends - {""}) > 1 else None
