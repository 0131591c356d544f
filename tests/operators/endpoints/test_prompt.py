"""When the body of a request is written: at once, or behind the answers of this turn."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientRequest
from aiohttp.http_writer import StreamWriter

from thalweg.operators.endpoints.http import HttpJson
from thalweg.operators.endpoints.prompt import Spare
from thalweg.runtime.context import Context

if TYPE_CHECKING:
    from tests.operators.endpoints.conftest import Script

eager = pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="aiohttp begins its tasks at once from Python 3.12 on"
)


class Clocks:
    """Two clocks that are set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.worked = 0.0

    def spare(self) -> Spare:
        return Spare(lambda: self.now, lambda: self.worked)

    def pass_by(self, seconds: float, share: float) -> None:
        self.now += seconds
        self.worked += share * seconds


def _asked(spare: Spare, times: int = 16) -> list[bool]:
    return [spare.has_time() for _ in range(times)]


def test_a_loop_without_a_pause_has_no_time_to_spare_until_it_has_much_of_it() -> None:
    clocks = Clocks()
    spare = clocks.spare()
    assert not any(_asked(spare, 15))
    seen: list[bool] = []
    for share in (0.5, 0.8, 0.9, 0.8, 0.65, 0.5, 0.8, 1.0, 0.0):
        clocks.pass_by(0.01, share)
        seen.append(_asked(spare)[0])
    assert seen == [True, True, False, False, False, True, True, False, True]


def test_too_short_a_time_says_nothing() -> None:
    clocks = Clocks()
    spare = clocks.spare()
    clocks.pass_by(0.01, 0.0)
    assert _asked(spare)[-1]
    for _ in range(3):
        clocks.pass_by(0.0005, 1.0)
        assert all(_asked(spare))
    clocks.pass_by(0.01, 1.0)
    assert not _asked(spare)[-1]


def _always(_: Spare) -> bool:
    return True


async def _turns_until_written(
    script: Script, context: Context, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> list[int]:
    """In which turn after it was begun each of three requests was written to the end."""
    turn, begun, turns = [0], [0], list[int]()
    send, write_eof = ClientRequest.send, StreamWriter.write_eof

    def count() -> None:
        turn[0] += 1
        counting[0] = asyncio.get_running_loop().call_soon(count)

    async def sending(self: ClientRequest, *rest: object) -> object:
        begun[0] = turn[0]
        return await send(self, *rest)  # type: ignore[arg-type]

    async def written(self: StreamWriter, *rest: bytes) -> None:
        turns.append(turn[0] - begun[0])
        await write_eof(self, *rest)

    monkeypatch.setattr(ClientRequest, "send", sending)
    monkeypatch.setattr(StreamWriter, "write_eof", written)
    counting = [asyncio.get_running_loop().call_soon(count)]
    client = HttpJson(max_answer_bytes=1000)
    await client.open(context, 1)
    try:
        for _ in range(3):
            script.answer(200, {"length": len(body)})
            assert await client.request("POST", script.url, body) == {"length": len(body)}
    finally:
        counting[0].cancel()
        await client.close()
    assert [request.body for request in script.requests] == [body] * 3
    return turns


@eager
@pytest.mark.asyncio
async def test_a_small_body_is_written_in_the_turn_of_its_request(
    script: Script, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Spare, "has_time", _always)
    assert await _turns_until_written(script, context, monkeypatch, b"[1]") == [0, 0, 0]


@eager
@pytest.mark.asyncio
async def test_without_time_to_spare_a_body_is_written_later(
    script: Script, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(await _turns_until_written(script, context, monkeypatch, b"[1]"))


@pytest.mark.asyncio
async def test_a_body_that_has_to_wait_arrives_whole(
    script: Script, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Spare, "has_time", _always)
    body = b"[" + b"1," * 450_000 + b"1]"
    await _turns_until_written(script, context, monkeypatch, body)
