"""`Graph.run` and `Retry`: what is wrong is told before anything starts."""

from __future__ import annotations

from typing import Any

import pytest

from thalweg import Graph, Retry, ThalwegError
from thalweg.operators import sinks, sources


@pytest.mark.asyncio
async def test_inside_a_loop_run_names_the_way_that_works() -> None:
    graph, out = Graph("inside"), list[int]()
    graph.read("numbers", sources.records([1])).to("out", sinks.collect(out))
    with pytest.raises(ThalwegError, match=r"async with graph\.start\(\) as job"):
        graph.run()
    assert out == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"attempts": "3"}, "attempts must be 1 or more, not '3'"),
        ({"first": "1"}, "not first='1', longest=10.0"),
        ({"longest": float("inf")}, "not first=0.1, longest=inf"),
        ({"first": 3.0, "longest": 2.0}, "not first=3.0, longest=2.0"),
    ],
)
def test_a_wrong_patience_is_told_when_it_is_declared(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Retry(**options)
