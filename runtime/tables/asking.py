"""One query, with its limits."""

from __future__ import annotations

import threading
from _thread import start_new_thread
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from ..columns import arrow
from ..errors import QueryError, QueryTimeout
from .answer import Answer

__all__ = ["Asking"]

_AGAIN = 0.05
"""Seconds until a query that has had its time is interrupted once more."""

_STRETCH = 2048
"""Rows that are fetched at a time: so many may be beyond the limit before that is seen."""


class Asking:
    """A query that is about to be answered, in a thread; another one may stop it.

    Parameters: `sql`, one SELECT; `seconds`, `rows` and `size` in bytes, which the answer may take.
    """

    def __init__(self, sql: str, *, seconds: float, rows: int, size: int) -> None:
        self.sql = sql
        self.seconds = seconds
        self._rows = rows
        self._size = size
        self._wake = threading.Event()
        self._done = threading.Event()
        self._stopped = self._expired = False

    def stop(self) -> None:
        """Give up: nobody waits for the answer any more. Safe from any thread."""
        self._stopped = True
        self._wake.set()

    def checked(self) -> None:
        """Raise QueryError unless the text is one query that only reads."""
        import duckdb

        kinds: Any = duckdb
        try:
            statements = kinds.extract_statements(self.sql)
        except kinds.Error as error:
            raise QueryError(_said(error)) from None
        if len(statements) != 1:
            raise QueryError(f"one SELECT is asked for, not {len(statements)} statements")
        kind = statements[0].type
        if kind != kinds.StatementType.SELECT:
            raise QueryError(
                f"tables are only read: a SELECT is asked for, not {kind.name}. What stands in "
                "them is what the graph sends there"
            )

    def answer(self, link: Any, version: int) -> Answer:
        """What the query finds on this connection, which is in a transaction that only reads.

        Raises QueryError, and QueryTimeout after its time.
        """
        import duckdb

        kinds: Any = duckdb
        try:
            with self._watched(link.interrupt):
                return self._fetched(link, version)
        except kinds.InterruptException:
            raise self.late() from None
        except kinds.OutOfMemoryException:
            raise QueryError(
                "the query needs more memory than the tables have left: ask for less at once"
            ) from None
        except (kinds.Error, RuntimeError, OSError) as error:
            # A reader of Arrow raises what Arrow has: its text is that of DuckDB.
            if self._expired or self._stopped:
                raise self.late() from None
            raise QueryError(_said(error)) from None

    def _fetched(self, link: Any, version: int) -> Answer:
        reader = link.sql(self.sql).to_arrow_reader(_STRETCH)
        pieces: list[Any] = []
        rows = size = 0
        for piece in reader:
            pieces.append(piece)
            rows += piece.num_rows
            size += piece.nbytes
            if rows > self._rows:
                raise QueryError(
                    f"the answer has more than {self._rows:,} rows: say LIMIT, or sum up more"
                )
            if size > self._size:
                raise QueryError(
                    f"the answer has more than {self._size:,} bytes: ask for fewer columns or rows"
                )
            if self._expired or self._stopped:
                raise self.late()
        return Answer(arrow().Table.from_batches(pieces, schema=reader.schema), version=version)

    def late(self) -> QueryError:
        """What to raise when its time is over."""
        if self._stopped:
            return QueryError("the query was stopped")
        return QueryTimeout(
            f"the query has not been answered within {self.seconds:g} s, and was stopped"
        )

    @contextmanager
    def _watched(self, interrupt: Callable[[], None]) -> Generator[None]:
        """Interrupt what runs inside when its time is over, or nobody waits for it."""

        running = threading.Lock()

        def watch() -> None:
            self._expired = not self._wake.wait(self.seconds)
            while True:
                with running:
                    if self._done.is_set():
                        return
                    # Again and again: one that comes between two steps of the engine is lost.
                    interrupt()
                self._done.wait(_AGAIN)

        # Neither its start nor its end is waited for, as a `Thread` would: under full load each
        # wait for another thread takes longer than most queries. The lock sees to it that nothing
        # is interrupted later.
        start_new_thread(watch, ())
        try:
            yield
        finally:
            with running:
                self._done.set()
            self._wake.set()


def _said(error: Exception) -> str:
    """What DuckDB says, without the drawing of where it stands."""
    text = str(error).strip()
    first = text.partition("\n")[0]
    return "".join(letter if letter.isprintable() else " " for letter in first)[:500]
