"""Records scored by hand: answers on standard output, failures on standard error."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

import orjson

from ...operators import Prediction, score, sinks, sources
from ...operators.endpoints import Endpoint
from ...runtime.contracts import DeadLetter, Retry, Sink
from ...runtime.errors import DataError
from ...runtime.graph import Graph
from ...runtime.job import Job
from ..exit_status import UsageError
from .broken_pipe import broken_pipe_told
from .given_records import Given, Record, decoded
from .opened import limited, opened
from .read_ahead import ReadAhead

__all__ = ["score_by_hand", "written"]

_BATCH = 64
_RETRY = Retry(attempts=3, first=0.2, longest=2.0, when_down="failed", when_misconfigured="fail")
_LOOK_AT = 1000
"""So many records are looked at for the first that tells the fields."""


async def score_by_hand(
    endpoint: Endpoint,
    given: Iterator[Given],
    *,
    fields: Mapping[str, str] | None,
    join: bool,
    timeout: float,
) -> bool:
    """Print what the model answers for each record, in order; whether all were scored.

    Parameters: `endpoint`; `given`, the records; `fields`, the model field that each record field
    feeds (None: those of the same names, as the model tells them, else all that the first record
    has); `join`, whether the record's own fields are printed, too; `timeout`, seconds for a
    request. Raises UsageError where no field can be told; JobFailed, BusyError, UnavailableError
    or MisconfiguredError where the model cannot be asked.
    """
    ahead = ReadAhead(given)
    try:
        return await _scored(endpoint, ahead, fields, join=join, timeout=timeout)
    finally:
        ahead.close()


async def _scored(
    endpoint: Endpoint,
    ahead: ReadAhead[Given],
    fields: Mapping[str, str] | None,
    *,
    join: bool,
    timeout: float,
) -> bool:
    looked_at: list[Given] = []
    if fields is None:
        async with opened(endpoint) as asked, limited(timeout):
            told = await asked.fields()
        fields, looked_at = await _chosen(told, ahead)
    failures: list[DeadLetter] = []

    def failed(letter: DeadLetter) -> None:
        failures.append(letter)
        position = letter.origin.position if letter.origin is not None else None
        which = "" if position is None else f"record {position + 1}: "
        print(f"{which}{letter.error.type}: {letter.error.message}", file=sys.stderr, flush=True)

    async def given() -> AsyncIterator[Given]:
        for one in looked_at:
            yield one
        async for one in ahead:
            yield one

    graph = Graph("score")
    records = graph.read("records", sources.generate(given)).map(decoded, name="decode")
    answers = records.batch(_BATCH).via(
        "score",
        score(
            endpoint,
            fields=fields,
            join=_joined if join else _answered,
            timeout=timeout,
            retry=_RETRY,
        ),
    )
    answers.to("answers", _Printed())
    graph.failed.to("failed", sinks.each(failed))
    await _run(graph)
    return not failures


async def _run(graph: Graph) -> None:
    with broken_pipe_told():
        async with graph.start() as job:
            telling = asyncio.create_task(_tell_of_waits(job))
            try:
                await job.wait()
            finally:
                telling.cancel()


async def _tell_of_waits(job: Job) -> None:
    """Say what is waited for: a server that is busy is waited for without end."""
    told: str | None = None
    while True:
        await asyncio.sleep(1.0)
        waiting = job.progress().node("score").waiting
        if waiting is not None and waiting != told:
            print(f"waiting: {waiting}", file=sys.stderr, flush=True)
        told = waiting


async def _chosen(
    told: Mapping[str, str] | None, ahead: ReadAhead[Given]
) -> tuple[Mapping[str, str], list[Given]]:
    """The fields to send, and the records that were looked at for them."""
    looked_at: list[Given] = []
    if told and not any("[" in datatype for datatype in told.values()):
        return {name: name for name in told}, looked_at
    async for one in ahead:
        looked_at.append(one)
        try:
            record = decoded(one)
        except DataError:
            if len(looked_at) >= _LOOK_AT:
                break
            continue
        names = [name for name, value in record.items() if isinstance(value, str | int | float)]
        if names:
            return {name: name for name in names}, looked_at
        break
    raise UsageError(
        "the model does not tell the names of its fields, and no record has a number, a text or a "
        "boolean to take them from: give --fields"
    )


def _answered(_: Record, prediction: Prediction) -> Record:
    version = prediction.model_version
    return {**prediction, **({} if version is None else {"model_version": version})}


def _joined(record: Record, prediction: Prediction) -> Record:
    return {**record, **_answered(record, prediction)}


class _Printed(Sink[Record]):
    """Prints each answer as a line; a reader that has gone ends it."""

    async def write(self, records: Sequence[Record]) -> None:
        for record in records:
            print(written(record))
        sys.stdout.flush()


def written(value: object) -> str:
    """The value as JSON on one line; what JSON has no form for, as text."""
    shown: Callable[[object], str] = str
    return orjson.dumps(value, default=shown, option=orjson.OPT_NON_STR_KEYS).decode()
