"""Results that have come and were not read yet: some in memory, the rest in a file of no name."""

from __future__ import annotations

import contextlib
import logging
import pickle
import tempfile
from collections import deque
from typing import IO

from ..probes.probe_result import ProbeResult

__all__ = ["WaitingResults"]

_log = logging.getLogger("thalweg.sources")

_MEMORY = 32 * 1024 * 1024
_TAKEN = 8 * 1024 * 1024
"""Characters that are kept in memory, and that are taken at once."""
_FIELDS = 500
"""What a result comes to beside its output."""


class WaitingResults:
    """First in, first out: as much as `memory` says is held as it is, and what follows in a file.

    >>> from thalweg.operators.fleet import result_of
    >>> waiting = WaitingResults(memory=2_000)
    >>> for number in range(9):
    ...     waiting.add(result_of("x" * 900, sweep=number))
    >>> [result["sweep"] for result in waiting.take(100)], len(waiting)
    ([0, 1, 2, 3, 4, 5, 6, 7, 8], 0)
    >>> waiting.close()

    The file is in the folder for temporary files, and ends with the process. Where it cannot be
    written, such as on a full disk, results wait in memory after all. Writing and reading are done
    at once: what is written is in the memory of the system, as a rule, and read again soon.
    """

    def __init__(self, memory: int = _MEMORY) -> None:
        self._memory = memory
        self._first: deque[ProbeResult] = deque()
        self._held = 0
        self._file: IO[bytes] | None = None
        self._in_file = 0
        self._read, self._written = 0, 0
        self._last: deque[ProbeResult] = deque()
        """Those after the file, where it takes no more."""

    def __len__(self) -> int:
        return len(self._first) + self._in_file + len(self._last)

    def add(self, result: ProbeResult) -> None:
        """Keep a result behind all others."""
        if not self._in_file and not self._last and self._held < self._memory:
            self._first.append(result)
            self._held += _size(result)
        elif self._last or not self._is_written(result):
            self._last.append(result)

    def take(self, limit: int) -> list[ProbeResult]:
        """The next results, up to this many, and not many megabytes at once."""
        taken: list[ProbeResult] = []
        size = 0
        while len(taken) < limit and size < _TAKEN and len(self):
            if self._first:
                result = self._first.popleft()
                self._held -= _size(result)
            elif self._in_file:
                result = self._from_file()
            else:
                result = self._last.popleft()
            taken.append(result)
            size += _size(result)
        return taken

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def _is_written(self, result: ProbeResult) -> bool:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  (`close` does)
            held = memoryview(pickle.dumps(result, pickle.HIGHEST_PROTOCOL))
            self._file.seek(self._written)
            place = self._written
            while held:
                count = self._file.write(held)
                place += count
                held = held[count:]
        except OSError as error:
            _log.warning("results wait in memory, since no file takes them: %s", error)
            return False
        self._written = place
        self._in_file += 1
        return True

    def _from_file(self) -> ProbeResult:
        assert self._file is not None
        self._file.seek(self._read)
        # It is ours alone, so that nobody else can have put anything into it.
        result: ProbeResult = pickle.load(self._file)
        self._read = self._file.tell()
        self._in_file -= 1
        if not self._in_file:
            self._read = self._written = 0
            with contextlib.suppress(OSError):
                self._file.truncate(0)
        return result


def _size(result: ProbeResult) -> int:
    return len(result["stdout"]) + len(result["stderr"]) + _FIELDS
