"""The tables of one job: who fills them, which of them change together, and what is asked."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..columns import Columns
from ..errors import MisconfiguredError, QueryError, TableMissing
from .answer import Answer
from .asking import Asking
from .change import Change
from .database import LISTING, Database

__all__ = ["Table", "Tables"]

_MISSING = re.compile(r"Table with name (.+?) does not exist")

_AT_ONCE = 4
"""So many queries are answered at once; others wait for their turn, within their time."""


class _Together:
    """Tables that change together: what some of them have handed in, until all have."""

    def __init__(self) -> None:
        self.reached: dict[str, int] = {}
        """The last number that each of them has handed something in for."""
        self.waiting: dict[int, dict[str, list[Change]]] = {}

    def due(self) -> dict[str, list[Change]]:
        """What may be shown now, in order."""
        least = min(self.reached.values(), default=None)
        found: dict[str, list[Change]] = {}
        for number in sorted(self.waiting):
            if least is not None and number > least:
                break
            for name, changes in self.waiting.pop(number).items():
                found.setdefault(name, []).extend(changes)
        return found


class Tables:
    """The tables of one job.

    >>> import pyarrow
    >>> tables = Tables()
    >>> words = tables.declare("words")
    >>> words.show([Change("append", [Columns(pyarrow.table({"word": ["a", "b"]}))])])
    >>> tables.answer(Asking("from words", seconds=9.0, rows=10, size=1000)).rows()
    [{'word': 'a'}, {'word': 'b'}]

    Everything blocks, and may be called from any thread. The database is made when the first table
    is declared. `planned` are the names of those that will be; `triggers_above` tells the sources
    above a node that say what belongs together.
    """

    def __init__(
        self,
        triggers_above: Callable[[str], frozenset[str]] | None = None,
        planned: Iterable[str] = (),
    ) -> None:
        self._triggers_above = triggers_above
        self._planned = frozenset(planned)
        self._database: Database | None = None
        self._names: dict[str, str] = {}
        self._together: dict[str, _Together] = {}
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(_AT_ONCE)
        self._version = 0

    def triggers_above(self, node: str) -> frozenset[str]:
        """The sources above a node that say what belongs together."""
        return frozenset() if self._triggers_above is None else self._triggers_above(node)

    def declare(self, name: str, *, together: str | None = None) -> Table:
        """A table of this name, which has no columns yet.

        Those with the same `together` change together, for as long as they take part. Raises
        MisconfiguredError for a name that is taken, MissingExtra without DuckDB.
        """
        with self._lock:
            folded = name.casefold()
            if folded == LISTING or folded in self._names:
                raise MisconfiguredError(f"there is a table {name!r} already: choose another name")
            if self._database is None:
                self._database = Database()
            self._names[folded] = name
            if together is not None:
                self._together.setdefault(together, _Together()).reached[name] = -1
        return Table(self, name, together)

    def answer(self, asking: Asking) -> Answer:
        """The answer to a query. Raises QueryError."""
        if self._database is None:
            if self._planned:
                raise TableMissing(f"{_listed(self._planned)} will be there when the job has begun")
            raise QueryError("the graph has no table: send a stream .to(name, sinks.table(name))")
        if not self._turns.acquire(timeout=asking.seconds):
            raise asking.late()
        try:
            return self._database.ask(asking)
        except QueryError as error:
            if "Table with name" not in str(error):
                raise
            known = self._planned.union(self._names.values())
            asked = _MISSING.search(str(error))
            if asked is not None and asked[1].casefold() in map(str.casefold, known):
                raise TableMissing(
                    f"nothing has come for the table {asked[1]!r} yet, so it has no columns: ask "
                    "again later, or say them by sinks.table(…, columns=…)"
                ) from None
            raise TableMissing(f"{error} There is {_listed(known)}") from None
        finally:
            self._turns.release()

    def find(self, query: str, *, seconds: float, rows: int, size: int) -> Answer:
        """The answer to a query, within these limits. Raises QueryError."""
        return self.answer(Asking(query, seconds=seconds, rows=rows, size=size))

    def show(self, changes: Mapping[str, Sequence[Change]]) -> None:
        """Make changes for all to see, in one step."""
        with self._lock:
            self._show(changes)

    def hand_in(self, name: str, together: str, number: int, changes: Sequence[Change]) -> None:
        """Changes of one table, seen when all that change together have handed in this number."""
        with self._lock:
            group = self._together[together]
            group.reached[name] = max(number, group.reached.get(name, -1))
            group.waiting.setdefault(number, {}).setdefault(name, []).extend(changes)
            self._show(group.due())

    def leave(self, name: str, together: str) -> None:
        """The others do not wait for this table any more."""
        with self._lock:
            group = self._together[together]
            group.reached.pop(name, None)
            self._show(group.due())

    def contents(self, name: str) -> Columns:
        """All rows of a table."""
        assert self._database is not None
        with self._lock:
            return self._database.contents(name)

    def _show(self, changes: Mapping[str, Sequence[Change]]) -> None:
        if any(changes.values()):
            assert self._database is not None
            self._database.change(changes, self._version + 1)
            self._version += 1


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


class Table:
    """One table of a job, for who fills it."""

    def __init__(self, tables: Tables, name: str, together: str | None) -> None:
        self._tables = tables
        self.name = name
        self.together = together

    def show(self, changes: Sequence[Change]) -> None:
        """Make these changes at once."""
        self._tables.show({self.name: changes})

    def hand_in(self, number: int, changes: Sequence[Change]) -> None:
        """Make these changes with those of all tables that change together with this one."""
        if self.together is None:
            self.show(changes)
        else:
            self._tables.hand_in(self.name, self.together, number, changes)

    def leave(self) -> None:
        """Nothing more is handed in; what is there stays."""
        if self.together is not None:
            self._tables.leave(self.name, self.together)

    def contents(self) -> Columns:
        """All rows that can be seen."""
        return self._tables.contents(self.name)
