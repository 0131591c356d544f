"""What sinks write to: it outlives the process that writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...dataclass import dataclass
from ...errors import StateLost
from ...origins import Origin

__all__ = ["CommittedTarget", "PlainTarget", "Row"]


@dataclass(frozen=True, slots=True)
class Row:
    """A record in a target: where it came from, its key if the sink takes keys, its epoch."""

    record: object
    origin: Origin | None
    key: str | None = None

    @property
    def lane(self) -> tuple[str, str] | None:
        """The source and the lane, where it came from one record of one lane."""
        origin = self.origin
        if origin is None or origin.position is None or origin.through is not None:
            return None
        return origin.source, origin.lane


class CommittedTarget:
    """A target with transactions, as a database is: it shows what was committed, and that at once.

    What is staged is durable and shown to nobody. It knows the lineage and the epoch of its last
    commit and the largest token that it has heard of, and refuses who comes with a smaller one.
    """

    def __init__(self, name: str, wrong: Callable[[str], None]) -> None:
        self.name = name
        self.rows: list[Row] = []
        self.last = 0
        """The last epoch that was committed."""
        self._wrong = wrong
        self._token = 0
        self._committed: dict[str, int] = {}
        self._staged: dict[tuple[str, int], tuple[Row, ...]] = {}

    @property
    def held(self) -> Sequence[Row]:
        """What it shows."""
        return self.rows

    def stage(self, lineage: str, token: int, epoch: int, rows: Sequence[Row]) -> None:
        """Keep these rows durably, unseen; the same epoch once more takes their place."""
        self._fence(token)
        if epoch <= self._committed.get(lineage, 0):
            self._wrong(f"{self.name}: epoch {epoch} was prepared after it had been committed")
        self._staged[lineage, epoch] = tuple(rows)

    def commit(self, lineage: str, token: int, epoch: int) -> None:
        """Show what was staged; nothing happens if that was done before."""
        self._fence(token)
        if epoch <= self._committed.get(lineage, 0):
            return
        rows = self._staged.pop((lineage, epoch), None)
        if rows is None:
            self._wrong(f"{self.name}: epoch {epoch} was committed and never prepared")
            return
        self.rows += rows
        self.last = self._committed[lineage] = epoch

    def discard(self, lineage: str, token: int, epoch: int) -> None:
        """Forget what was staged after this epoch, and by whoever came before."""
        self._fence(token)
        for key in list(self._staged):
            if key[0] != lineage or key[1] > epoch:
                del self._staged[key]

    def _fence(self, token: int) -> None:
        if token < self._token:
            raise StateLost(f"another copy of the job writes to {self.name}")
        self._token = token


class PlainTarget:
    """A target that shows what is written at once, and keeps it whatever happens.

    `kept` leaves out what was written after the epoch from which a later start went on: that comes
    again, and is in `again`. So `kept` is what a sink that commits would show.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.kept: list[Row] = []
        self.again: list[tuple[int, Sequence[Row]]] = []
        """What is to come again, and behind how many rows of those that are kept."""
        self._marks: dict[int, int] = {}

    @property
    def held(self) -> Sequence[Row]:
        """What it shows, without what came again."""
        return self.kept

    def add(self, rows: Sequence[Row]) -> None:
        """Write these rows."""
        self.kept += rows

    def mark(self, epoch: int) -> None:
        """The barrier of an epoch has come: what is written from now on does not belong to it."""
        self._marks[epoch] = len(self.kept)

    def go_back(self, epoch: int) -> None:
        """A start goes on from this epoch: what was written after it is to come again."""
        self._marks = {n: place for n, place in self._marks.items() if n <= epoch}
        place = self._marks[max(self._marks)] if self._marks else 0
        if place < len(self.kept):
            self.again.append((place, self.kept[place:]))
            del self.kept[place:]
