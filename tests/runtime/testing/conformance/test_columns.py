"""The checks for operators on columns: sound ones pass all, and each finds the fault it is for."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from thalweg import Columns, Context, Row, Trigger
from thalweg.operators import aggregates, cube, derive, group_by, where, windows
from thalweg.runtime.contracts import ColumnOperator, Late
from thalweg.testing import COLUMN_CHECKS, ColumnCase, run_virtual

pa: Any = pytest.importorskip("pyarrow")
compute: Any = pytest.importorskip("pyarrow.compute")
pytest.importorskip("duckdb")

Check = Callable[[ColumnCase], Awaitable[None]]


def numbers(*values: object) -> Columns:
    return Columns(pa.table({"n": pa.array(values, pa.int64()), "word": ["w"] * len(values)}))


def rows(name: str, *values: object) -> list[Row]:
    return [{name: value} for value in values]


class Small(ColumnOperator):
    """A sound operator without memory, which refuses negative numbers."""

    def process_columns(self, columns: Columns) -> Iterable[Columns]:
        table = columns.table
        if compute.any(compute.less(table["n"], 0)).as_py():
            raise ValueError("negative")
        yield Columns(table.filter(compute.less(table["n"], 4)).select(["n"]))

    def asks_for(self, below: frozenset[str] | None) -> frozenset[str] | None:
        return frozenset({"n"})


class Total(Small):
    """A sound operator with memory, which tells its sum at triggers; zeros are late."""

    has_late = True

    async def open(self, context: Context) -> None:
        self.total = 0

    def process_columns(self, columns: Columns) -> Iterable[Columns]:
        list(super().process_columns(columns))
        table = columns.table
        self.total += compute.sum(table["n"]).as_py()
        yield Late(table.filter(compute.equal(table["n"], 0)).select(["n"]))

    def on_trigger(self, number: int) -> Iterable[Columns]:
        yield Columns(pa.table({"total": [self.total]}))

    def on_end(self) -> Iterable[Columns]:
        yield Columns(pa.table({"total": [-self.total]}))

    def snapshot(self) -> bytes:
        return json.dumps(self.total).encode()

    def restore(self, data: bytes) -> None:
        self.total = json.loads(data)


GIVEN: list[Any] = [numbers(1, 5, 0, 2), Trigger(0), numbers(9, 3), Trigger(1)]
SMALL = ColumnCase(Small, GIVEN, rows("n", 1, 0, 2, 3), bad=numbers(-1))
TOTAL = ColumnCase(Total, GIVEN, rows("total", 8, 20, -20), bad=numbers(-1, -2), late=rows("n", 0))
TIMED = Columns(pa.table({"at": [1, 3, 12, 2, 25, 14], "x": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]}))

SOUND: dict[str, ColumnCase] = {
    "small": SMALL,
    "total": TOTAL,
    "unended": replace(TOTAL, expected=TOTAL.expected[:-1], end=False),
    "where": ColumnCase(
        lambda: where("n > 1 and word = 'w'"),
        GIVEN,
        [{"n": n, "word": "w"} for n in (5, 2, 9, 3)],
    ),
    "derive": ColumnCase(
        lambda: derive(twice="2 * n"),
        GIVEN,
        [{"n": n, "word": "w", "twice": 2 * n} for n in (1, 5, 0, 2, 9, 3)],
    ),
    "group_by": ColumnCase(
        lambda: group_by("word", measures={"s": aggregates.sum("n"), "c": aggregates.count()}),
        GIVEN,
        [{"word": "w", "s": 8, "c": 4}, {"word": "w", "s": 20, "c": 6}],
    ),
    "cube": ColumnCase(
        lambda: cube("word", measures={"m": aggregates.mean("n")}, mode="complete"),
        [numbers(1, 3), Trigger(0)],
        [{"word": "w", "m": 2.0, "grouping": 0}, {"word": None, "m": 2.0, "grouping": 1}],
    ),
    "windows": ColumnCase(
        lambda: group_by(
            measures={"s": aggregates.sum("x")},
            window=windows.tumbling(10),
            time="at",
            unit="s",
            mode="append",
        ),
        [TIMED],
        [],
        late=[{"at": 2, "x": 8.0}, {"at": 14, "x": 32.0}],
        end=False,
    ),
}


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("check", COLUMN_CHECKS, ids=lambda check: check.__name__)
def test_a_sound_operator_passes(check: Check, name: str) -> None:
    run_virtual(lambda: check(SOUND[name]))


class ByBatch(Small):
    """Tells how many rows came at a time."""

    def process_columns(self, columns: Columns) -> Iterable[Columns]:
        yield Columns(pa.table({"n": [len(columns)]}))


class Records(Small):
    """Makes records, not columns."""

    def process_columns(self, columns: Columns) -> Any:
        return columns.rows()


class Breaks(Small):
    """Cannot end without a row."""

    def process_columns(self, columns: Columns) -> Iterable[Columns]:
        self.seen = len(columns)
        return super().process_columns(columns)

    def on_end(self) -> Iterable[Columns]:
        assert self.seen
        return ()


class ReadsMore(Small):
    """Looks at a column that it does not ask for."""

    def process_columns(self, columns: Columns) -> Iterable[Columns]:
        assert columns.table["word"] is not None
        return super().process_columns(columns)


class SnapshotsOnce(Total):
    """Forgets what it has saved."""

    def snapshot(self) -> bytes:
        saved, self.total = super().snapshot(), 0
        return saved


class ForgetsToRestore(Total):
    """Begins anew each time."""

    def restore(self, data: bytes) -> None:
        pass


class InSecret(Small):
    """Remembers how many rows came, and does not say so."""

    async def open(self, context: Context) -> None:
        self.seen = 0

    def process_columns(self, columns: Columns) -> Iterable[Columns]:
        for _ in range(len(columns)):
            self.seen += 1
            yield Columns(pa.table({"n": [self.seen]}))


class SpeaksAtATrigger(Small):
    """Makes something of a signal, from no memory."""

    def on_trigger(self, number: int) -> Iterable[Columns]:
        yield Columns(pa.table({"n": [number]}))


class Shares(Total):
    """Keeps its sum in what all copies have."""

    def __init__(self) -> None:
        self.sums = [0]

    async def open(self, context: Context) -> None:
        self.total = 0

    def process_columns(self, columns: Columns) -> Iterable[Columns]:
        self.sums[0] += compute.sum(columns.table["n"]).as_py()
        self.total = self.sums[0]
        yield Late(columns.table.filter(compute.equal(columns.table["n"], 0)).select(["n"]))


class ChangesBeforeItLooks(Total):
    """Adds first, and raises then."""

    def process_columns(self, columns: Columns) -> Iterable[Columns]:
        self.total += 1
        yield from super().process_columns(columns)
        self.total -= 1


class TakesAnything(Small):
    """Refuses nothing."""

    def process_columns(self, columns: Columns) -> Iterable[Columns]:
        table = columns.table
        yield Columns(table.filter(compute.less(table["n"], 4)).select(["n"]))


FAULTS: list[tuple[str, ColumnCase, str]] = [
    ("makes_what_is_expected", replace(SMALL, expected=rows("n", 1, 0, 9)), r"number 2 is"),
    ("makes_what_is_expected", replace(SMALL, make=Records), "whatever it returns is Columns"),
    ("closes_without_a_row", replace(SMALL, make=Breaks), "seen"),
    ("makes_the_same_however_the_rows_are_cut", replace(SMALL, make=ByBatch), "1 come at a time"),
    ("reads_only_what_it_asks_for", replace(SMALL, make=ReadsMore), "word"),
    ("a_snapshot_changes_nothing", replace(TOTAL, make=SnapshotsOnce), "a snapshot after each"),
    ("goes_on_from_any_snapshot", replace(TOTAL, make=ForgetsToRestore), "after 1 pieces"),
    ("declares_its_memory", replace(SMALL, make=InSecret), "what piece 1 makes after the others"),
    ("declares_its_memory", replace(SMALL, make=SpeaksAtATrigger), "declares no memory"),
    ("copies_share_nothing", replace(TOTAL, make=Shares), "one of two jobs"),
    ("a_bad_row_leaves_no_trace", replace(TOTAL, make=ChangesBeforeItLooks), "around the bad"),
    ("a_bad_row_leaves_no_trace", replace(SMALL, make=TakesAnything), r"those at \[\] were"),
]


@pytest.mark.parametrize(("name", "case", "message"), FAULTS)
def test_each_fault_is_found(name: str, case: ColumnCase, message: str) -> None:
    (check,) = (check for check in COLUMN_CHECKS if check.__name__ == name)
    with pytest.raises((AssertionError, AttributeError, KeyError), match=message):
        run_virtual(lambda: check(case))


def test_each_check_has_a_fault_that_it_finds() -> None:
    assert {name for name, *_ in FAULTS} == {check.__name__ for check in COLUMN_CHECKS}
