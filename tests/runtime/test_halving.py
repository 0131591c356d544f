"""Bad rows of columns, told from the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg import DataError
from thalweg.runtime.columns import Columns
from thalweg.runtime.halving import Halving

pyarrow = pytest.importorskip("pyarrow")

Bad = st.lists(st.booleans(), min_size=1, max_size=40)


def numbered(count: int) -> Columns:
    return Columns(pyarrow.table({"n": list(range(count))}))


@given(bad=Bad, named=st.data())
def test_each_row_is_taken_or_refused_once_and_in_order(
    bad: list[bool], named: st.DataObject
) -> None:
    pieces = Halving(numbered(len(bad)), [at / 2 for at in range(len(bad))])
    taken: list[int] = []
    for columns, times in pieces:
        rows = [int(str(row["n"])) for row in columns.rows()]
        assert times == [at / 2 for at in rows]
        refused = [index for index, at in enumerate(rows) if bad[at]]
        if not refused:
            taken += rows
            continue
        known = named.draw(st.lists(st.sampled_from(refused), unique=True))
        why = {index: ValueError(str(rows[index])) for index in known}
        pieces.refuse(DataError("bad rows", rows=why) if known else ValueError(str(rows[0])))
    assert taken == [at for at, one in enumerate(bad) if not one]
    assert sorted((at, str(why)) for at, why in pieces.bad) == [
        (at, str(at)) for at, one in enumerate(bad) if one
    ]


def test_rows_that_are_not_there_are_not_believed() -> None:
    pieces = Halving(numbered(2))
    for columns, _ in pieces:
        if len(columns) == 2:
            pieces.refuse(DataError("bad rows", rows={7: ValueError()}))
    assert pieces.bad == []
