"""The rows of one job in PostgreSQL: its epochs and their segments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from .chain import Chain, EpochRow, SegmentRow
from .mark import Mark
from .postgres_link import Connection
from .store import SavedEpoch

__all__ = ["PostgresRows"]

T = TypeVar("T")

_GROUP = 16 * 1024 * 1024
"""Bytes that are sent in one statement at most, a larger row aside."""
_EPOCH = "epoch, seen, head, parts, digest"
_SEGMENT = "node, part, epoch, piece, since, previous, digest, data"


class PostgresRows:
    """Reads and writes them, each call in whatever transaction its connection is in."""

    def __init__(self, schema: str, job: str, lineage: str) -> None:
        self._schema = schema
        self._job = job
        self._lineage = lineage

    async def epochs(self, connection: Connection) -> list[SavedEpoch]:
        """The epochs that are there, and those that must be; a damaged one counts as seen."""
        asked = f"SELECT {_EPOCH} FROM {self._schema}.epochs WHERE job = $1 ORDER BY epoch"
        rows = [EpochRow(*row.values()) for row in await connection.fetch(asked, self._job)]
        found = [
            SavedEpoch(row.epoch, row.seen != 0 or not row.sound(self._lineage)) for row in rows
        ]
        asked = f"SELECT last, seen FROM {self._schema}.jobs WHERE name = $1"
        job = await connection.fetchrow(asked, self._job)
        return found if job is None else Mark(self._lineage, *job.values()).complete(found)

    async def epoch(self, connection: Connection, epoch: int) -> EpochRow | None:
        """One epoch, without its segments."""
        asked = f"SELECT {_EPOCH} FROM {self._schema}.epochs WHERE job = $1 AND epoch = $2"
        row = await connection.fetchrow(asked, self._job, epoch)
        return None if row is None else EpochRow(*row.values())

    async def segments(self, connection: Connection, epoch: int) -> list[list[SegmentRow]]:
        """The segments of each part that an epoch needs."""
        found: dict[tuple[str, str], list[SegmentRow]] = {}
        keys = await connection.fetch(
            "SELECT node, part, epoch, piece, octet_length(data) AS size "
            f"FROM {self._schema}.segments AS one WHERE job = $1 AND epoch <= $2 AND EXISTS ("
            f"SELECT 1 FROM {self._schema}.segments AS last WHERE last.job = one.job "
            "AND last.node = one.node AND last.part = one.part AND last.epoch = $2 "
            "AND last.since <= one.epoch) ORDER BY node, part, epoch, piece",
            self._job, epoch,
        )  # fmt: skip
        for group in _groups(keys, [key["size"] for key in keys]):
            rows = await connection.fetch(
                f"SELECT {_SEGMENT} FROM {self._schema}.segments WHERE job = $1 AND "
                "(node, part, epoch, piece) IN (SELECT * FROM "
                "unnest($2::text[], $3::text[], $4::bigint[], $5::integer[])) "
                "ORDER BY node, part, epoch, piece",
                self._job,
                *([key[name] for key in group] for name in ("node", "part", "epoch", "piece")),
            )
            for row in rows:
                segment = SegmentRow(*row.values())
                found.setdefault((segment.node, segment.part), []).append(segment)
        return list(found.values())

    async def write(
        self, connection: Connection, before: Chain, head: EpochRow, rows: Sequence[SegmentRow]
    ) -> None:
        """Write an epoch in the place of all that came after the one before it."""
        for table in ("epochs", "segments"):
            await connection.execute(
                f"DELETE FROM {self._schema}.{table} WHERE job = $1 AND epoch > $2",
                self._job, before.last,
            )  # fmt: skip
        await connection.execute(
            f"INSERT INTO {self._schema}.epochs VALUES ($1, $2, $3, $4, $5, $6)",
            self._job, *head.values(),
        )  # fmt: skip
        for group in _groups(rows, [len(row.data) for row in rows]):
            await connection.executemany(
                f"INSERT INTO {self._schema}.segments VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                [(self._job, *row.values()) for row in group],
            )

    async def prune(self, connection: Connection, keep: int) -> None:
        """Delete the epochs before the last `keep`, and the segments that none of these needs."""
        oldest = await connection.fetchval(
            f"SELECT min(epoch) FROM (SELECT epoch FROM {self._schema}.epochs WHERE job = $1 "
            "ORDER BY epoch DESC LIMIT $2) AS kept",
            self._job, keep,
        )  # fmt: skip
        await connection.execute(
            f"DELETE FROM {self._schema}.epochs WHERE job = $1 AND epoch < $2", self._job, oldest
        )
        await connection.execute(
            f"DELETE FROM {self._schema}.segments AS gone WHERE job = $1 AND epoch < $2 "
            f"AND NOT EXISTS (SELECT 1 FROM {self._schema}.segments AS kept "
            "WHERE kept.job = gone.job AND kept.node = gone.node AND kept.part = gone.part "
            "AND kept.epoch >= $2 AND kept.since <= gone.epoch)",
            self._job, oldest,
        )  # fmt: skip


def _groups(values: Sequence[T], sizes: Sequence[int]) -> Iterator[list[T]]:
    """The values in groups that are not too large for one statement."""
    group: list[T] = []
    filled = 0
    for value, size in zip(values, sizes, strict=True):
        if group and filled + size > _GROUP:
            yield group
            group, filled = [], 0
        group.append(value)
        filled += size
    if group:
        yield group
