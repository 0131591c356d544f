"""From the bytes of a CSV file to rows: a block at once where it is clean, else line by line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from ...runtime.contracts import dataclass
from ._encoding import undecodable
from ._overlong import beginning, too_long

__all__ = ["Row", "Rows"]

_MOST_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Row:
    """One row, or what should have been one: `cells` is None where `problem` says why not.

    `line` is the number of its first line in the file, `raw` its text without the line end.
    """

    line: int
    raw: bytes
    cells: list[str] | None
    problem: str = ""


class Rows:
    """Takes rows off the front of a stretch of bytes that ends with a whole line."""

    def __init__(self, delimiter: str, encoding: str, max_line_bytes: int) -> None:
        self._delimiter = delimiter
        self._encoding = encoding
        self._limit = max_line_bytes
        self.restart()

    def restart(self) -> None:
        """Forget where the last file, or the last reading of it, had gone wrong."""
        self._doomed = 0
        self._doom = ""

    def clean(self, chunk: bytes, final: bool) -> tuple[list[list[str]], int] | None:
        """The rows and how many bytes they took, if nothing at all is wrong with them."""
        quoted = b'"' in chunk
        if len(chunk) > self._limit and (quoted or max(map(len, chunk.split(b"\n"))) > self._limit):
            return None
        if b"\0" in chunk:
            return None
        cut = _even_quotes(chunk) if quoted and not final else len(chunk)
        try:
            text = chunk[:cut].decode(self._encoding)
            # With newline="\n" only LF ends a line; str.splitlines would also cut at U+2028.
            lines = (
                io.StringIO(text, newline="\n") if quoted else text.removesuffix("\n").split("\n")
            )
            rows = list(csv.reader(lines, delimiter=self._delimiter, strict=True))
        except (UnicodeDecodeError, csv.Error):
            return None
        return rows, cut

    def careful(
        self, chunk: bytes, line: int, *, final: bool, beyond: int, most: int = _MOST_ROWS
    ) -> tuple[list[Row], int]:
        """Up to `most` rows, good and bad, and how many bytes they took.

        `line` is the number of the first line, `final` says that the file ends with the chunk,
        and `beyond` counts the bytes that have been read behind it. A last row whose quoted field
        may still go on is left for the next time.
        """
        lines = [part + b"\n" for part in chunk.split(b"\n")]
        lines[-1] = lines[-1][:-1]
        if not lines[-1]:
            del lines[-1]
        feed = _Feed(lines, self._encoding, self._limit)
        reader = csv.reader(feed, delimiter=self._delimiter, strict=True)
        rows: list[Row] = []
        index = taken = 0
        while index < len(lines) and len(rows) < most:
            number = line + index
            # What starts with an open quote here has the same end as the field before it had.
            feed.start(index, index + 1 if number < self._doomed else len(lines))
            cells: list[str] | None = None
            try:
                cells = next(reader)
            except (csv.Error, StopIteration) as error:
                if feed.too_long:
                    problem = too_long(len(lines[index].rstrip(b"\r\n")), self._limit)
                elif feed.stopped:
                    waits = feed.size + beyond <= self._limit + 1
                    if number >= self._doomed and not final and waits and not feed.limited:
                        break
                    problem = self._unclosed(feed, number, line, final)
                else:
                    problem = self._broken(feed, number, line, str(error))
                stop = index + 1
            else:
                stop = feed.index
                problem = feed.complaint
            if cells != [] or problem:
                raw = b"".join(lines[index:stop]).rstrip(b"\r\n")
                raw = beginning(raw) if feed.too_long else raw
                rows.append(Row(number, raw, None if problem else cells, problem))
            taken += sum(map(len, lines[index:stop]))
            index = stop
        return rows, taken

    def _unclosed(self, feed: _Feed, number: int, line: int, final: bool) -> str:
        if number >= self._doomed:
            self._doomed = line + feed.index
            within = f"within max_line_bytes={self._limit}"
            ended = final and not feed.limited
            self._doom = "before the end of the file" if ended else within
        return f"a quoted field that begins here is not closed {self._doom}"

    def _broken(self, feed: _Feed, number: int, line: int, error: str) -> str:
        last = line + feed.index - 1
        if last == number:
            return f"not valid CSV: {error}"
        self._doomed = last
        self._doom = f"properly: line {last}: {error}"
        return f"a quoted field that begins here is not closed {self._doom}"


class _Feed(Iterator[str]):
    """Hands lines to a csv.reader, which asks for as many as the row that it is at goes over."""

    def __init__(self, lines: Sequence[bytes], encoding: str, limit: int) -> None:
        self._lines = lines
        self._encoding = encoding
        self._limit = limit
        self.start(0, 0)

    def start(self, index: int, last: int) -> None:
        self.index = self._first = index
        self._last = last
        self.size = 0
        self.stopped = self.limited = self.too_long = False
        self.complaint = ""

    def __next__(self) -> str:
        if self.index == self._last:
            self.stopped = True
            raise StopIteration
        line = self._lines[self.index]
        if self.size + len(line.rstrip(b"\r\n")) > self._limit:
            self.stopped = self.limited = True
            self.too_long = self.index == self._first
            raise StopIteration
        self.size += len(line)
        self.index += 1
        try:
            text = line.decode(self._encoding)
        except UnicodeDecodeError as error:
            # Read on all the same: where the row ends is known only then.
            text = line.decode(self._encoding, "backslashreplace")
            self._complain(undecodable(line, self._encoding, error))
        if "\0" in text:
            self._complain(f"a NUL at character {text.index(chr(0)) + 1}")
        return text

    def _complain(self, problem: str) -> None:
        if not self.complaint:
            behind = self.index - 1 - self._first
            self.complaint = problem + (f", {behind} lines on" if behind else "")


def _even_quotes(chunk: bytes) -> int:
    """Where the last line ends before which the quotes are even: most likely the end of a row."""
    cut = len(chunk)
    odd = chunk.count(b'"') % 2
    while odd and cut:
        start = chunk.rfind(b"\n", 0, cut - 1) + 1
        odd ^= chunk.count(b'"', start, cut) % 2
        cut = start
    return cut
