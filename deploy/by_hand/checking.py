"""What can be told of an endpoint by asking it a few times."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import field
from statistics import median

from ...operators.endpoints import Endpoint
from ...operators.endpoints.fields import FieldMap
from ...runtime.dataclass import dataclass
from ...runtime.errors import (
    BusyError,
    DataError,
    MisconfiguredError,
    ThalwegError,
    UnavailableError,
)
from ..exit_status import UsageError
from .given_records import Record
from .opened import limited, opened

__all__ = ["Findings", "check"]

_TIMES = 5
_NUMBERS = ("BF", "FP", "INT", "UINT")
_MOST_ZEROS = 100_000


@dataclass(slots=True)
class Findings:
    """What a check found. Times are in seconds; None is what was not found out.

    `up` says that something answered there, `fine` that it scored what it was sent.
    """

    endpoint: str
    batch: int
    up: bool | None = None
    fields: Mapping[str, str] | None = None
    made: bool = False
    """Whether the record was made of zeros."""
    answers: tuple[str, ...] = ()
    model_version: str | None = None
    first_call: float | None = None
    one_record: float | None = None
    full_batch: float | None = None
    reason: str | None = field(default=None)

    @property
    def fine(self) -> bool:
        """Whether it scored one record and a full batch."""
        return self.full_batch is not None

    def as_dict(self) -> dict[str, object]:
        """Everything, for JSON."""
        return {
            "endpoint": self.endpoint,
            "up": self.up,
            "fine": self.fine,
            "reason": self.reason,
            "fields": self.fields,
            "record_made_of_zeros": self.made,
            "answers": list(self.answers),
            "model_version": self.model_version,
            "batch": self.batch,
            "first_call_seconds": self.first_call,
            "one_record_seconds": self.one_record,
            "full_batch_seconds": self.full_batch,
        }

    def text(self) -> str:
        """A small table."""
        up = {None: "not known", True: "yes", False: "no"}[self.up]
        rows = [("endpoint", self.endpoint), ("up", up)]
        if self.fields is not None:
            listed = ", ".join(f"{name} {datatype}" for name, datatype in self.fields.items())
            rows.append(("fields", listed))
        elif self.up:
            rows.append(("fields", "the protocol tells none"))
        if self.made:
            rows.append(("record", "made of zeros"))
        if self.answers:
            rows.append(("answers", ", ".join(self.answers)))
        if self.model_version is not None:
            rows.append(("model version", self.model_version))
        for what, seconds, how in (
            ("first call", self.first_call, ""),
            ("one record", self.one_record, f" (median of {_TIMES})"),
            (f"batch of {self.batch}", self.full_batch, f" (median of {_TIMES})"),
        ):
            if seconds is not None:
                rows.append((what, f"{seconds * 1000:.2f} ms{how}"))
        if self.reason is not None:
            rows.append(("failed", self.reason))
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name.ljust(width)}  {value}" for name, value in rows)


async def check(
    endpoint: Endpoint,
    *,
    record: Record | None,
    fields: Mapping[str, str] | None,
    batch: int,
    timeout: float,
) -> Findings:
    """Ask for the model's fields, one record and a batch, and take the time.

    Parameters: `endpoint`; `record`, what is scored (None: zeros, where the model tells fields
    that are numbers); `fields`, the model field that each record field feeds (None: that of the
    same name); `batch`, records in a full batch; `timeout`, seconds for a request. Raises
    UsageError where no record is given and none can be made.
    """
    found = Findings(repr(endpoint), batch)
    try:
        async with opened(endpoint) as asked:
            async with limited(timeout):
                found.fields = await asked.fields()
            found.up = found.fields is not None or None
            names, row = _row(found.fields, record, fields)
            found.made = record is None
            await _take_times(found, asked, names, row, timeout)
    except UsageError:
        raise
    except ThalwegError as error:
        if not isinstance(error, BusyError | DataError | MisconfiguredError | UnavailableError):
            raise
        found.reason = f"{type(error).__name__}: {error}"
        if isinstance(error, BusyError | DataError) or getattr(error, "answered", False):
            found.up = True
        elif found.up is None and isinstance(error, UnavailableError):
            found.up = False
    return found


async def _take_times(
    found: Findings, endpoint: Endpoint, names: tuple[str, ...], row: tuple[object, ...],
    timeout: float,
) -> None:  # fmt: skip
    async def asked(count: int) -> float:
        begun = time.perf_counter()
        async with limited(timeout):
            answer = await endpoint.predict(names, [row] * count)
        seconds = time.perf_counter() - begun
        if len(answer.rows) != count:
            raise UnavailableError(f"{len(answer.rows)} rows came for {count}", answered=True)
        found.up = True
        found.answers, found.model_version = answer.fields, answer.model_version
        return seconds

    found.first_call = await asked(1)
    found.one_record = median([await asked(1) for _ in range(_TIMES)])
    await asked(found.batch)  # The first of its size may cost more, too.
    found.full_batch = median([await asked(found.batch) for _ in range(_TIMES)])


def _row(
    told: Mapping[str, str] | None, record: Record | None, fields: Mapping[str, str] | None
) -> tuple[tuple[str, ...], tuple[object, ...]]:
    if record is None:
        return _zeros(told)
    if fields is None:
        # Of a record with more than the model takes, what it takes.
        plain = told is not None and not any("[" in datatype for datatype in told.values())
        fields = {name: name for name in (told if told is not None and plain else record)}
    if not fields:
        raise UsageError("--record has no field: give at least one")
    chosen = FieldMap(fields)
    rows, rejected = chosen.rows([record])
    if rejected:
        raise rejected[0]
    return chosen.names, rows[0]


def _zeros(told: Mapping[str, str] | None) -> tuple[tuple[str, ...], tuple[object, ...]]:
    if not told:
        raise UsageError(
            "the protocol does not tell which fields the model takes: give a record, as in "
            '--record \'{"length": 5.1, "width": 3.5}\''
        )
    names: list[str] = []
    row: list[object] = []
    for name, datatype in told.items():
        kind, _, width = datatype.rstrip("]").partition("[")
        zero = False if kind == "BOOL" else 0 if kind.startswith(_NUMBERS) else None
        if zero is None or (width and not (width.isdigit() and int(width) <= _MOST_ZEROS)):
            raise UsageError(
                f"no record can be made for the field {name!r}, which is {datatype}: give one, "
                f"as in --record '{_example(told)}'"
            )
        count = int(width) if width else 1
        names += [name] if count == 1 else [f"{name}.{index}" for index in range(count)]
        row += [zero] * count
    return tuple(names), tuple(row)


def _example(told: Mapping[str, str]) -> str:
    from .scoring import written

    def value(datatype: str) -> object:
        return "…" if datatype.startswith("BYTES") else False if datatype == "BOOL" else 0

    names: Sequence[str] = list(told)
    if len(names) == 1 and "[" in told[names[0]]:
        return written({"first": value(told[names[0]]), "second": value(told[names[0]])})
    return written({name: value(told[name]) for name in names})
