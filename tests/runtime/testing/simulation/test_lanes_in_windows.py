"""With several lanes it depends on how they mix what is late for a window, and not what becomes of
a record: each is counted or late, exactly one, whatever goes wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from thalweg import Graph
from thalweg.operators import aggregates, sinks, sources, windows
from thalweg.operators.windows import Windower
from thalweg.runtime.testing.simulation.faults import FAULTS, planned
from thalweg.runtime.testing.simulation.runs import Runs
from thalweg.runtime.testing.simulation.world import World
from thalweg.testing import broker

Reading = dict[str, int]


def readings(lane: int, count: int) -> list[Reading]:
    """Times that go up and down, so that some are late in their own lane already."""
    return [{"lane": lane, "n": n, "at": 10 * n + (37 * n + 11 * lane) % 60} for n in range(count)]


def make(windower: Windower) -> Graph:
    graph = Graph("windows")
    lanes = [
        graph.read("one", sources.records(readings(1, 80))),
        graph.read("two", sources.records(readings(2, 50))),
        graph.read("three", broker(readings(3, 60), prefetch=9), identity=lambda r: r["n"]),
    ]
    timed = [
        stream.event_time(lambda r: 1_500_000_000 + r["at"], unit="s", lateness=25)
        for stream in lanes
    ]
    together = timed[0].union(*timed[1:]).key_by(lambda r: r["n"] % 4)
    numbers = aggregates.fold(tuple, _added, merge=_merged)
    counts = together.via("counts", windows.window(windower, numbers))
    counts.to("windows", sinks.ndjson("windows.ndjson"))
    late = counts.late.map(lambda pair: pair[1])
    late.union(*(stream.late for stream in timed)).to("late", sinks.ndjson("late.ndjson"))
    return graph


Names = tuple[tuple[int, int], ...]


def _added(names: Names, reading: Reading) -> Names:
    return (*names, (reading["lane"], reading["n"]))


def _merged(earlier: Names, later: Names) -> Names:
    return earlier + later


@pytest.mark.parametrize(
    "windower", [windows.tumbling(60), windows.session(20)], ids=["tumbling", "session"]
)
@pytest.mark.parametrize("first", range(0, 40, 10))
def test_each_record_is_counted_or_late(windower: Windower, first: int) -> None:
    everything = sorted(
        (one["lane"], one["n"]) for lane, count in ((1, 80), (2, 50), (3, 60))
        for one in readings(lane, count)
    )  # fmt: skip
    for seed in range(first, first + 10):
        runs = Runs(lambda: make(windower), 1000, {})
        calm = runs.until_ended(World(seed))
        faulty = runs.until_ended(World(seed, planned(seed, calm.census, FAULTS)))
        assert not faulty.wrong
        for world in (calm, faulty):
            counted = [name for one in held(world, "windows") for name in one.value]
            late = [(one["lane"], one["n"]) for one in held(world, "late")]
            assert sorted(counted + late) == everything
            # No window is told twice.
            told = [(one.key, one.start, one.end) for one in held(world, "windows")]
            assert len(set(told)) == len(told)


def held(world: World, name: str) -> Sequence[Any]:
    return [cast("Any", row.record) for row in world.targets[name].held]
