"""What one bad record costs: the requests that a real server gets until it stands alone."""

from __future__ import annotations

import math

import pytest
from aiohttp import web

from .scoring import Scoring, expected, record
from .scripted_server import Asked, ScriptedServer

SIZES = (2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 64, 100, 255, 256, 500, 511, 512, 777, 1000, 1023)


def places(count: int) -> list[int]:
    """Both ends, both sides of the cut in the middle, a quarter, and a third."""
    half = count // 2
    return sorted({0, 1, count // 4, count // 3, half - 1, half, count - 2, count - 1})


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [*SIZES, 1024])
async def test_a_bad_record_is_found_with_few_requests(server: ScriptedServer, size: int) -> None:
    bad = 0

    async def refuse(asked: Asked) -> web.StreamResponse:
        if bad in asked.numbers:
            return asked.refuse(400, "a row is of no use")
        return asked.answer()

    server.reply = refuse
    most = 0
    for bad in places(size):
        server.asked.clear()
        scoring = Scoring(server.endpoint("wml"), [record(n) for n in range(size)], batch=size)
        await scoring.run()
        assert scoring.failures == [bad]
        assert scoring.scored.records == expected(n for n in range(size) if n != bad)
        further = len(server.asked) - 1
        assert further <= 2 * math.log2(size) + 2, f"{further} for record {bad} of {size}"
        most = max(most, further)
    # Halving asks for both parts of each part that is refused: no place needs more, one needs all.
    assert most == 2 * math.ceil(math.log2(size))
