"""Windows over random records, times and watermarks make what a slow model makes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg import Operator
from thalweg.operators import aggregates, window, windows
from thalweg.operators.aggregates import Aggregate
from thalweg.operators.windows import Windower
from thalweg.runtime.contracts import Watermark
from thalweg.testing import OPERATOR_CHECKS, At, OperatorCase, feed, run_virtual

from .model import Model, hopping, tumbling

COLLECT: Aggregate[Any, Any, Any] = aggregates.collect()
a_window: Callable[..., Operator[Any, Any]] = window

KINDS: dict[str, tuple[Windower, Model]] = {
    "tumbling": (windows.tumbling(10), Model(tumbling(10))),
    "tumbling with an offset": (windows.tumbling(10, offset=3), Model(tumbling(10, 3))),
    "hopping": (windows.hopping(10, 4), Model(hopping(10, 4))),
    "hopping in halves": (windows.hopping(10, 5, offset=2), Model(hopping(10, 5, 2))),
    "sessions": (windows.session(6), Model(gap=6)),
}

times = st.integers(-20, 60)
keys = st.sampled_from(["a", "b", "c"])


@st.composite
def streams(draw: st.DrawFn) -> list[object]:
    """Records out of order, with watermarks now and then; some records are behind them."""
    values: list[object] = []
    for number in range(draw(st.integers(0, 40))):
        if draw(st.integers(0, 4)) == 0:
            values.append(Watermark(float(draw(times))))
        values.append(At((draw(keys), number), float(draw(times))))
    return values


def _model(kind: str, *, update: bool = False) -> Model:
    model = KINDS[kind][1]
    return Model(model.windows_of, model.gap, update)


@pytest.mark.parametrize("emit", ["close", "update"])
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None)
@given(values=streams(), end=st.booleans())
def test_windows_make_what_the_model_makes(
    kind: str, emit: str, values: Sequence[object], end: bool
) -> None:
    model = _model(kind, update=emit == "update").feed(values, end=end)
    operator: Operator[Any, Any] = a_window(
        KINDS[kind][0], COLLECT, emit="update" if model.update else "close"
    )
    fed = run_virtual(lambda: feed(operator, values, end=end))
    assert fed.records == model.out
    assert fed.late == model.late
    assert fed.dead_letters == []


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=100, deadline=None)
@given(values=streams())
def test_each_record_is_counted_or_late_and_never_both(kind: str, values: list[object]) -> None:
    operator: Operator[Any, Any] = a_window(KINDS[kind][0], COLLECT)
    fed = run_virtual(lambda: feed(operator, values))
    records = [cast("At[tuple[str, int]]", v).record for v in values if isinstance(v, At)]
    counted = {(one.key, record) for one in fed.records for record in one.value}
    late = set(cast("list[tuple[str, int]]", fed.late))
    assert counted | late == set(records)
    assert counted & late == set()
    # Where windows do not overlap, once is once.
    if not kind.startswith("hopping"):
        assert sum(len(one.value) for one in fed.records) + len(fed.late) == len(records)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(values=streams(), keep=st.sets(st.integers(0, 60)))
def test_the_order_does_not_depend_on_how_often_watermarks_come(
    kind: str, values: list[object], keep: set[int]
) -> None:
    """Fewer watermarks than there could be: the same windows in the same order, only later."""
    reached = float("-inf")
    sound: list[object] = []
    for value in values:
        if isinstance(value, Watermark):
            reached = max(reached, value.at)
            sound.append(Watermark(reached))
        elif cast("At[object]", value).at >= reached:
            sound.append(value)
    fewer: list[object] = [
        value for index, value in enumerate(sound) if isinstance(value, At) or index in keep
    ]
    operator: Operator[Any, Any] = a_window(KINDS[kind][0], COLLECT)
    often = run_virtual(lambda: feed(operator, sound))
    seldom = run_virtual(lambda: feed(operator, fewer))
    assert often.records == seldom.records
    assert often.late == seldom.late == []


@pytest.mark.parametrize("check", OPERATOR_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("emit", ["close", "update"])
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5, deadline=None)
@given(values=streams())
def test_windows_keep_to_the_rules(
    check: Callable[[OperatorCase[Any, Any]], Coroutine[Any, Any, None]],
    kind: str,
    emit: str,
    values: list[object],
) -> None:
    model = _model(kind, update=emit == "update").feed(values)

    def make() -> Operator[Any, Any]:
        return a_window(KINDS[kind][0], COLLECT, emit="update" if model.update else "close")

    bad: list[object] = [At(one, 100.0) for one in cast("list[object]", [None, ([], 1), (1,)])]
    case: OperatorCase[Any, Any] = OperatorCase(
        make=make,
        records=values,
        expected=model.out,
        late=model.late,
        bad=bad,
    )
    run_virtual(lambda: check(case))
