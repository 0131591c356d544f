from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy
import pytest

from thalweg.operators.endpoints import Answer, Endpoint, function
from thalweg.runtime.context import Context
from thalweg.runtime.dead_letters import describe
from thalweg.runtime.errors import BusyError, DataError

Rows = list[dict[str, Any]]


async def ask(endpoint: Endpoint, context: Context) -> Answer:
    await endpoint.open(context)
    try:
        return await endpoint.predict(("a", "b"), [(1, 2), (3, 4)])
    finally:
        await endpoint.close()


@pytest.mark.asyncio
async def test_a_plain_callable_gets_dicts_in_a_thread(context: Context) -> None:
    seen: list[object] = []

    def total(rows: Rows) -> list[int]:
        seen.extend((rows, threading.current_thread() is threading.main_thread()))
        return [row["a"] + row["b"] for row in rows]

    answer = await ask(function(total), context)
    assert seen == [[{"a": 1, "b": 2}, {"a": 3, "b": 4}], False]
    assert answer == Answer(("prediction",), [(3,), (7,)])


@pytest.mark.asyncio
async def test_an_async_callable_runs_on_the_loop(context: Context) -> None:
    class Model:
        async def __call__(self, rows: Rows) -> list[bool]:
            return [threading.current_thread() is threading.main_thread() for _ in rows]

    assert (await ask(function(Model()), context)).rows == [(True,), (True,)]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("results", "fields", "rows"),
    [
        ([{"x": 1, "y": 2}, {"y": 4, "x": 3}], ("x", "y"), [(1, 2), (3, 4)]),
        ([{"x": 1}, {"x": 2, "why": "odd"}], ("x", "why"), [(1, None), (2, "odd")]),
        ([{"x": 1}, 5], ("x", "prediction"), [(1, None), (None, 5)]),
        (("a", [1, 2]), ("prediction",), [("a",), ([1, 2],)]),
        (numpy.array([1.5, 2.5]), ("prediction",), [(1.5,), (2.5,)]),
    ],
)
async def test_results_are_dicts_or_values(
    context: Context, results: Any, fields: tuple[str, ...], rows: list[tuple[object, ...]]
) -> None:
    def model(_: Rows) -> Sequence[Any]:
        return results  # type: ignore[no-any-return]

    assert await ask(function(model), context) == Answer(fields, rows)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("results", "told"),
    [
        ([1], "returned 1 results for 2 rows"),
        ([1, 2, 3], "returned 3 results for 2 rows"),
        ("ab", "returned a str, not a list"),
        (None, "returned a NoneType, not a list"),
        ({"a": 1, "b": 2}, "returned a dict, not a list"),
    ],
)
async def test_a_wrong_number_of_results_blames_the_rows(
    context: Context, results: Any, told: str
) -> None:
    def model(_: Rows) -> Sequence[Any]:
        return results  # type: ignore[no-any-return]

    with pytest.raises(DataError, match=f"model {told}"):
        await ask(function(model), context)


@pytest.mark.asyncio
@pytest.mark.parametrize("is_async", [False, True])
async def test_what_it_raises_blames_the_rows_and_tells_the_line(
    context: Context, is_async: bool
) -> None:
    def model(rows: Rows) -> list[Any]:
        return [1 / 0 for _ in rows]

    async def async_model(rows: Rows) -> list[Any]:
        return model(rows)

    with pytest.raises(DataError, match=r"model raised ZeroDivisionError: ") as caught:
        await ask(function(async_model if is_async else model), context)
    where = describe(caught.value).where
    assert where is not None
    assert "test_function.py" in where


@pytest.mark.asyncio
async def test_a_typed_error_passes_as_it_is(context: Context) -> None:
    def model(_: Rows) -> list[Any]:
        raise BusyError("later", retry_after=3.0)

    with pytest.raises(BusyError) as caught:
        await ask(function(model), context)
    assert caught.value.retry_after == 3.0


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="function\\(\\) takes a callable, not a str"):
        function("model")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
