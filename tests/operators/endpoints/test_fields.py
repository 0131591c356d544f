from __future__ import annotations

import math
from collections import UserDict
from collections.abc import Mapping
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import cast

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.operators.endpoints.endpoint import UnwritableError
from thalweg.operators.endpoints.fields import Field, FieldMap
from thalweg.operators.endpoints.http import encoded
from thalweg.runtime.errors import DataError

PAIR = FieldMap({"a": "A", "b": "B"})


class Level(IntEnum):
    HIGH = 3


def test_rows_hold_the_values_in_the_order_of_the_mapping() -> None:
    fields = FieldMap({"b": "B", "a": "A"})
    assert fields.names == ("B", "A")
    assert fields.rows([{"a": 1, "b": 2.5, "extra": object()}]) == ([(2.5, 1)], {})


def test_a_single_field_makes_rows_of_one_value() -> None:
    assert FieldMap({"a": "A"}).rows([{"a": 1}, {"a": 2}]) == ([(1,), (2,)], {})


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "is None"),
        (math.nan, "is nan"),
        (math.inf, "is inf"),
        (-math.inf, "is -inf"),
        (2**63, "is an integer beyond 64 bits"),
        (-(2**63) - 1, "is an integer beyond 64 bits"),
        (10**400, "is an integer beyond 64 bits"),
        ([1.0], "is a list"),
        ({"x": 1}, "is a dict"),
        (b"raw", "is a bytes"),
        (1j, "is a complex"),
        (object(), "is a object"),
        (Decimal("NaN"), "is nan"),
        (numpy.float32("inf"), "is inf"),
    ],
)
@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_value_that_cannot_travel_rejects_its_record_alone(
    value: object, told: str, index: int
) -> None:
    records: list[dict[str, object]] = [{"a": float(n), "b": float(n)} for n in range(3)]
    records[index]["b"] = value
    rows, rejected = PAIR.rows(records)
    assert rows == [(float(n), float(n)) for n in range(3) if n != index]
    assert list(rejected) == [index]
    assert isinstance(rejected[index], DataError)
    assert str(rejected[index]).startswith(f"field 'b' (model field 'B') {told}")


def test_a_missing_mandatory_field_is_named() -> None:
    rows, rejected = PAIR.rows([{"a": 1.0, "b": 2.0}, {"a": 1.0}])
    assert rows == [(1.0, 2.0)]
    assert str(rejected[1]) == "field 'b' (model field 'B') is missing"


def test_what_is_no_mapping_is_rejected_alone() -> None:
    records = cast("list[Mapping[str, object]]", [{"a": 1, "b": 2}, [1, 2], None])
    rows, rejected = PAIR.rows(records)
    assert rows == [(1, 2)]
    assert {index: str(error) for index, error in rejected.items()} == {
        1: "a record to score is a mapping, not a list",
        2: "a record to score is a mapping, not a NoneType",
    }


def test_a_record_that_raises_is_rejected_alone() -> None:
    class Broken(UserDict[str, object]):
        def __getitem__(self, key: str) -> object:
            raise RuntimeError("broken record")

    records: list[Mapping[str, object]] = [Broken({"a": 1, "b": 1}), {"a": 1, "b": 2}]
    rows, rejected = PAIR.rows(records)
    assert rows == [(1, 2)]
    assert str(rejected[0]) == "broken record"


@pytest.mark.parametrize(
    ("value", "carried"),
    [
        (numpy.float64(1.5), 1.5),
        (numpy.float32(1.5), 1.5),
        (numpy.int64(3), 3),
        (Decimal("1.5"), 1.5),
        (Fraction(1, 2), 0.5),
        (Level.HIGH, 3),
        (numpy.str_("x"), "x"),
        (True, True),
        (2**63 - 1, 2**63 - 1),
        (1e308, 1e308),
    ],
)
def test_numbers_and_text_of_other_types_travel_as_plain_ones(
    value: object, carried: object
) -> None:
    rows, rejected = PAIR.rows([{"a": value, "b": value}, {"a": 1.0, "b": None}])
    assert list(rejected) == [1]
    assert rows == [(carried, carried)]
    assert {type(kept) for kept in rows[0]} == {type(carried)}


