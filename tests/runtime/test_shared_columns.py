"""Columns that several operators read: what is made of them once, and who knows of whom."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import thread_time
from typing import Any

import pytest

from thalweg import Columns, Context, Graph, Read, Row, Sink, Source
from thalweg.runtime.contracts import ColumnOperator, Late

pa: Any = pytest.importorskip("pyarrow")


def pickled(one: Any) -> Any:
    return pickle.loads(pickle.dumps(one))


def numbers(count: int) -> Columns:
    return Columns(pa.table({"n": range(count)}))


class Given(Source[Row]):
    """Hands over these columns."""

    gives_columns = True

    def __init__(self, *several: Columns) -> None:
        self.several = several

    async def open(self, context: Context) -> None:
        self.left: Iterator[Columns] = iter(self.several)
        self.at = 0

    async def read(self, limit: int) -> Read[Row] | None:
        columns = next(self.left, None)
        if columns is None:
            return None
        start, self.at = self.at, self.at + len(columns)
        return Read(columns, range(start, self.at))


class Ignoring(Sink[Row]):
    """Takes all, and keeps nothing."""

    async def write(self, records: Sequence[Row]) -> None:
        pass

    async def write_columns(self, columns: Columns) -> None:
        pass


class Known(ColumnOperator):
    """Notes who else there is."""

    def __init__(self) -> None:
        self.others: list[ColumnOperator] = []
        self.opened = list[list[ColumnOperator]]()

    def beside(self, others: Sequence[ColumnOperator]) -> None:
        assert not self.others
        self.others = list(others)

    async def open(self, context: Context) -> None:
        self.opened.append(self.others)

    def process_columns(self, columns: Columns) -> Iterable[Columns]:
        return (columns,)

    def knows(self) -> list[Any]:
        """What those who stand beside it note, which is that of their prototypes."""
        return [other.opened for other in self.opened[0] if isinstance(other, Known)]


def test_what_is_made_of_columns_for_all_is_made_once() -> None:
    columns, made = numbers(10), list[str]()

    def make(name: str) -> str:
        made.append(name)
        return name

    assert [columns.once("key", lambda: make("one")) for _ in range(3)] == ["one"] * 3
    assert columns.once("other", lambda: make("two")) == "two"
    assert columns[:5].once("key", lambda: make("part")) == "part"
    assert made == ["one", "two", "part"]


def test_what_could_not_be_made_is_made_again() -> None:
    columns = numbers(10)
    with pytest.raises(ZeroDivisionError):
        columns.once("key", lambda: 1 // 0)
    assert columns.once("key", lambda: 2) == 2


@pytest.mark.parametrize("again", [copy.deepcopy, pickled])
@pytest.mark.parametrize("kind", [Columns, Late])
def test_columns_are_kept_and_sent_without_what_was_made_of_them(
    again: Any, kind: type[Columns]
) -> None:
    columns = kind(pa.table({"n": [1, 2, None]}))
    assert columns.once("key", lambda: 1) == 1
    other = again(columns)
    assert type(other) is kind
    assert other.rows() == columns.rows()
    assert other.once("key", lambda: 2) == 2


def test_who_asks_for_what_another_thread_makes_waits_for_it() -> None:
    columns, begun, go_on = numbers(10), threading.Event(), threading.Event()
    made = list[int]()

    def make() -> int:
        begun.set()
        assert go_on.wait(10)
        made.append(1)
        return len(made)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(columns.once, "key", make)
        assert begun.wait(10)
        second = threads.submit(columns.once, "key", make)
        go_on.set()
        assert (first.result(10), second.result(10)) == (1, 1)
    assert made == [1]


def test_what_another_might_have_to_make_is_not_done_on_the_loop() -> None:
    class Slow(ColumnOperator):
        """Has something made that takes longer than a turn, and has nothing to do itself."""

        def process_columns(self, columns: Columns) -> Iterable[Columns]:
            threads.append(threading.get_ident())
            columns.once("slow", work)
            return ()

    def work() -> None:
        until = thread_time() + 0.02
        while thread_time() < until:
            pass

    threads = list[int]()
    graph = Graph("slow")
    given = graph.read("given", Given(*(numbers(20_000) for _ in range(8))))
    for name in ("first", "second", "third"):
        given.via(name, Slow()).to(f"{name}_out", Ignoring())
    graph.run()
    assert len(threads) == 24
    assert threading.get_ident() not in threads


def test_operators_over_the_same_columns_know_of_one_another() -> None:
    first, second, alone = Known(), Known(), Known()
    graph = Graph("beside")
    given = graph.read("given", Given(numbers(10)))
    given.via("first", first).via("alone", alone).to("one", Ignoring())
    given.via("second", second).to("two", Ignoring())
    given.map(lambda row: row).to("rows", Ignoring())
    graph.run()
    # Each job has operators of its own, and they know those.
    assert [type(other) for other in first.opened[0]] == [Known]
    assert second not in first.opened[0]
    assert first.knows() == [second.opened]
    assert second.knows() == [first.opened]
    assert alone.knows() == []


def test_who_is_given_the_columns_of_others_too_stands_beside_those_who_are() -> None:
    left, right, both, other = Known(), Known(), Known(), Known()
    graph = Graph("unions")
    first = graph.read("first", Given(numbers(10)))
    second = graph.read("second", Given(numbers(10)))
    first.via("left", left).to("one", Ignoring())
    second.via("right", right).to("two", Ignoring())
    first.union(second).via("both", both).to("three", Ignoring())
    second.union(first).via("other", other).to("four", Ignoring())
    graph.run()
    assert (left.knows(), right.knows()) == ([], [])
    assert both.knows() == [other.opened]
    assert other.knows() == [both.opened]
