from __future__ import annotations

from collections.abc import Sequence

import pytest

from thalweg.operators.endpoints.tensors import (
    Tensor,
    arrange,
    columns_of,
    datatype_of,
    described,
    fitting,
)
from thalweg.runtime.errors import DataError, MisconfiguredError


def tensor(name: str, *shape: int, datatype: str = "FP32") -> Tensor:
    return Tensor(name, datatype, shape or (-1, 1))


def test_inputs_named_like_the_fields_take_one_field_each() -> None:
    layout = arrange(("b", "a"), [tensor("a"), tensor("b", -1)], "m")
    assert [
        (t.name, values, shape) for t, values, shape in layout.fill([(1.0, 2.0), (3.0, 4.0)])
    ] == [
        ("b", (1.0, 3.0), [2]),
        ("a", (2.0, 4.0), [2, 1]),
    ]


@pytest.mark.parametrize("shape", [(-1, 2), (-1, -1), (-1,), (1, 2)])
def test_a_single_input_takes_all_fields_in_their_order(shape: tuple[int, ...]) -> None:
    layout = arrange(("b", "a"), [tensor("x", *shape)], "m")
    assert [
        (t.name, values, shape) for t, values, shape in layout.fill([(1.0, 2.0), (3.0, 4.0)])
    ] == [("x", [1.0, 2.0, 3.0, 4.0], [2, 2])]


def test_a_single_input_named_like_the_single_field_takes_it() -> None:
    assert not arrange(("a",), [tensor("a")], "m").stacked


@pytest.mark.parametrize(
    ("fields", "inputs", "told"),
    [
        (("a",), [tensor("a"), tensor("b")], "m also needs 'b': map a field to it"),
        (("a", "lenght"), [tensor("a"), tensor("length")], "no input 'lenght'.*mean 'length'"),
        (
            ("a", "b"),
            [tensor("x", -1, 3)],
            "2 fields are mapped, and that does not fit m: .*x FP32",
        ),
        (("a", "b"), [tensor("x", -1, 2, 2)], "does not fit m"),
        (("a", "b"), [tensor("a"), tensor("b", -1, 3)], "more than one value a row in b FP32"),
    ],
)
def test_fields_that_the_model_does_not_take_are_a_misconfiguration(
    fields: tuple[str, ...], inputs: list[Tensor], told: str
) -> None:
    with pytest.raises(MisconfiguredError, match=told):
        arrange(fields, inputs, "m")


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("FP16", 65504.0),
        ("FP32", -3.4e38),
        ("FP32", 7),
        ("FP64", 1e308),
        ("INT8", -128),
        ("UINT8", 255),
        ("INT64", 2**63 - 1),
        ("BYTES", "text"),
        ("BOOL", True),
    ],
)
def test_a_value_that_fits_travels_as_it_is(datatype: str, value: object) -> None:
    (carried,) = fitting((value,), tensor("a", datatype=datatype))
    assert (carried, type(carried)) == (value, type(value))


def test_a_whole_number_in_a_float_becomes_an_integer() -> None:
    assert str(fitting((3.0, 4), tensor("a", datatype="INT32"))) == "[3, 4]"


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("FP16", 65505.0),
        ("FP32", 1e39),
        ("FP32", "1.5"),
        ("FP32", True),
        ("INT8", 128),
        ("UINT8", -1),
        ("INT64", 1.5),
        ("INT64", 2.0**63),
        ("BYTES", 1),
        ("BOOL", 1),
    ],
)
def test_a_value_that_does_not_fit_is_named(datatype: str, value: object) -> None:
    good: dict[str, object] = {"BYTES": "x", "BOOL": False}
    target = tensor("width", datatype=datatype)
    with pytest.raises(DataError) as caught:
        fitting((good.get(datatype, 1), value), target)
    assert f"'width' of the model takes {datatype}" in str(caught.value)
    assert type(value).__name__ in str(caught.value)


def test_a_missing_value_asks_for_a_default() -> None:
    with pytest.raises(DataError, match=r"there is no value: give Field"):
        fitting((1.0, None), tensor("a"))


def test_an_unknown_datatype_is_a_misconfiguration() -> None:
    with pytest.raises(MisconfiguredError, match=r"unknown datatype 'FP8'"):
        fitting((1.0,), tensor("a", datatype="FP8"))


@pytest.mark.parametrize(
    ("data", "shape", "expected"),
    [
        (["a", "b"], [2], ["a", "b"]),
        (["a", "b"], [2, 1], ["a", "b"]),
        ([["a"], ["b"]], [2, 1], ["a", "b"]),
        ([1, 2, 3, 4], [2, 2], [[1, 2], [3, 4]]),
        ([[1, 2], [3, 4]], [2, 2], [[1, 2], [3, 4]]),
        (list(range(8)), [2, 2, 2], [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]),
        ([[[0, 1], [2, 3]], [[4, 5], [6, 7]]], [2, 2, 2], [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]),
        ([[[0], [1]], [[2], [3]]], [2, 2, 1], [[[0], [1]], [[2], [3]]]),
    ],
)
def test_a_tensor_holds_one_value_or_list_for_each_row(
    data: Sequence[object], shape: list[int], expected: list[object]
) -> None:
    assert columns_of(data, shape, 2) == expected


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        ([1, 2, 3], [3]),
        ([1, 2, 3], [2]),
        ([1], [2]),
        ([1, 2, 3], [2, 2]),
        ([[1, 2], [3]], [2, 2]),
        ([], []),
        ([], [2, 0, 1]),
        ([1, 2, 3, 4], [2, -1, -2]),
        ("ab", [2]),
        ({"a": 1, "b": 2}, [2]),
    ],
)
def test_a_tensor_that_does_not_hold_the_rows_is_refused(
    data: Sequence[object], shape: list[int]
) -> None:
    with pytest.raises(ValueError, match=r"shape"):
        columns_of(data, shape, 2)


@pytest.mark.parametrize(
    ("values", "datatype"),
    [
        (["a", "b"], "BYTES"),
        ([True], "BOOL"),
        ([1, 2], "INT64"),
        ([1, 2.5], "FP64"),
        ([1, "a"], None),
        ([None], None),
        ([], None),
    ],
)
def test_values_tell_their_datatype(values: list[object], datatype: str | None) -> None:
    assert datatype_of(values) == datatype


@pytest.mark.parametrize(
    ("shapes", "told"),
    [
        ([(-1, 1), (-1,), (-1, -1)], ["FP32", "FP32", "FP32"]),
        ([(-1, 4)], ["FP32[4]"]),
        ([(-1, -1)], ["FP32[?]"]),
        ([(-1, 2, 3), (-1, 4)], ["FP32[6]", "FP32[4]"]),
    ],
)
def test_inputs_are_told_with_how_many_values_they_take(
    shapes: list[tuple[int, ...]], told: list[str]
) -> None:
    inputs = [tensor(f"t{index}", *shape) for index, shape in enumerate(shapes)]
    assert list(described(inputs).values()) == told
