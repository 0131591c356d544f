"""What came of a call: outputs, and errors by the index of their record."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, cast

from .batch import Records
from .contracts import Outcome
from .errors import RuntimeFault, UnavailableError
from .trail import Trail

__all__ = ["Answer", "Rejects", "checked"]

Rejects: TypeAlias = dict[int, tuple[Exception, Trail | None]]


class Answer:
    """What became of some records: outputs, and errors by index with the tries that failed.

    No trail stands for a single try, of which the error tells all."""

    __slots__ = ("records", "rejected")

    def __init__(self, records: Records, rejected: Rejects) -> None:
        self.records = records
        self.rejected = rejected

    def follow(self, other: Answer, offset: int) -> None:
        """Add the answer for the records that begin at `offset`."""
        self.records.extend(other.records)
        for index, reject in other.rejected.items():
            self.rejected[offset + index] = reject


def checked(result: object, count: int, one_to_one: bool) -> tuple[Records, dict[int, Exception]]:
    """The outputs and errors of a call, after their number is checked against the records."""
    if isinstance(result, Outcome):
        outcome = cast("Outcome[object]", result)
        rejected = dict(outcome.rejected)
        outputs = list(outcome.records)
        strange = [index for index in rejected if not 0 <= index < count]
        if strange:
            raise RuntimeFault(f"the records {strange} of a batch of {count} were rejected")
    else:
        rejected = {}
        if isinstance(result, list):
            outputs = cast("Records", result)
        else:
            outputs = [] if result is None else list(cast("Iterable[object]", result))
    if one_to_one and len(outputs) + len(rejected) != count:
        raise UnavailableError(
            f"{len(outputs)} results and {len(rejected)} rejections came for {count} records",
            answered=True,
        )
    return outputs, rejected
