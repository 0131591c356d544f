from __future__ import annotations

from collections import UserDict
from typing import Any

import pytest

from thalweg.operators.endpoints import Answer
from thalweg.operators.endpoints.predictions import (
    answer_of_columns,
    answer_of_rows,
    without_base64,
)


@pytest.mark.parametrize(
    ("predictions", "fields", "rows"),
    [
        ([1, 2], ("prediction",), [(1,), (2,)]),
        ([[1, 2], [3]], ("prediction",), [([1, 2],), ([3],)]),
        ([None, None], ("prediction",), [(None,), (None,)]),
        ([{"p": 1}, {"p": 2}], ("p",), [(1,), (2,)]),
        ([{"p": 1, "q": 2}, {"q": 4, "p": 3}], ("p", "q"), [(1, 2), (3, 4)]),
        ([{"p": 1}, {"q": 2}], ("p", "q"), [(1, None), (None, 2)]),
        ([{"p": 1, "q": 2}, {"p": 3}], ("p", "q"), [(1, 2), (3, None)]),
        ([{"p": 1}, {"p": 3, "q": 2}], ("p", "q"), [(1, None), (3, 2)]),
        ([{}, {"q": 2}], ("q",), [(None,), (2,)]),
        ([{"p": 1}, 5], ("p", "prediction"), [(1, None), (None, 5)]),
        ([UserDict({"p": 1}), {"p": 2}], ("p",), [(1,), (2,)]),
        ([{"p": 1}, UserDict({"q": 2})], ("p", "q"), [(1, None), (None, 2)]),
    ],
)
def test_each_prediction_is_one_row(
    predictions: Any, fields: tuple[str, ...], rows: list[tuple[object, ...]]
) -> None:
    assert answer_of_rows(predictions, 2) == Answer(fields, rows)


@pytest.mark.parametrize(
    ("predictions", "told"),
    [
        ([1], "1 results for 2 rows"),
        ([1, 2, 3], "3 results for 2 rows"),
        ([], "0 results for 2 rows"),
        ("ab", "a str, not a list"),
        ({"a": 1, "b": 2}, "a dict, not a list"),
        (None, "a NoneType, not a list"),
    ],
)
def test_another_number_of_predictions_is_no_answer(predictions: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        answer_of_rows(predictions, 2)


@pytest.mark.parametrize(
    ("outputs", "fields", "rows"),
    [
        ([1, 2], ("prediction",), [(1,), (2,)]),
        ([[1, 2], [3, 4]], ("prediction",), [([1, 2],), ([3, 4],)]),
        ({"p": [1, 2]}, ("p",), [(1,), (2,)]),
        ({"p": [1, 2], "q": [["a"], ["b"]]}, ("p", "q"), [(1, ["a"]), (2, ["b"])]),
    ],
)
def test_columns_are_turned_into_rows(
    outputs: Any, fields: tuple[str, ...], rows: list[tuple[object, ...]]
) -> None:
    assert answer_of_columns(outputs, 2) == Answer(fields, rows)


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        ({}, "no column"),
        (5, "a int as 'prediction'"),
        ("ab", "a str as 'prediction'"),
        ({"p": [1, 2], "q": {"a": 1, "b": 2}}, "a dict as 'q'"),
        ({"p": [1, 2], "q": [1]}, "1 values of 'q' for 2 rows"),
        ([1, 2, 3], "3 values of 'prediction' for 2 rows"),
    ],
)
def test_columns_of_another_length_are_no_answer(outputs: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        answer_of_columns(outputs, 2)


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ({"b64": "c2V0b3Nh"}, "setosa"),
        ({"b64": "/w=="}, b"\xff"),
        ({"b64": ""}, ""),
        ([{"b64": "YQ=="}, {"b64": "Yg=="}], ["a", "b"]),
        ([[[{"b64": "YQ=="}]]], [[["a"]]]),
        ({"p": 1, "label_bytes": {"b64": "YQ=="}}, {"p": 1, "label_bytes": "a"}),
        ({"b64": 1}, {"b64": 1}),
        ({"b64": "YQ==", "more": 1}, {"b64": "YQ==", "more": 1}),
        ([1, 2], [1, 2]),
        ([], []),
        ("b64", "b64"),
    ],
)
def test_base64_is_read_wherever_it_stands(said: Any, means: Any) -> None:
    assert without_base64(said) == means


def test_what_calls_itself_base64_and_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="base64"):
        without_base64([{"b64": "no!"}])
