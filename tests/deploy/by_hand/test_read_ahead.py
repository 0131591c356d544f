"""Records from a keyboard: read in a thread, answered as they come, and no one waits for more."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from thalweg.deploy.by_hand.read_ahead import ReadAhead

ROOT = Path(__file__).resolve().parents[3]
FLOWER = {"Sepal.Length": 5.1, "Sepal.Width": 3.5, "Petal.Length": 1.4, "Petal.Width": 0.2}


@pytest.mark.asyncio
async def test_while_the_iterator_blocks_the_loop_goes_on() -> None:
    typed: SimpleQueue[str] = SimpleQueue()

    def lines() -> Iterator[str]:
        while (line := typed.get()) != "end":
            yield line

    ahead = ReadAhead(lines())
    asked = asyncio.ensure_future(anext(ahead))
    await asyncio.wait([asked], timeout=0.01)
    assert not asked.done()
    typed.put("one")
    assert await asyncio.wait_for(asked, 10) == "one"
    typed.put("two")
    typed.put("end")
    assert [line async for line in ahead] == ["two"]


@pytest.mark.asyncio
async def test_order_is_kept_over_many_and_few_are_read_ahead() -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(10_000):
            taken.append(number)
            yield number

    ahead = ReadAhead(numbers())
    assert await anext(ahead) == 0
    for expected in range(1, 10_000):
        assert await anext(ahead) == expected
        assert len(taken) <= expected + 1_024 + 2
    with pytest.raises(StopAsyncIteration):
        await anext(ahead)


@pytest.mark.asyncio
async def test_what_the_iterator_raises_comes_after_what_it_gave() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    ahead = ReadAhead(broken())
    assert await anext(ahead) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        await anext(ahead)


def _asked(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable, "-m", "thalweg.deploy.cli", "score",
            f"onnx:{ROOT}/graphs/models/iris.onnx", "--file", "-", *words,
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.parametrize("end", ["end of file", "interrupt"])
def test_each_line_that_is_typed_is_answered_before_the_next(end: str) -> None:
    with _asked() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(3):
            print(json.dumps(FLOWER), file=process.stdin, flush=True)
            assert json.loads(process.stdout.readline())["prediction"] == "setosa"
        if end == "interrupt":
            process.send_signal(signal.SIGINT)
            # Nothing more is typed, and the process ends all the same.
            assert process.wait(20) != 0
        else:
            process.stdin.close()
            assert process.wait(20) == 0
        assert process.stderr is not None
        said = process.stderr.read()
        assert "Fatal" not in said
        assert "Traceback" not in said
