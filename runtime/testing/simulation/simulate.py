"""Runs a graph with faults and without, and compares what has come of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from ...graph import Graph
from .faults import FAULTS, checked_kinds, planned
from .report import Report
from .runs import Runs
from .world import World

__all__ = ["simulate"]

_OTHER_SCHEDULES = 3
"""So many runs without faults tell whether a sink holds the same each time."""


def simulate(
    make_graph: Callable[[], Graph],
    *,
    seed: int,
    faults: Collection[str] = FAULTS,
    records: int = 1000,
    samples: Mapping[str, Sequence[object]] | None = None,
) -> Report:
    """Run a graph on virtual time with the faults of a seed, and compare it with one without.

    >>> from thalweg import Graph
    >>> from thalweg.operators import sinks, sources
    >>> def make():
    ...     graph = Graph("squares")
    ...     numbers = graph.read("numbers", sources.records(range(100)))
    ...     numbers.map(lambda n: n * n).to("squares", sinks.ndjson("out/squares.ndjson"))
    ...     return graph
    >>> report = simulate(make, seed=7)
    >>> report.ok, report.differences
    (True, {})

    The graph has a store. `make_graph` returns it anew for each start of the program. Functions and
    operators run as they are. So do sources that can go on where they were, read in pieces of any
    size. Sinks are replaced by simulated ones, which commit where theirs do: nothing is written.
    Threads run inline, and nothing outside this machine can be reached.

    Compared is what the targets hold when the graph has ended: as a multiset, and in order within
    each lane where the graph keeps it. A sink that does not commit may repeat what came after the
    last epoch before a crash, and nothing else. What an operator emits by the clock is not
    compared, nor a sink that holds something else in each run without faults too. Where something
    is wrong, faults are left out that it does without.

    Parameters: `seed` decides everything that is left to chance, and does the same again; `faults`
    are the kinds that may be injected (all of `FAULTS`); `records`, how many are read of each
    source at most (1000); `samples` are the records of a source that cannot be read again, by its
    name.

    Raises ValueError for a wrong option, GraphError for a graph that cannot run with a store,
    OutOfReach where it asks for what a simulation has not, and what the graph raises by itself.
    """
    kinds = checked_kinds(faults)
    runs = Runs(make_graph, records, dict(samples or {}))
    calm = runs.until_ended(World(seed))
    plan = planned(seed, calm.census, kinds)
    faulty = runs.until_ended(World(seed, plan))
    not_compared = runs.not_compared(calm, faulty)
    if _different(runs, calm, faulty) - not_compared.keys():
        for other in range(_OTHER_SCHEDULES):
            again = runs.until_ended(World(-1 - seed * _OTHER_SCHEDULES - other))
            for name in _different(runs, calm, again) - {"*"}:
                not_compared.setdefault(name, "it is not the same in each run without faults")
    more = 0
    if _different(runs, calm, faulty) - not_compared.keys():
        for fault in plan:
            fewer = [one for one in plan if one is not fault]
            shorter = runs.until_ended(World(seed, fewer)) if fewer else calm
            if _different(runs, calm, shorter) - not_compared.keys():
                plan, faulty, more = fewer, shorter, more + 1
    differences = runs.differing(calm, faulty)
    return Report(
        seed=seed,
        faults=tuple(faulty.happened),
        differences={name: what for name, what in differences.items() if name not in not_compared},
        not_compared=not_compared,
        left_out=more,
        starts=faulty.starts,
        epochs=faulty.epoch,
        records=sum(len(target.held) for target in calm.targets.values()),
        seconds=round(faulty.now, 6),
    )


def _different(runs: Runs, calm: World, other: World) -> set[str]:
    return set(runs.differing(calm, other))
