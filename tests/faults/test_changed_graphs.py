"""Graphs that have changed since their state was saved, and what is told aloud at a start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from thalweg import (
    Context,
    Graph,
    JobFailed,
    KeyedState,
    Operator,
    Source,
    State,
    StateError,
    StateMismatch,
)
from thalweg.operators import sinks, sources
from thalweg.testing import CHECKPOINT, CRASH, PAUSE, CollectingSink, MemoryStore, scripted

from .counted import lines, run


def saved(tmp_path: Path) -> MemoryStore:
    """The state of a job that has stopped in the middle."""
    store = MemoryStore()
    script = [*range(10), CHECKPOINT, PAUSE(1), CRASH]
    with pytest.raises(JobFailed):
        run(keyed(scripted(*script), tmp_path), State(store, interval=1000.0))
    return store


class Sums(Operator[tuple[str, int], tuple[str, int]]):
    """Sums by key, and a count of all."""

    def __init__(self) -> None:
        self.sums: KeyedState[str, int] = KeyedState()

    async def open(self, context: Context) -> None:
        self.count = 0

    def process(self, record: tuple[str, int]) -> Iterator[tuple[str, int]]:
        key, number = record
        self.count += 1
        self.sums[key] = total = self.sums.get(key, 0) + number
        yield key, total

    def snapshot(self) -> bytes:
        return str(self.count).encode()

    def restore(self, data: bytes) -> None:
        self.count = int(data)


class WithoutSums(Sums):
    def __init__(self) -> None:
        self.totals: dict[str, int] = {}
        self.sums = self.totals  # type: ignore[assignment]  # pyright: ignore


class WithoutSnapshot(Operator[tuple[str, int], tuple[str, int]]):
    def __init__(self) -> None:
        self.sums: KeyedState[str, int] = KeyedState()

    def process(self, record: tuple[str, int]) -> Iterator[tuple[str, int]]:
        yield record


class LaterSnapshot(Sums):
    version = 2


class Upgraded(LaterSnapshot):
    def upgrade(self, version: int, data: bytes) -> bytes:
        assert version == 1
        return data


class LaterSums(Sums):
    def __init__(self) -> None:
        self.sums = KeyedState(version=2)


class OtherCollect(CollectingSink[Any]):
    pass


def parity(n: int) -> str:
    return "even" if n % 2 == 0 else "odd"


def keyed(
    source: Source[int],
    folder: Path,
    *,
    operator: Operator[Any, Any] | None = None,
    name: str = "sums",
    key: str | None = "parity",
    version: int = 1,
    sink: str = "ndjson",
) -> Graph:
    graph = Graph("keyed")
    numbers = graph.read("numbers", source)
    pairs = (
        numbers.key_by(parity, name=key, version=version)
        if key is not None
        else numbers.map(lambda n: (parity(n), n))
    )
    sums = pairs.via(name, operator or Sums()).map(list)
    sums.to("out", sinks.ndjson(folder / "out.ndjson") if sink == "ndjson" else OtherCollect())
    return graph


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "totals"}, r"no operator 'sums' that remembers any more.*--forget sums"),
        ({"key": "sign"}, r"the keys of 'sums' have changed.*'parity' is gone.*--forget sums"),
        ({"key": None}, r"the keys of 'sums' have changed.*'parity' is gone"),
        ({"version": 2}, r"'parity' had version 1 and has version 2"),
        ({"operator": WithoutSums()}, r"'sums' remembered a KeyedState 'sums'.*no more"),
        ({"operator": WithoutSnapshot()}, r"'sums' remembered a snapshot.*no more"),
        ({"operator": LaterSnapshot()}, r"a snapshot in version 1, which is 2 now"),
        ({"operator": LaterSums()}, r"a KeyedState 'sums' in version 1, which is 2 now"),
        ({"sink": "collect"}, r"no sink 'out' that remembers any more.*--forget out"),
        ({"source": "records"}, r"the source 'numbers' was ScriptedSource and is Records now"),
    ],
    ids=range(10),
)
def test_a_graph_that_cannot_follow_its_state_is_refused_by_name(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    store = saved(tmp_path)
    shown = lines(tmp_path / "out.ndjson")
    options = dict(change)
    source: Source[int] = scripted(*range(20))
    if options.pop("source", None):
        source = sources.records(range(20))
    with pytest.raises((StateMismatch, JobFailed), match=says) as refused:
        run(keyed(source, tmp_path, **options), State(store))
    error = refused.value
    assert isinstance(error, StateMismatch) or isinstance(error.__cause__, StateMismatch)
    # Nothing has been touched: undone, it goes on.
    assert lines(tmp_path / "out.ndjson") == shown
    assert run(keyed(scripted(*range(20)), tmp_path), State(store)) == "ended"
    assert lines(tmp_path / "out.ndjson") == sums_of(20)


def sums_of(count: int) -> list[list[Any]]:
    totals = {"even": 0, "odd": 0}
    found: list[list[Any]] = []
    for n in range(count):
        totals[parity(n)] += n
        found.append([parity(n), totals[parity(n)]])
    return found


def test_a_version_that_can_be_upgraded_is_followed(tmp_path: Path) -> None:
    store = saved(tmp_path)
    graph = keyed(scripted(*range(20)), tmp_path, operator=Upgraded())
    assert run(graph, State(store)) == "ended"
    assert lines(tmp_path / "out.ndjson") == sums_of(20)


def test_a_memory_that_is_forgotten_begins_anew_and_positions_stay(tmp_path: Path) -> None:
    store = saved(tmp_path)
    graph = keyed(scripted(*range(20)), tmp_path, operator=LaterSums())
    assert run(graph, State(store, forget=["sums"])) == "ended"
    after = lines(tmp_path / "out.ndjson")
    assert after[:10] == sums_of(10)
    assert after[10:12] == [["even", 10], ["odd", 11]]
    assert len(after) == 20


def test_a_position_that_is_forgotten_begins_anew_and_memory_stays(tmp_path: Path) -> None:
    store = saved(tmp_path)
    graph = keyed(sources.records(range(4)), tmp_path)
    assert run(graph, State(store, forget=["numbers"])) == "ended"
    after = lines(tmp_path / "out.ndjson")
    assert after[10:] == [["even", 20], ["odd", 26], ["even", 22], ["odd", 29]]


def test_what_is_to_be_forgotten_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(StateMismatch, match=r"--forget sum: .*Did you mean 'sums'"):
        run(keyed(scripted(1), tmp_path), State(saved(tmp_path), forget=["sum"]))
    with pytest.raises(StateError, match="no epoch"):
        run(keyed(scripted(1), tmp_path), State(MemoryStore(), forget=["sums"]))


def test_an_epoch_that_is_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"holds the epochs \[.*\] of 'keyed', and not 77"):
        run(keyed(scripted(1), tmp_path), State(saved(tmp_path), from_epoch=77))
