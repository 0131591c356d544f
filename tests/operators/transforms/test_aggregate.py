"""One value for each key, over all time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg import DeadLetter, Graph, Operator, State
from thalweg.operators import aggregate, aggregates, fold, sinks, sources
from thalweg.testing import (
    CHECKPOINT,
    CRASH,
    CollectingSink,
    MemoryStore,
    feed,
    run_virtual,
    scripted,
)


def _total(so_far: int, number: int) -> int:
    if number == 13:
        raise ValueError("13")
    return so_far + number


def _fed(operator: Operator[Any, Any], records: Sequence[object]) -> list[Any]:
    return run_virtual(lambda: feed(operator, records)).records


def test_each_record_tells_the_new_value_of_its_key() -> None:
    pairs = [("a", 1), ("b", 2), ("a", 3)]
    assert _fed(fold(int, _total), pairs) == [("a", 1), ("b", 2), ("a", 4)]
    assert _fed(aggregate(aggregates.counting()), pairs) == [("a", 1), ("b", 1), ("a", 2)]


def test_at_the_end_each_key_tells_its_value_once_in_the_order_of_its_first_record() -> None:
    pairs = [("b", 1), ("a", 2), ("b", 3), ("c", 4)]
    assert _fed(fold(int, _total, emit="end"), pairs) == [("b", 4), ("a", 2), ("c", 4)]


@pytest.mark.parametrize("max_batch_size", [1, 3, 1000])
def test_a_bad_record_fails_alone(max_batch_size: int) -> None:
    graph, out = Graph("bad", max_batch_size=max_batch_size), list[Any]()
    failed: list[DeadLetter] = []
    numbers = graph.read("numbers", sources.records([1, 13, 2, 13, 13, 3])).key_by(lambda n: n % 2)
    numbers.via("sums", fold(int, _total), volatile=True).to("out", sinks.collect(out))
    graph.failed.to("failed", sinks.collect(failed))
    graph.run()
    assert out == [(1, 1), (0, 2), (1, 4)]
    assert [letter.record for letter in failed] == [(1, 13)] * 3
    assert [letter.origin and letter.origin.position for letter in failed] == [1, 3, 4]


@settings(max_examples=30, deadline=None)
@given(
    words=st.lists(st.text("abc", max_size=2), max_size=60),
    max_batch_size=st.sampled_from([1, 7, 1000]),
    emit=st.sampled_from(["update", "end"]),
)
def test_a_keyed_count_is_a_counter(
    words: list[str], max_batch_size: int, emit: Literal["update", "end"]
) -> None:
    graph, out = Graph("words", max_batch_size=max_batch_size), CollectingSink[tuple[str, int]]()
    keyed = graph.read("words", scripted(*words)).key_by(lambda word: word)
    counted = keyed.via("counts", aggregate(aggregates.counting(), emit=emit), volatile=True)
    counted.to("out", out)

    async def main() -> None:
        async with graph.start() as job:
            await job.wait()

    run_virtual(main)
    expected = Counter(words)
    if emit == "end":
        assert out.records == list(expected.items())
        return
    assert dict(out.records) == expected
    seen: Counter[str] = Counter()
    for word, (key, count) in zip(words, out.records, strict=True):
        seen[word] += 1
        assert (key, count) == (word, seen[word])


def test_the_order_of_keys_at_the_end_outlives_restarts() -> None:
    store = MemoryStore()
    script = scripted("d", "b", CHECKPOINT, "a", "b", "c", CHECKPOINT, CRASH, "b", "e", "a")
    graph, out = Graph("kept"), CollectingSink[tuple[str, int]]()
    keyed = graph.read("words", script).key_by(lambda word: word)
    keyed.via("counts", aggregate(aggregates.counting(), emit="end")).to("out", out)

    async def main() -> None:
        async with graph.start(state=State(store, interval=1000.0)) as job:
            await job.wait()

    with pytest.raises(Exception, match="CRASH"):
        run_virtual(main)
    assert out.records == []
    run_virtual(main)
    assert out.records == [("d", 1), ("b", 3), ("a", 2), ("c", 1), ("e", 1)]


@pytest.mark.parametrize("emit", ["always", "close", None])
def test_an_emission_that_there_is_not_is_refused(emit: Any) -> None:
    with pytest.raises(ValueError, match="emit is 'update' or 'end'"):
        fold(int, _total, emit=emit)
    with pytest.raises(ValueError, match="emit is 'update' or 'end'"):
        aggregate(aggregates.counting(), emit=emit)


def test_the_functions_of_a_fold_are_looked_at() -> None:
    with pytest.raises(TypeError, match="initial is a function, not 0: say lambda"):
        fold(0, _total)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
