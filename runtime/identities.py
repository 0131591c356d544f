"""The ids of records that may be delivered again: what is part of an epoch passes once."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import cast

from .batch import Records
from .contracts import DataError, Rejected
from .stores import Segment

__all__ = ["IDS", "Identities"]

IDS = "ids"
"""The part of a source's memory that holds them."""

_AFTER_ACK = 300.0
"""Seconds for which an id is known after its record was acked: an ack may be lost on its way."""

_AFTER_RESTART = 3600.0
"""Seconds for which a restored id is known whose record does not come again."""

_MOST_ACKED = 100_000
"""So many ids of records that were acked are known at most."""

_MOST_SEGMENTS = 256
"""An epoch saves only the ids that are new, until so many would have to be read back."""


class _Group:
    """The ids of one epoch: the segment they are saved in, and when their records were acked."""

    __slots__ = ("acked_at", "ids", "saved_in")

    def __init__(self) -> None:
        self.ids: dict[Hashable, None] = {}
        self.saved_in = 0
        self.acked_at: float | None = None


class Identities:
    """Knows the ids of the records of one source that may be delivered again, and sifts them out.

    A record is known from when it is handed on. Its id is saved with its epoch and forgotten some
    time after its ack; when it comes again, it belongs to the present epoch, which acks it again.
    What was restored is known until it has come again, or for an hour.

    Parameters: `node`, the source's name; `identity`, which tells a record's id (None: it has
    none, and is never sifted out); `monotonic`, the clock.
    """

    def __init__(
        self, node: str, identity: Callable[[object], object], monotonic: Callable[[], float]
    ) -> None:
        self._node = node
        self._identity = identity
        self._monotonic = monotonic
        self._present = _Group()
        self._closed: deque[_Group] = deque()
        self._committed: deque[_Group] = deque()
        self._acked: deque[_Group] = deque()
        self._count_acked = 0
        self._restored: _Group | None = None
        self._restored_at = 0.0
        self._known: dict[Hashable, _Group] = {}
        self._whole = True
        """Whether the next epoch saves all of it."""
        self.repeats = 0
        """How many records have been sifted out."""

    def __len__(self) -> int:
        """How many ids are known."""
        return len(self._known)

    def sift(
        self, records: Records, positions: Sequence[int]
    ) -> tuple[Records, Sequence[int], list[Rejected]]:
        """The records that have not been handed on before, their positions, and those without an
        id that can be told.
        """
        present, known, identity = self._present, self._known, self._identity
        new: list[int] = []
        rejected: list[Rejected] = []
        for index, record in enumerate(records):
            try:
                name: Hashable = identity(record)
                group = known.get(name)
            except Exception as error:
                rejected.append(Rejected(positions[index], record, _explained(error)))
                continue
            if group is None:
                new.append(index)
                if name is None:
                    continue
            elif group is not present:
                self.repeats += 1
                self._take_out(group, name)
            else:
                self.repeats += 1
                continue
            known[name] = present
            present.ids[name] = None
        if len(new) == len(records):
            return records, positions, rejected
        return [records[index] for index in new], [positions[index] for index in new], rejected

    def save(self, epoch: int) -> Segment:
        """The barrier of an epoch has come: what it saves of these."""
        self._forget()
        group, self._present = self._present, _Group()
        group.saved_in = epoch
        self._closed.append(group)
        since = self._oldest().saved_in
        if self._whole or epoch - since >= _MOST_SEGMENTS:
            self._whole, since = False, epoch
            for one in (*self._acked, *self._committed, *self._closed):
                one.saved_in = epoch
            if self._restored is not None:
                self._restored.saved_in = epoch
            ids = list(self._known)
        else:
            ids = list(group.ids)
        return Segment(self._node, IDS, pickle.dumps(ids, 5) if ids else b"", since)

    def restore(self, segments: Sequence[bytes]) -> None:
        """Know what was saved."""
        group = _Group()
        for data in segments:
            if data:
                group.ids.update(dict.fromkeys(pickle.loads(data)))
        if group.ids:
            self._restored, self._restored_at = group, self._monotonic()
            self._known = dict.fromkeys(group.ids, group)

    def committed(self) -> None:
        """The oldest epoch that was saved and not committed has been committed."""
        if self._closed:
            self._committed.append(self._closed.popleft())

    def told(self) -> None:
        """The source has been told of all that has been committed."""
        now = self._monotonic()
        while self._committed:
            group = self._committed.popleft()
            if group.ids:
                group.acked_at = now
                self._acked.append(group)
                self._count_acked += len(group.ids)

    def _oldest(self) -> _Group:
        """The group that was saved in the oldest segment which is still needed."""
        if self._restored is not None:
            return self._restored
        return next(iter(self._acked or self._committed or self._closed))

    def _take_out(self, group: _Group, name: Hashable) -> None:
        del group.ids[name]
        if group.acked_at is not None:
            self._count_acked -= 1

    def _forget(self) -> None:
        now, acked = self._monotonic(), self._acked
        while acked and (
            now - cast("float", acked[0].acked_at) > _AFTER_ACK or self._count_acked > _MOST_ACKED
        ):
            group = acked.popleft()
            self._count_acked -= len(group.ids)
            self._drop(group)
        restored = self._restored
        if restored is not None and (not restored.ids or now - self._restored_at > _AFTER_RESTART):
            self._drop(restored)
            self._restored = None

    def _drop(self, group: _Group) -> None:
        for name in group.ids:
            del self._known[name]


def _explained(error: Exception) -> Exception:
    if isinstance(error, TypeError) and "unhashable" in str(error):
        return DataError(
            f"its id cannot be looked up ({error}): let identity return text, bytes, a number or "
            "a tuple of these"
        )
    return error
