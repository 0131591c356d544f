"""What is told of a trigger and of a job, in the field names of Spark Structured Streaming.

Plain dictionaries of text, numbers, lists and None: `json.dumps` takes them as they are.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

__all__ = ["Offset", "SinkReport", "SourceReport", "StateReport", "Status", "TriggerReport"]

Offset = int | dict[str, int] | None
"""The last position read: of the only lane, or of each that went on; None where none was read."""


class Status(TypedDict):
    """What a job does at this moment.

    `isDataAvailable` says that records were read and have not all arrived, `isTriggerActive` that
    they are worked on, or an epoch is being taken.
    """

    message: str
    isDataAvailable: bool
    isTriggerActive: bool


class SourceReport(TypedDict):
    """What one source handed over in a trigger: the records behind `startOffset`."""

    description: str
    startOffset: Offset
    endOffset: Offset
    numInputRows: int
    inputRowsPerSecond: float
    processedRowsPerSecond: float


class StateReport(TypedDict):
    """The keyed memory of one operator at the end of a trigger.

    How many keys were assigned and removed in the trigger is known where they are saved: with a
    store. `numRowsDroppedByWatermark` counts the records that came to this operator too late.
    """

    operatorName: str
    numRowsTotal: int
    numRowsUpdated: NotRequired[int]
    numRowsRemoved: NotRequired[int]
    numRowsDroppedByWatermark: int


class SinkReport(TypedDict):
    """What was written in a trigger."""

    description: str
    numOutputRows: int


class TriggerReport(TypedDict):
    """What a job did in one trigger. Rates are records a second, durations in milliseconds.

    With a store a trigger is an epoch, and `batchId` its number; the records are those in front of
    its barrier. Without one it is what the source says belongs together, such as
    some files, or else what passed between two looks. `id` stays the same when the job
    is started again on its store, `runId` does not. `sink` is all sinks together, `sinks` each.
    """

    id: str
    runId: str
    name: str
    timestamp: str
    batchId: int
    batchDuration: int
    numInputRows: int
    inputRowsPerSecond: float
    processedRowsPerSecond: float
    durationMs: dict[str, int]
    eventTime: NotRequired[dict[str, str]]
    stateOperators: list[StateReport]
    sources: list[SourceReport]
    sink: SinkReport
    sinks: list[SinkReport]
