"""Functions of the user's that write requests and read answers: they blame one record at most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from thalweg import JobFailed
from thalweg.operators.endpoints import Endpoint, http_json

from .scoring import Scoring, expected, record
from .scripted_server import ScriptedServer

Rows = Sequence[tuple[object, ...]]

BAD = 100


def write(_: tuple[str, ...], rows: Rows) -> Any:
    return {str(number): row for number, row in enumerate(rows)}


def read(decoded: Any, _: int) -> Any:
    return decoded["scores"]


def write_or_raise(fields: tuple[str, ...], rows: Rows) -> Any:
    if any(row[0] == BAD for row in rows):
        raise ValueError("no such flower")
    return write(fields, rows)


def read_or_raise(decoded: Any, count: int) -> Any:
    if any(one["same"][0] == BAD for one in decoded["scores"]):
        raise ValueError("no such score")
    return read(decoded, count)


def read_too_little(decoded: Any, _: int) -> Any:
    return [one for one in decoded["scores"] if one["same"][0] != BAD]


def endpoint(server: ScriptedServer, request: Any = write, answer: Any = read) -> Endpoint:
    return http_json(server.address("json"), request=request, answer=answer)


@pytest.mark.asyncio
async def test_a_record_that_cannot_be_written_fails_alone_and_is_never_sent(
    server: ScriptedServer,
) -> None:
    scoring = Scoring(endpoint(server, write_or_raise), [record(n) for n in range(320)])
    progress = await scoring.run()
    assert scoring.scored.records == expected(n for n in range(320) if n != BAD)
    (letter,) = scoring.failed.records
    assert letter.record == record(BAD)
    assert letter.error.type == "DataError"
    assert "write_or_raise (" in letter.error.message
    assert "raised ValueError: no such flower" in letter.error.message
    assert "test_scoring_own_form.py" in str(letter.error.where)
    assert server.tries_of(BAD) == 0
    assert progress.node("score").retries == 0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (read_or_raise, "raised ValueError: no such score"),
        (read_too_little, "returned 0 results for 1 rows"),
    ],
)
async def test_a_record_whose_answer_cannot_be_read_fails_alone(
    server: ScriptedServer, answer: Any, told: str
) -> None:
    scoring = Scoring(endpoint(server, answer=answer), [record(n) for n in range(320)])
    progress = await scoring.run()
    assert scoring.scored.records == expected(n for n in range(320) if n != BAD)
    (letter,) = scoring.failed.records
    assert letter.record == record(BAD)
    assert letter.error.type == "UnavailableError"
    assert f"{answer.__name__} (" in letter.error.message
    assert told in letter.error.message
    # It is asked for again before the data is blamed.
    assert progress.node("score").retries >= 4


@pytest.mark.asyncio
async def test_a_function_that_can_write_no_record_fails_the_job_and_is_named(
    server: ScriptedServer,
) -> None:
    def write_nothing(fields: tuple[str, ...], rows: Rows) -> Any:
        raise KeyError("flower")

    scoring = Scoring(endpoint(server, write_nothing), [record(n) for n in range(320)])
    with pytest.raises(JobFailed, match=r"not the data.*write_nothing \(.*raised KeyError"):
        await scoring.run()
    assert not server.asked
    assert not scoring.failed.records
