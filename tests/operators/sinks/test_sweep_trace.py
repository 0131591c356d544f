"""`sweep_trace`: a line for each sweep, in a file for each probe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from thalweg.operators import sinks
from thalweg.operators.fleet import SweepSummary, read_trace
from thalweg.testing import SINK_CHECKS, SinkCase, context, run_virtual

Check = Callable[[SinkCase[Any]], Awaitable[None]]


def summary(number: int = 0, probe: str = "usage") -> SweepSummary:
    return SweepSummary(
        sweep=1_081_948_390 + 900 * number,
        probe=probe,
        seconds=381.9,
        ok=["m1", "m2"],
        failed=[],
        unavailable=["m|12", "m,13"],
    )


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(check: Check, tmp_path: Path) -> None:
    path = tmp_path / "usage.trace"
    case: SinkCase[Any] = SinkCase(
        lambda: sinks.sweep_trace(tmp_path),
        [summary(number) for number in range(30)],
        lambda: list(read_trace(path)) if path.exists() else [],
        bad=[{"sweep": 1}, None, {**summary(), "ok": None}],
        again="appends",
    )
    run_virtual(lambda: check(case))


@pytest.mark.asyncio
async def test_each_probe_has_a_file_of_its_own(tmp_path: Path) -> None:
    sink = sinks.sweep_trace(tmp_path)
    await sink.open(context())
    await sink.write([summary(0), summary(0, "a/b"), summary(1)])
    await sink.close()
    assert (tmp_path / "usage.trace").read_text() == (
        "1081948390|2|0|2|50.0|381.9|m1,m2,| |m%7C12,m%2C13,|\n"
        "1081949290|2|0|2|50.0|381.9|m1,m2,| |m%7C12,m%2C13,|\n"
    )
    assert list(read_trace(tmp_path / "a%2Fb.trace")) == [summary(0, "a/b")]
