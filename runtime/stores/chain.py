"""Rows that tell when one of them was changed, swapped or lost: each has a digest and a link.

The digest of a row is over its data and over what it stands for. A segment also carries the
digest of the one before it of the same part, so that none can be missing between them, and an
epoch carries one of the ends of all its parts. The key of every digest is the lineage: a row of
another state is a damaged one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from hashlib import blake2b
from typing import Any

from ..dataclass import dataclass
from ..errors import StateDamaged
from .store import Checkpoint, Saved

__all__ = ["Chain", "EpochRow", "SegmentRow", "digest", "verified"]

PIECE = 64 * 1024 * 1024
"""Bytes of a segment in one row at most."""

Part = tuple[str, str]


def digest(lineage: str, *fields: bytes | str | int) -> bytes:
    """16 bytes over these fields and their borders."""
    made = blake2b(digest_size=16, key=lineage.encode()[:64])
    for value in fields:
        data = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
        made.update(b"%d:" % len(data))
        made.update(data)
    return made.digest()


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A segment, or a piece of one that is large."""

    node: str
    part: str
    epoch: int
    piece: int
    since: int
    previous: bytes
    digest: bytes
    data: bytes

    def sound(self, lineage: str) -> bool:
        """Whether it is as it was written."""
        return self.digest == _of_segment(lineage, self)

    def values(self) -> tuple[Any, ...]:
        """Its columns, in order."""
        return tuple(getattr(self, name) for name in self.__slots__)


@dataclass(frozen=True, slots=True)
class EpochRow:
    """An epoch without its segments; `parts` is a digest of which there are."""

    epoch: int
    seen: int
    head: bytes
    parts: bytes
    digest: bytes

    def sound(self, lineage: str) -> bool:
        """Whether it is as it was written."""
        return self.digest == _of_epoch(lineage, self)

    def values(self) -> tuple[Any, ...]:
        """Its columns, in order."""
        return tuple(getattr(self, name) for name in self.__slots__)


def _of_segment(lineage: str, row: SegmentRow) -> bytes:
    return digest(
        lineage, "segment", row.node, row.part, row.epoch, row.piece, row.since, row.previous,
        row.data,
    )  # fmt: skip


def _of_epoch(lineage: str, row: EpochRow) -> bytes:
    return digest(lineage, "epoch", row.epoch, row.seen, row.head, row.parts)


def _of_parts(lineage: str, ends: Mapping[Part, bytes]) -> bytes:
    fields = [value for part in sorted(ends) for value in (*part, ends[part])]
    return digest(lineage, "parts", *fields)


@dataclass(frozen=True, slots=True)
class Chain:
    """What the next epoch is linked to: the last one, and the segments that it needs."""

    lineage: str
    last: int = 0
    links: Mapping[Part, Mapping[int, bytes]] = field(
        default_factory=dict[Part, Mapping[int, bytes]]
    )
    """For each part, the digest with which each of its epochs ends."""
    before: Chain | None = field(default=None, repr=False)
    end: bytes = b""
    """The digest of the last epoch, where it was saved after the chain `before`."""

    def has(self, checkpoint: Checkpoint, *, keep: int) -> bool:
        """Whether the last epoch that was saved is this one."""
        if self.before is None or checkpoint.epoch != self.last:
            return False
        return self.before.extend(checkpoint, keep=keep)[0].digest == self.end

    def extend(
        self, checkpoint: Checkpoint, *, keep: int
    ) -> tuple[EpochRow, list[SegmentRow], Chain]:
        """The rows of a checkpoint, and the chain when they are saved.

        Raises ValueError for a checkpoint that cannot follow.
        """
        checkpoint.follow(self.last, self.links, keep=keep)
        rows: list[SegmentRow] = []
        links: dict[Part, Mapping[int, bytes]] = {}
        for segment in checkpoint.segments:
            part = segment.node, segment.part
            before = self.links.get(part, {})
            end = before.get(self.last, b"")
            for piece, data in enumerate(_pieces(segment.data)):
                row = SegmentRow(*part, checkpoint.epoch, piece, segment.since, end, b"", data)
                end = _of_segment(self.lineage, row)
                rows.append(replace(row, digest=end))
            links[part] = {
                **{epoch: link for epoch, link in before.items() if epoch >= segment.since},
                checkpoint.epoch: end,
            }
        ends = {part: link[checkpoint.epoch] for part, link in links.items()}
        head = EpochRow(
            checkpoint.epoch,
            int(checkpoint.seen),
            checkpoint.head,
            _of_parts(self.lineage, ends),
            b"",
        )
        head = replace(head, digest=_of_epoch(self.lineage, head))
        # Without its own: what was saved long ago need not be remembered.
        last = replace(self, before=None)
        return head, rows, Chain(self.lineage, checkpoint.epoch, links, last, head.digest)


def verified(
    lineage: str, row: EpochRow, segments: Iterable[Sequence[SegmentRow]]
) -> tuple[Saved, Chain]:
    """What was saved in an epoch, and the chain that goes on from it.

    `segments` has the rows of each part that the epoch needs, in order. Raises StateDamaged, which
    says what of it, unless everything is as it was written.
    """
    if not row.sound(lineage):
        raise StateDamaged("its head is not what was written")
    found: dict[Part, list[bytes]] = {}
    links: dict[Part, dict[int, bytes]] = {}
    for rows in segments:
        first, last = rows[0], rows[-1]
        part = last.node, last.part
        wrong = _wrong(lineage, rows)
        if first.epoch != last.since or first.piece or last.epoch != row.epoch or part in found:
            wrong = wrong or f"it is not whole from epoch {last.since} on"
        if wrong:
            raise StateDamaged(f"of part {part[1]!r} of node {part[0]!r}, {wrong}")
        found[part] = list(_joined(rows))
        links[part] = {one.epoch: one.digest for one in rows}
    if row.parts != _of_parts(lineage, {part: link[row.epoch] for part, link in links.items()}):
        raise StateDamaged("some of its parts are gone")
    return Saved(row.epoch, row.head, found), Chain(lineage, row.epoch, links)


def _wrong(lineage: str, rows: Sequence[SegmentRow]) -> str | None:
    """What is wrong with the rows of a part, in words."""
    before: SegmentRow | None = None
    for row in rows:
        if not row.sound(lineage):
            return f"what epoch {row.epoch} saved is not what was written"
        if before is not None and row.previous != before.digest:
            return f"what was saved before epoch {row.epoch} is gone"
        before = row
    return None


def _pieces(data: bytes) -> Iterator[bytes]:
    if len(data) <= PIECE:
        yield data
        return
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]


def _joined(rows: Sequence[SegmentRow]) -> Iterator[bytes]:
    """The data of each epoch, in one piece again."""
    by_epoch: dict[int, list[bytes]] = {}
    for row in rows:
        by_epoch.setdefault(row.epoch, []).append(row.data)
    for pieces in by_epoch.values():
        yield pieces[0] if len(pieces) == 1 else b"".join(pieces)
