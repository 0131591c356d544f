"""What a store remembers of its epochs apart from them, to find that one of them is gone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..dataclass import dataclass
from .store import Checkpoint, SavedEpoch

__all__ = ["Mark"]


@dataclass(frozen=True, slots=True)
class Mark:
    """Of the state of this lineage, epoch `last` was saved last, and `seen` is the last that
    somebody outside knows of; 0 for none.
    """

    lineage: str
    last: int = 0
    seen: int = 0

    @classmethod
    def of(cls, lineage: str, found: Iterable[SavedEpoch]) -> Mark:
        """The mark that belongs to these epochs."""
        last, seen = 0, 0
        for one in found:
            last = max(last, one.epoch)
            seen = max(seen, one.epoch if one.seen else 0)
        return cls(lineage, last, seen)

    def lowered(self, last: int) -> Mark:
        """When epochs after `last` are to be dropped."""
        return replace(self, last=last, seen=min(self.seen, last))

    def after(self, checkpoint: Checkpoint) -> Mark:
        """When this epoch is saved."""
        seen = checkpoint.epoch if checkpoint.seen else self.seen
        return replace(self, last=checkpoint.epoch, seen=seen)

    def complete(self, found: Sequence[SavedEpoch]) -> list[SavedEpoch]:
        """These epochs, and those that must be there and are not."""
        by_number = {one.epoch: one for one in found}
        oldest = min(by_number, default=0)
        for epoch in (self.last, self.seen):
            if epoch > oldest:
                by_number.setdefault(epoch, SavedEpoch(epoch, epoch == self.seen))
        return [by_number[epoch] for epoch in sorted(by_number)]