def test_an_optional_field_falls_back_to_its_default() -> None:
    fields = FieldMap(
        {"a": "A", "b": Field("B", mandatory=False, default=40), "c": Field("C", mandatory=False)}
    )
    records: list[dict[str, object]] = [
        {"a": 1},
        {"a": 1, "b": None, "c": 3},
        {"a": 1, "b": 2, "c": 3},
        {"b": 2},
    ]
    rows, rejected = fields.rows(records)
    assert rows == [(1, 40, None), (1, 40, 3), (1, 2, 3)]
    assert list(rejected) == [3]


def test_a_nan_in_an_optional_field_is_an_error_and_not_a_missing_value() -> None:
    fields = FieldMap({"b": Field("B", mandatory=False, default=40)})
    rows, rejected = fields.rows([{"b": math.nan}, {}])
    assert rows == [(40,)]
    assert list(rejected) == [0]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, -1, 2**63, -(2**63) - 1, 2**70, -(2**70), True]) | st.floats(),
            st.sampled_from([0, "", "x", None, math.nan, -1e300, 1e300, 2**63]),
        ),
        max_size=6,
    )
)
def test_a_batch_makes_the_rows_that_its_records_make_alone(
    pairs: list[tuple[object, object]],
) -> None:
    fields = FieldMap({"a": "A", "b": Field("B", mandatory=False, default=0)})
    records = [{"a": a, "b": b} for a, b in pairs]
    rows, rejected = fields.rows(records)
    alone = [fields.rows([record]) for record in records]
    assert rows == [row for rows_alone, _ in alone for row in rows_alone]
    assert set(rejected) == {index for index, (_, bad) in enumerate(alone) if bad}


ODD: list[object] = [
    Fraction(1, 3), Decimal(1), 1j, None, "x", [1.0], {"x": 1}, math.nan, math.inf, 2**70, -(2**64),
    numpy.float64(2.5), numpy.float32(2.5), numpy.int64(2), Level.HIGH, True, object(),
]  # fmt: skip


@given(
    st.lists(
        st.tuples(st.sampled_from(ODD) | st.floats() | st.integers(-(2**63), 2**63 - 1)),
        max_size=6,
    )
)
def test_what_passes_a_loose_look_is_sound_or_cannot_be_written(
    pairs: list[tuple[object]],
) -> None:
    fields = FieldMap({"a": "A", "b": "B"})
    records = [{"a": a, "b": 0.5} for (a,) in pairs]
    loose, refused = fields.rows(records, closely=False)
    close, rejected = fields.rows(records)
    if (loose, set(refused)) == (close, set(rejected)):
        return
    assert not refused
    with pytest.raises(UnwritableError):
        encoded(loose)


def test_text_is_no_reason_to_look_at_every_record_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("one by one")

    monkeypatch.setattr(FieldMap, "_one_by_one", never)
    rows, rejected = PAIR.rows([{"a": 1.5, "b": "x"}, {"a": 2.5, "b": "y"}], closely=False)
    assert (rows, rejected) == ([(1.5, "x"), (2.5, "y")], {})


def test_text_that_is_not_unicode_is_rejected_beside_other_kinds_of_values() -> None:
    values: list[object] = ["x", "\ud800", 2]
    rows, rejected = PAIR.rows([{"a": 1, "b": value} for value in values])
    assert rows == [(1, "x"), (1, 2)]
    assert "is text that is not valid Unicode" in str(rejected[1])


@pytest.mark.parametrize(
    ("fields", "error", "told"),
    [
        ({}, ValueError, "at least one"),
        ([("a", "A")], TypeError, "and is not a list"),
        ({"a": 1}, TypeError, r"fields\['a'\] is a model field's name or a Field, not 1"),
        ({"a": "A", "b": "A"}, ValueError, "two record fields feed the model field 'A'"),
        ({"a": ""}, ValueError, "not empty"),
    ],
)
def test_a_wrong_mapping_is_told_when_the_graph_is_built(
    fields: dict[str, str], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        FieldMap(fields)


def test_a_default_that_would_never_be_used_or_cannot_travel_is_refused() -> None:
    with pytest.raises(ValueError, match=r"is mandatory.*say mandatory=False"):
        Field("A", default=3)
    with pytest.raises(ValueError, match=r"the default of model field 'A' is nan"):
        Field("A", mandatory=False, default=math.nan)
