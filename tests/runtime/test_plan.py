"""What is checked before anything starts, and how a graph is planned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, cast

import pytest

from thalweg import BatchFunction, Graph, GraphError, KeyedState, Operator, State
from thalweg.runtime.nodes import Node, NodeOptions, Port
from thalweg.testing import CollectingSink, MemoryStore, run_virtual, scripted


def _line() -> int:
    import inspect

    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def _sink() -> CollectingSink[Any]:
    return CollectingSink()


def _started(graph: Graph) -> bool:
    """Whether any part of the graph was opened."""
    try:
        run_virtual(lambda: _start(graph))
    except GraphError:
        return False
    return True


async def _start(graph: Graph) -> None:
    async with graph.start() as job:
        await job.wait()


def test_a_circle_is_refused_and_its_nodes_are_named() -> None:
    graph = Graph("circle")
    graph.read("numbers", scripted(1)).to("out", _sink())
    graph.add("map", "chicken", str, (Port("egg"),), NodeOptions())
    line = _line() - 1
    graph.add("map", "egg", str, (Port("chicken"),), NodeOptions())
    with pytest.raises(GraphError) as info:
        graph.plan()
    assert "['chicken', 'egg'] read one another in a circle" in str(info.value)
    assert info.value.where == f"{__file__}:{line}"
    assert not _started(graph)


def test_an_input_that_is_not_there_is_refused_with_the_nearest_name() -> None:
    graph = Graph("dangling")
    graph.read("numbers", scripted(1)).to("out", _sink())
    graph.add("sink", "other", _sink(), (Port("numbrs"),), NodeOptions(), ports=())
    line = _line() - 1
    with pytest.raises(GraphError) as info:
        graph.plan()
    assert "'other' reads 'numbrs', and there is no node 'numbrs'. Did you mean 'numbers'?" in str(
        info.value
    )
    assert info.value.where == f"{__file__}:{line}"
    assert not _started(graph)


def test_a_port_that_is_not_there_is_refused_with_the_nearest_name() -> None:
    graph = Graph("ports")
    numbers = graph.read("numbers", scripted(1))
    matching, rest = numbers.split(lambda n: n > 0, name="parts")
    matching.union(rest).to("out", _sink())
    graph.add("sink", "other", _sink(), (Port("parts", "matchin"),), NodeOptions(), ports=())
    with pytest.raises(GraphError, match=r"the port 'matchin' of 'parts'.*Did you mean 'matching'"):
        graph.plan()


def test_an_output_that_goes_nowhere_is_refused() -> None:
    graph = Graph("nowhere")
    graph.read("numbers", scripted(1)).map(str, name="text")
    line = _line() - 1
    with pytest.raises(GraphError, match="what comes out of 'text' goes nowhere") as info:
        graph.plan()
    assert info.value.where == f"{__file__}:{line}"
    graph = Graph("half")
    graph.read("numbers", scripted(1)).split(bool, name="parts").matching.to("out", _sink())
    with pytest.raises(GraphError, match="the port 'rest' of 'parts' goes nowhere"):
        graph.plan()


def test_a_node_that_nothing_flows_into_is_refused() -> None:
    graph = Graph("dry")
    graph.add("sink", "out", _sink(), (), NodeOptions(), ports=())
    with pytest.raises(GraphError, match="nothing flows into 'out'"):
        graph.plan()


def test_two_nodes_of_one_name_are_refused_where_the_second_is_declared() -> None:
    graph = Graph("names")
    numbers = graph.read("numbers", scripted(1))
    first = _line() - 1
    with pytest.raises(GraphError) as info:
        numbers.to("numbers", _sink())
    second = _line() - 1
    assert f"the name 'numbers' is taken by the source declared at {__file__}:{first}" in str(
        info.value
    )
    assert info.value.where == f"{__file__}:{second}"


@pytest.mark.parametrize("name", ["", "1st", "a b", "a/b", "ä", "x" * 101, "a\n"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    graph = Graph("names")
    with pytest.raises(GraphError, match="is no name for a node"):
        graph.read(name, scripted(1))
    with pytest.raises(GraphError, match="is no name for a node"):
        Graph(name)


def test_a_stream_of_another_graph_is_refused() -> None:
    here, there = Graph("here"), Graph("there")
    mine, other = here.read("mine", scripted(1)), there.read("other", scripted(2))
    with pytest.raises(GraphError, match="belongs to another graph than 'here'") as info:
        mine.union(other)
    assert info.value.where == f"{__file__}:{_line() - 1}"


def test_a_stream_is_not_united_with_itself() -> None:
    numbers = Graph("same").read("numbers", scripted(1))
    with pytest.raises(GraphError, match="cannot be united with itself"):
        numbers.union(numbers)


# Memory


class Remembering(Operator[int, int]):
    def process(self, record: int) -> list[int]:
        return [record]

    def snapshot(self) -> bytes:
        return b""


class Keyed(Operator[int, int]):
    def __init__(self) -> None:
        self.state: KeyedState[int, int] = KeyedState()

    def process(self, record: int) -> list[int]:
        return [record]


class Ending(Operator[int, int]):
    def process(self, record: int) -> list[int]:
        return []

    def on_end(self) -> Iterator[int]:
        yield 1


class Waking(Operator[int, int]):
    def process(self, record: int) -> list[int]:
        return []

    def wake_at(self) -> float | None:
        return None


@pytest.mark.parametrize("operator", [Remembering(), Keyed()])
def test_memory_without_volatile_and_without_a_store_is_refused(
    operator: Operator[int, int],
) -> None:
    graph = Graph("memory")
    graph.read("numbers", scripted(1)).via("op", operator).to("out", _sink())
    line = _line() - 1
    with pytest.raises(GraphError, match=r"'op' has memory.*--state.*volatile=True") as info:
        graph.start()
    assert info.value.where == f"{__file__}:{line}"
    assert "none: op may not forget" in graph.plan().text()
    graph.start(state=State(MemoryStore()))
    graph = Graph("memory")
    graph.read("numbers", scripted(1)).via("op", operator, volatile=True).to("out", _sink())
    graph.start()


@pytest.mark.parametrize(("operator", "what"), [(Ending(), "on_end"), (Waking(), "wake_at")])
@pytest.mark.parametrize("volatile", [False, True])
def test_emitting_outside_process_without_memory_is_refused(
    operator: Operator[int, int], what: str, volatile: bool
) -> None:
    graph = Graph("memory")
    numbers = graph.read("numbers", scripted(1))
    numbers.via("op", operator, volatile=volatile).to("out", _sink())
    with pytest.raises(GraphError, match=rf"emits outside process \({what}\)"):
        graph.plan()


# Options


async def _later(record: int) -> int:
    return record


class Strange(BatchFunction[int, int]):
    async def call(self, records: Sequence[int]) -> list[int]:
        return list(records)


def _strange(**options: Any) -> Strange:
    function = Strange()
    for name, value in options.items():
        setattr(function, name, value)
    return function


WRONG: list[tuple[Callable[[Any], object], str]] = [
    (lambda s: s.map(3), "a function is asked for, not int"),
    (lambda s: s.map(abs, max_in_flight=2), "max_in_flight is for async functions"),
    (lambda s: s.map(_later, max_in_flight=0), "max_in_flight is 1 to 100,000, not 0"),
    (lambda s: s.map(_later, timeout=0), "timeout is a number of seconds above 0, not 0"),
    (lambda s: s.map(_later, timeout=float("inf")), "timeout is .*, not inf"),
    (lambda s: s.map(_later, timeout=float("nan")), "timeout is .*, not nan"),
    (lambda s: s.map(abs, fail_after=0), "fail_after is 1 or more, or None, not 0"),
    (lambda s: s.split(_later), "split takes a plain function"),
    (lambda s: s.batch(), "batch needs max_batch_size or max_batch_bytes"),
    (lambda s: s.batch(0), "max_batch_size is 1 or more, not 0"),
    (lambda s: s.batch(5, max_batch_bytes=-1), "max_batch_bytes is 1 or more, not -1"),
    (lambda s: s.batch(5, linger=-1), "linger is a number of seconds, 0 or more, not -1"),
    (lambda s: s.batch(5, linger=float("nan")), "linger is .*, not nan"),
    (lambda s: s.via("x", abs), r"not builtin_function_or_method. A function goes into .map"),
    (lambda s: s.via("x", CollectingSink()), r"A sink ends a stream: use .to"),
    (lambda s: s.via("x", _strange(max_in_flight=0)), "max_in_flight is 1 to 100,000"),
    (lambda s: s.to("x", print), r"takes a Sink, not builtin.*Use sinks.each"),
    (lambda s: s.to("x", CollectingSink(), on_failure="ignore"), "'stop' or 'isolate'"),
    (lambda s: s.graph.read("x", [1]), r"takes a Source, not list.*use sources.records"),
    (lambda s: Graph("x", max_batch_size=0), "max_batch_size is 1 or more, not 0"),
    (lambda s: Graph("x", channel_batches=0), "channel_batches is 1 or more, not 0"),
]


@pytest.mark.parametrize(("wrong", "what"), WRONG)
def test_a_wrong_option_is_refused_where_it_stands(
    wrong: Callable[[Any], object], what: str
) -> None:
    stream = Graph("options").read("numbers", scripted(1))
    with pytest.raises(GraphError, match=what) as info:
        wrong(stream)
    assert info.value.where is not None
    assert info.value.where.startswith(f"{__file__}:")


def test_the_failed_port_of_a_union_is_ambiguous() -> None:
    graph = Graph("union")
    both = graph.read("a", scripted(1)).union(graph.read("b", scripted(2)))
    with pytest.raises(GraphError, match=r"a union of \['a', 'b'\] has no failed port"):
        _ = both.failed


# Planning


def _fused(graph: Graph) -> list[str]:
    return [actor.name for actor in graph.plan().actors]


def test_neighbouring_plain_functions_are_fused_up_to_a_fan_out() -> None:
    graph = Graph("fused")
    numbers = graph.read("numbers", scripted(1))
    chain = numbers.map(abs, name="a").filter(bool, name="b").flat_map(range, name="c")
    chain.map(abs, name="d").to("one", _sink())
    chain.map(_later, name="e").map(abs, name="f").map(abs, name="g").to("two", _sink())
    assert _fused(graph) == ["numbers", "a+b+c", "d", "e", "f+g", "one", "two"] or set(
        _fused(graph)
    ) == {"numbers", "a+b+c", "d", "e", "f+g", "one", "two"}


def test_nothing_is_fused_when_told_so_and_results_are_the_same() -> None:
    def build(fuse: bool) -> tuple[Graph, CollectingSink[Any]]:
        graph, out = Graph("fuse", fuse=fuse), CollectingSink[Any]()
        numbers = graph.read("numbers", scripted(*range(20)))
        numbers.map(lambda n: n + 1).filter(lambda n: n % 3).flat_map(range).to("out", out)
        return graph, out

    results: list[list[Any]] = []
    for fuse in (True, False):
        graph, out = build(fuse)
        assert len(graph.plan().actors) == (3 if fuse else 5)
        run_virtual(partial(_start, graph))
        results.append(out.records)
    assert results[0] == results[1]


def test_failed_ports_that_go_nowhere_meet_in_that_of_the_graph() -> None:
    graph = Graph("failed")
    numbers = graph.read("numbers", scripted(1))
    text = numbers.map(str, name="text")
    text.to("out", _sink())
    text.failed.map(repr, name="own").to("mine", _sink())
    graph.failed.map(repr, name="rest").to("others", _sink())
    readers = graph.plan().readers
    assert readers[Port("text", "failed")] == ("own",)
    assert readers[Port("numbers", "failed")] == ("rest",)
    assert readers[Port("out", "failed")] == ("rest",)
    # A dead letter about a dead letter does not go round.
    assert Port("rest", "failed") not in readers
    assert Port("others", "failed") not in readers
    assert readers[Port("own", "failed")] == ("rest",)


def test_an_error_below_the_failed_port_of_the_graph_fails_the_job() -> None:
    from thalweg import JobFailed

    def broken(record: object) -> object:
        raise KeyError("again")

    graph = Graph("again")
    numbers = graph.read("numbers", scripted(1))
    numbers.map(broken, name="first").to("out", _sink())
    graph.failed.map(broken, name="second").to("failed", _sink())
    with pytest.raises(JobFailed, match="second on numbers, record 0: KeyError"):
        run_virtual(lambda: _start(graph))


def test_a_plan_reads_as_text_as_a_drawing_and_as_data() -> None:
    graph = Graph("drawn")
    numbers = graph.read("numbers", scripted(1))
    numbers.map(abs, name="a").map(_later, name="b", max_in_flight=3).batch(5, name="c").to(
        "out", _sink()
    )
    plan = graph.plan()
    assert "3 in flight, in order, 60 s each" in plan.text()
    assert "nowhere: the first error fails the job" in plan.text()
    assert plan.mermaid().startswith("flowchart LR\n")
    assert plan.mermaid().count("-->") == 4
    assert len(cast("list[object]", plan.as_dict()["actors"])) == 5


def test_planning_changes_nothing_and_the_graph_can_go_on_growing() -> None:
    graph = Graph("growing")
    numbers = graph.read("numbers", scripted(1))
    numbers.to("out", _sink())
    before = graph.plan().text()
    assert graph.plan().text() == before
    numbers.map(str, name="text").to("more", _sink())
    assert len(graph.plan().actors) == 4


def test_a_node_is_data() -> None:
    node = Node("a", "map", abs, where="x.py:1")
    with pytest.raises(AttributeError):
        node.name = "b"  # type: ignore[misc]
    with pytest.raises(GraphError, match=r"^x\.py:1: '1' is no name"):
        Node("1", "map", abs, where="x.py:1")


def test_starting_checks_before_it_opens_anything() -> None:
    opened: list[str] = []

    class Noting(CollectingSink[int]):
        async def open(self, context: object) -> None:
            opened.append("sink")

    graph = Graph("checked")
    numbers = graph.read("numbers", scripted(1))
    numbers.to("out", Noting())
    numbers.map(abs, name="nowhere")

    async def main() -> None:
        with pytest.raises(GraphError, match="'nowhere' goes nowhere"):
            graph.start()
        await asyncio.sleep(1)

    run_virtual(main)
    assert opened == []
