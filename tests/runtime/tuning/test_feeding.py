"""A node that is to tune itself and could do but a part of it is refused where it is built."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from thalweg import BatchFunction, Graph, GraphError
from thalweg.operators import Throughput, sinks, sources

from .workers import Asking, Workers


class Once(BatchFunction[int, int]):
    """May not be repeated."""

    tune = Throughput()

    async def call(self, records: Sequence[int]) -> Sequence[int]:
        return records


def _tuned() -> Asking:
    return Asking(Workers(), Throughput(p99=0.2), 8)


def _without_a_batch(graph: Graph) -> None:
    numbers = graph.read("numbers", sources.records([1])).map(abs, name="abs")
    numbers.via("ask", _tuned()).to("out", sinks.collect([]))


def _by_bytes_alone(graph: Graph) -> None:
    numbers = graph.read("numbers", sources.records([1])).batch(max_batch_bytes=99, name="cut")
    numbers.via("ask", _tuned()).to("out", sinks.collect([]))


def _of_a_union(graph: Graph) -> None:
    one = graph.read("one", sources.records([1])).batch(64, name="first")
    other = graph.read("other", sources.records([2])).batch(64, name="second")
    one.union(other).via("ask", _tuned()).to("out", sinks.collect([]))


def _with_another_reader(graph: Graph) -> None:
    numbers = graph.read("numbers", sources.records([1])).batch(64, name="cut")
    numbers.via("ask", _tuned()).to("out", sinks.collect([]))
    numbers.to("copy", sinks.collect([]))


def _not_repeatable(graph: Graph) -> None:
    numbers = graph.read("numbers", sources.records([1])).batch(64)
    numbers.via("ask", Once()).to("out", sinks.collect([]))


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (_without_a_batch, r"'ask' is to tune itself .* reads 'abs', which cuts no batches: .*"
         r"Say \.batch\(64\)\.via\('ask', …\)"),
        (_by_bytes_alone, "'cut' before it cuts by bytes alone: give it a max_batch_size"),
        (_of_a_union, "reads 'first', 'second', which cuts no batches"),
        (_with_another_reader, "'cut' before it cuts for 'copy' too: give each a .batch"),
        (_not_repeatable, "its calls may not be repeated: set repeatable = True"),
    ],
)  # fmt: skip
def test_what_could_not_be_tuned_is_refused_with_file_and_line(
    build: Callable[[Graph], None], said: str
) -> None:
    graph = Graph("tuned")
    build(graph)
    with pytest.raises(GraphError, match=said) as caught:
        graph.plan()
    assert "test_feeding.py:" in str(caught.value)


def test_a_batch_of_its_own_right_before_it_is_all_that_is_asked_for() -> None:
    graph = Graph("tuned")
    numbers = graph.read("numbers", sources.records([1, 2]))
    numbers.batch(64).via("ask", _tuned()).to("out", sinks.collect([]))
    numbers.to("copy", sinks.collect([]))
    assert "8 in flight, in order, 60 s each, tunes itself: 99 of 100 calls within 0.2 s" in (
        graph.plan().text()
    )


def test_one_that_does_not_tune_itself_needs_no_batch() -> None:
    graph = Graph("plain")
    numbers = graph.read("numbers", sources.records([1]))
    numbers.via("ask", Asking(Workers(), None, 8)).to("out", sinks.collect([]))
    assert graph.plan()
