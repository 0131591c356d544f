"""Aggregates: how records become one value, at once or in parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.operators import aggregates
from thalweg.operators.aggregates import Aggregate


def total(so_far: int, number: int) -> int:
    return so_far + number


fold: Any = aggregates.fold
reduce: Any = aggregates.reduce

AGGREGATES: dict[str, tuple[Callable[[], Aggregate[int, Any, Any]], Callable[[list[int]], Any]]] = {
    "counting": (aggregates.counting, len),
    "collect": (aggregates.collect, list),
    "reduce": (lambda: aggregates.reduce(max), max),
    "fold": (lambda: aggregates.fold(int, total, merge=total), sum),
}


def _of(aggregate: Aggregate[int, Any, Any], records: Sequence[int]) -> Any:
    accumulator = aggregate.create()
    for record in records:
        accumulator = aggregate.add(accumulator, record)
    return accumulator


@pytest.mark.parametrize("name", AGGREGATES)
@given(parts=st.lists(st.lists(st.integers(), min_size=1, max_size=5), min_size=1, max_size=4))
def test_parts_put_together_are_the_whole(name: str, parts: list[list[int]]) -> None:
    make, plain = AGGREGATES[name]
    aggregate = make()
    assert aggregate.mergeable
    whole = [record for part in parts for record in part]
    assert aggregate.result(_of(aggregate, whole)) == plain(whole)
    first, *others = (_of(aggregate, part) for part in parts)
    for other in others:
        first = aggregate.merge(first, other)
    assert aggregate.result(first) == plain(whole)


def test_what_was_told_does_not_grow() -> None:
    collect: Aggregate[int, list[int], list[int]] = aggregates.collect()
    accumulator = collect.add(collect.create(), 1)
    told = collect.result(accumulator)
    collect.add(accumulator, 2)
    assert told == [1]


def test_none_is_a_record_like_others() -> None:
    first: Aggregate[object, object, object] = aggregates.reduce(lambda earlier, later: earlier)
    accumulator = first.add(first.create(), None)
    assert first.add(accumulator, 5) is None


def test_a_fold_without_merge_does_not_merge() -> None:
    plain = aggregates.fold(int, total)
    assert not plain.mergeable
    with pytest.raises(NotImplementedError):
        plain.merge(1, 2)


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        (lambda: fold(0, total), TypeError, "initial is a function, not 0: say lambda"),
        (lambda: fold(int, None), TypeError, "step is a function, not None"),
        (lambda: fold(int, total, merge=5), TypeError, "merge is a function, not 5"),
        (lambda: aggregates.fold(int, total, version=0), ValueError, "version is 1 or more"),
        (lambda: reduce("max"), TypeError, "reduce takes a function of two records"),
    ],
)
def test_what_is_no_function_is_refused(
    wrong: Callable[[], object], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        wrong()
